"""The log over REST, as somebody of the organization mirrors and checks it."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from app.accounts.models import User
from app.audit import merkle
from app.audit.actions import Action
from app.audit.catalogue import meaning
from app.audit.checkpoint import PublicKey, open_checkpoint
from app.audit.models import Cosignature, Entry, Key, Leaf
from app.audit.tasks import heartbeat
from tests.audit.test_sealing import seal
from tests.audit.test_tiles import unpacked
from tests.audit.trail import write
from tests.chat.talk import room, say
from tests.compliance import packages
from tests.live import LiveDatabase

Api = Callable[[User], Client]


@pytest.fixture
def prefix(alice: User) -> str:
    return f"/api/audit/logs/{alice.organization_id}"


def test_a_member_rebuilds_the_signed_tree_from_tiles(
    api: Api, alice: User, prefix: str, live_db: LiveDatabase
) -> None:
    client = api(alice)
    assert client.get(f"{prefix}/checkpoint").status_code == 409
    write(300, alice.organization_id)
    seal(live_db)
    answer = client.get(f"{prefix}/checkpoint", headers={"Accept": "text/plain"})
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    key = PublicKey.parse(Key.objects.get(organization_id=alice.organization_id).vkey)
    signed = open_checkpoint(answer.content.decode(), [key])
    assert signed.origin.endswith(f"/{alice.organization_id}")
    rest = signed.size - 256
    lines, hashes = [], b""
    for tile in ("000", f"001.p/{rest}"):
        bundle = client.get(f"{prefix}/tile/entries/{tile}")
        assert bundle["Content-Type"] == "application/octet-stream"
        assert bundle["Cache-Control"] == "private, max-age=31536000, immutable"
        lines += unpacked(bundle.content)
        hashes += client.get(f"{prefix}/tile/0/{tile}").content
    assert hashes == b"".join(map(merkle.leaf_hash, lines))
    assert merkle.root_of(map(merkle.leaf_hash, lines)) == signed.root
    assert client.get(f"{prefix}/tile/0/001").status_code == 404


def test_what_a_witness_signed_is_served_with_the_checkpoint(
    api: Api, alice: User, prefix: str, live_db: LiveDatabase
) -> None:
    key, client = packages.signing_key("a witness"), api(alice)

    def signed() -> dict[str, Any]:
        write(3, alice.organization_id)
        seal(live_db)
        told: dict[str, Any] = client.get("/api/audit/checkpoint").json()
        return told

    state = signed()
    assert state["witnessed"] is None
    cosigned = packages.cosign(state["checkpoint"], key)
    Cosignature.objects.create(
        organization_id=alice.organization_id,
        witness=packages.WITNESS,
        size=state["size"],
        note=cosigned,
        at=timezone.now(),
    )
    state = client.get("/api/audit/checkpoint").json()
    assert state["checkpoint"] == state["witnessed"] == cosigned
    assert client.get(f"{prefix}/checkpoint").content.decode() == cosigned
    later = signed()
    assert packages.WITNESS not in later["checkpoint"]
    assert later["witnessed"] == cosigned


def test_another_organization_s_log_is_not_there(
    api: Api, alice: User, eve: User, prefix: str, live_db: LiveDatabase
) -> None:
    write(1, alice.organization_id)
    seal(live_db)
    for path in ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"):
        theirs, nowhere = (
            api(eve).get(f"/api/audit/logs/{log}/{path}").json()["error"]
            for log in (alice.organization_id, settings.BLIND_INDEX_KEY.hex()[:32])
        )
        del theirs["request_id"], nowhere["request_id"]
        assert theirs == nowhere
        assert Client().get(f"{prefix}/{path}").status_code == 401


def test_the_checkpoint_says_who_signed_what_and_when_it_last_lived(
    api: Api, alice: User, live_db: LiveDatabase
) -> None:
    client = api(alice)
    assert client.get("/api/audit/checkpoint").status_code == 409
    heartbeat()
    seal(live_db)
    told = client.get("/api/audit/checkpoint").json()
    key = PublicKey.parse(told["verifier_key"])
    signed = open_checkpoint(told["checkpoint"], [key])
    assert (signed.size, signed.root.hex()) == (told["size"], told["root"])
    assert told["origin"] == signed.origin
    assert client.get(f"{told['tiles']}/checkpoint").content.decode() == told["checkpoint"]
    assert told["heartbeat_at"] is not None
    assert (told["waiting"], told["waiting_since"]) == (0, None)
    write(2, alice.organization_id)
    assert client.get("/api/audit/checkpoint").json()["waiting"] == 2


def test_entries_are_paged_by_place_and_only_officers_see_what_they_say(
    api: Api, alice: User, olga: User, live_db: LiveDatabase
) -> None:
    write(30, alice.organization_id)
    member, officer = api(alice), api(olga)
    seal(live_db)
    seen, start = [], 0
    while start is not None:
        page = member.get("/api/audit/entries", {"start": start, "limit": 13}).json()
        seen += page["entries"]
        start = page["next"]
    assert [entry["index"] for entry in seen] == list(range(page["size"]))
    assert all(set(entry) == {"index", "leaf", "leaf_hash"} for entry in seen)
    asked = {"start": 5, "limit": 4, "bodies": "true"}
    before = Entry.objects.filter(action_name=Action.TRAIL_READ).count()
    assert member.get("/api/audit/entries", asked).status_code == 403
    bodies = officer.get("/api/audit/entries", asked).json()["entries"]
    assert Entry.objects.filter(action_name=Action.TRAIL_READ).count() == before + 1
    assert [entry["leaf"] for entry in bodies] == [entry["leaf"] for entry in seen[5:9]]
    for entry in bodies:
        body_hash = hashlib.sha256(entry["body"].encode()).hexdigest()
        assert entry["leaf"].endswith(f" {body_hash}")
        assert json.loads(entry["body"])["action"] == entry["action"]
        assert entry["meaning"] == meaning(Action(entry["action"]))
        assert entry["grave"] is Action(entry["action"]).is_grave
    past = member.get("/api/audit/entries", {"start": page["size"]}).json()
    assert (past["entries"], past["next"]) == ([], None)


def test_proofs_hold_for_every_leaf_and_size(api: Api, alice: User, live_db: LiveDatabase) -> None:
    organization = alice.organization_id
    client = api(alice)
    write(300 - Entry.objects.filter(organization_id=organization).count(), organization)
    seal(live_db)
    hashes = [bytes(leaf.hash) for leaf in Leaf.objects.filter(organization_id=organization)]
    write(7, organization)
    seal(live_db)
    for index, size in ((0, 1), (0, 300), (255, 256), (256, 300), (299, 300), (17, 307)):
        asked = {"leaf_hash": hashes[index].hex()} if index % 2 else {"index": index}
        proof = client.get("/api/audit/proof", asked | {"size": size}).json()
        path, root = list(map(bytes.fromhex, proof["hashes"])), bytes.fromhex(proof["root"])
        assert (proof["proves"], proof["index"]) == ("inclusion", index)
        assert merkle.inclusion_holds(hashes[index], index, size, path, root)
        assert not merkle.inclusion_holds(hashes[index - 1], index, size, path, root)
        assert (proof["checkpoint"] is not None) is (size in {300, 307})
    for first, second in ((1, 300), (256, 300), (300, 307), (299, 300), (300, 300)):
        proof = client.get("/api/audit/proof", {"first": first, "second": second}).json()
        path = list(map(bytes.fromhex, proof["hashes"]))
        roots = bytes.fromhex(proof["first_root"]), bytes.fromhex(proof["root"])
        assert roots[0] == merkle.root_of(hashes[:first])
        assert merkle.consistency_holds(first, second, *roots, path)
    latest = client.get("/api/audit/proof", {"first": 300}).json()
    assert latest["size"] == 307
    assert (
        f"\n307\n{base64.b64encode(bytes.fromhex(latest['root'])).decode()}\n"
        in (latest["checkpoint"])
    )


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"size": 3}, {"index": 0, "leaf_hash": "ab" * 32}, {"index": 0, "first": 1},
        {"index": 0, "second": 1}, {"first": 1, "size": 1}, {"first": 0}, {"first": 2, "second": 1},
        {"index": 0, "size": 0}, {"index": 0, "size": 10**6}, {"index": 4, "size": 2},
        {"first": 1, "second": 10**6}, {"leaf_hash": "AB" * 32}, {"index": -1}, {"nothing": 1},
        {"index": 2**63}, {"leaf_hash": "ab" * 31},
    ],
)  # fmt: skip
def test_a_question_without_an_answer_is_refused(
    api: Api, alice: User, live_db: LiveDatabase, asked: dict[str, Any]
) -> None:
    write(9, alice.organization_id)
    client = api(alice)
    seal(live_db)
    assert client.get("/api/audit/proof", asked).status_code == 400


def test_a_receipt_is_known_from_its_commit_on_and_proven_when_sealed(
    api: Api, alice: User, bob: User, eve: User, live_db: LiveDatabase
) -> None:
    receipt = say(alice, room(alice, bob), "Bed 12 moved.").leaf_hash
    write(3, alice.organization_id)
    member, foreigner = api(bob), api(eve)
    pending = member.get(f"/api/audit/receipts/{receipt}").json()
    assert (pending["state"], pending["index"], pending["proof"]) == ("pending", None, [])
    seal(live_db)
    sealed = member.get(f"/api/audit/receipts/{receipt}").json()
    assert sealed["state"] == "sealed"
    assert merkle.leaf_hash(sealed["leaf"].encode()).hex() == receipt == sealed["leaf_hash"]
    key = PublicKey.parse(Key.objects.get(organization_id=alice.organization_id).vkey)
    signed = open_checkpoint(sealed["checkpoint"], [key])
    path = list(map(bytes.fromhex, sealed["proof"]))
    leaf = bytes.fromhex(receipt)
    assert merkle.inclusion_holds(leaf, sealed["index"], signed.size, path, signed.root)
    for stranger, asked in ((foreigner, receipt), (member, "ab" * 32), (member, receipt.upper())):
        assert stranger.get(f"/api/audit/receipts/{asked}").status_code == 404
