"""The log over REST, as somebody of the organization mirrors and checks it."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client

from app.accounts.models import User
from app.audit import merkle
from app.audit.checkpoint import PublicKey, open_checkpoint
from app.audit.models import Key
from tests.audit.test_sealing import seal
from tests.audit.test_tiles import unpacked
from tests.audit.trail import write
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
