"""Officers see who talked with whom; every look is an entry; exports prove it complete."""

import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from app.accounts.models import User
from app.audit.models import Entry
from app.compliance import services, verify
from app.compliance.access.calls import CallFilter
from app.compliance.models import ExportRequest
from app.compliance.scope import Scope
from app.errors import Denied, NotFound
from app.voice.models import Call, Participant
from tests.chat.talk import room
from tests.compliance.conftest import QuickSealer, Ward
from tests.compliance.tamperings import rehash
from tests.compliance.test_building import built, key_of, package_of, rows
from tests.live import LiveDatabase
from tests.voice.history import talked
from tests.voice.room import Device

Ask = Callable[[Scope], ExportRequest]
Api = Callable[[User], Client]


@pytest.mark.django_db
def test_an_officer_sees_who_talked_with_whom_how_well_and_who_was_put_out_by_whom(
    ward: Ward, alice: User, bob: User, olga: User, api: Api
) -> None:
    past = talked(ward.ward, alice, bob)
    answer = api(olga).get("/api/compliance/calls").json()
    (call,) = answer["calls"]
    assert (call["id"], call["conversation"]) == (str(past.id), str(ward.ward.pk))
    assert call["started_at"] < call["ended_at"]
    first, second = call["participants"]
    assert (first["user"], first["reason"], first["by"]) == (str(alice.pk), "left", None)
    assert (second["user"], second["reason"], second["by"]) == (
        str(bob.pk),
        "kicked",
        str(alice.pk),
    )
    assert (second["muted"], second["muted_by"]) == (True, str(alice.pk))
    assert first["connections"] == []
    assert second["connections"] == [
        {
            "peer": past.alice.pid,
            "candidate": "relay",
            "reports": 2,
            "loss_ppm": {"last": 0, "worst": 20_000, "mean": 10_000},
            "jitter_us": {"last": 4_500, "worst": 4_500, "mean": 4_000},
            "rtt_us": {"last": 40_250, "worst": 40_250, "mean": 30_250},
        }
    ]


@pytest.mark.django_db
def test_one_call_shows_what_happened_in_it_and_nothing_of_another(
    ward: Ward, alice: User, bob: User, olga: User, api: Api
) -> None:
    past, other = talked(ward.ward, alice, bob), talked(ward.ward, alice, bob)
    answer = api(olga).get(f"/api/compliance/calls/{past.id}").json()
    told = [(event["action"], event["actor"], event["pid"]) for event in answer["events"]]
    alice_, bob_ = str(alice.pk), str(bob.pk)
    assert told == [
        ("call:started", alice_, None),
        ("call:joined", alice_, past.alice.pid),
        ("call:joined", bob_, past.bob.pid),
        ("call:muted", alice_, past.bob.pid),
        ("call:kicked", alice_, past.bob.pid),
        ("call:left", alice_, past.bob.pid),
        ("call:left", alice_, past.alice.pid),
        ("call:ended", alice_, None),
    ]
    assert other.alice.pid not in json.dumps(answer)


@pytest.mark.django_db
def test_the_filter_that_ran_is_in_the_entry_of_the_look(
    ward: Ward, alice: User, bob: User, mallory: User, olga: User
) -> None:
    past = talked(ward.ward, alice, bob)
    pharmacy = Device(alice).join(ward.pharmacy)
    now = timezone.now()
    cases: list[tuple[CallFilter, set[object]]] = [
        (CallFilter(), {past.id, pharmacy.call}),
        (CallFilter(conversation=ward.ward.pk), {past.id}),
        (CallFilter(person=bob.pk), {past.id}),
        (CallFilter(person=mallory.pk), set()),
        (CallFilter(since=now), set()),
        (CallFilter(until=now - timedelta(hours=1)), set()),
        (CallFilter(since=now - timedelta(hours=1), until=now), {past.id, pharmacy.call}),
    ]
    for wanted, expected in cases:
        found = services.look_at_calls(olga, wanted).calls
        assert {str(call.pk) for call in found} == {str(one) for one in expected}
        look = Entry.objects.latest("id")
        assert (look.action_name, look.actor_id) == ("trail:read", olga.pk)
        assert look.document["parameters"] == {"calls": wanted.document()}
        assert look.scope_id == wanted.conversation


@pytest.mark.django_db
def test_paging_gives_every_call_once_also_those_that_began_together(
    ward: Ward, alice: User, bob: User, olga: User, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        talked(ward.ward, alice, bob)
    clock = SimpleNamespace(now=timezone.now)
    monkeypatch.setattr("app.voice.services.taking.timezone", clock)
    moment = timezone.now()
    clock.now = lambda: moment
    for number in range(4):
        Device(alice).join(room(alice, bob, name=f"room-{number}"))
    client, seen, before = api(olga), [], ""
    while True:
        page = client.get(f"/api/compliance/calls?limit=2{before}").json()
        seen += [call["id"] for call in page["calls"]]
        if not page["more"]:
            break
        before = f"&before={seen[-1]}"
    assert len(seen) == len(set(seen)) == 9
    assert Call.objects.filter(started_at=moment).count() == 4
    begun = [Call.objects.get(pk=one).started_at for one in seen]
    assert begun == sorted(begun, reverse=True)


@pytest.mark.django_db
def test_nobody_else_sees_records_of_calls(
    ward: Ward, alice: User, bob: User, ada: User, eve: User, api: Api
) -> None:
    past = talked(ward.ward, alice, bob)
    for person in (alice, ada):
        with pytest.raises(Denied):
            services.look_at_calls(person, CallFilter())
        assert api(person).get(f"/api/compliance/calls/{past.id}").status_code == 403
    eve.role = "officer"
    eve.save()
    assert services.look_at_calls(eve, CallFilter()).calls == []
    with pytest.raises(NotFound):
        services.look_at_call(eve, past.id)
    with pytest.raises(NotFound):
        services.look_at_calls(eve, CallFilter(), before=past.id)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["person=x", "before=1", "limit=0", "limit=201", "since=then", "who=me"]
)
def test_a_filter_that_does_not_exist_is_refused_and_nothing_is_looked_up(
    query: str, olga: User, api: Api
) -> None:
    client = api(olga)
    before = Entry.objects.latest("id").pk
    assert client.get(f"/api/compliance/calls?{query}").status_code == 400
    assert not Entry.objects.filter(pk__gt=before).exists()


def test_an_export_has_every_event_of_calls_and_an_outsider_can_tell(
    ward: Ward, approved: Ask, sealer: QuickSealer, alice: User, bob: User, export_dir: Path
) -> None:
    past = talked(ward.ward, alice, bob)
    elsewhere = talked(ward.pharmacy, bob, alice)
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    assert verify.verify(str(package_of(asked)), key_of(asked)).problems == []
    found = rows(asked, "calls.jsonl")
    assert [str(row["action"]).partition(":")[2] for row in found] == [
        *("started", "joined", "joined", "muted", "kicked", "left", "left", "ended"),
    ]
    assert [row["person_name"] for row in found] == [
        *(None, "Alice", "Bob", "Bob", "Bob", "Bob", "Alice", None),
    ]
    (kicked,) = [row for row in found if row["action"] == "call:kicked"]
    assert (kicked["actor_email"], kicked["conversation_name"]) == ("alice@example.org", "ward-4")
    left = json.loads(json.dumps(found[5]))["parameters"]
    assert (left["reason"], left["by"]) == ("kicked", str(alice.pk))
    assert left["connections"][0]["rtt_us"]["worst"] == 40_250
    assert elsewhere.alice.pid not in json.dumps(found)
    assert past.alice.pid in json.dumps(found)
    assert asked.counts["calls"] == 8
    with zipfile.ZipFile(package_of(asked)) as package:
        table = package.read("calls.csv").decode("utf-8-sig").splitlines()
    assert len(table) == 9
    assert sum(past.bob.pid in line for line in table) == 4


def _left_out(folder: Path) -> None:
    lines = (folder / "calls.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"call:kicked"' not in line]
    (folder / "calls.jsonl").write_text("".join(kept))


def _somebody_else(folder: Path) -> None:
    text = (folder / "calls.jsonl").read_text()
    (folder / "calls.jsonl").write_text(text.replace('"reason":"kicked"', '"reason":"left"'))


def _table_alone(folder: Path) -> None:
    text = (folder / "calls.csv").read_bytes()
    (folder / "calls.csv").write_bytes(text.replace(b'"kicked"', b'"left"'))


def _table_longer(folder: Path) -> None:
    with (folder / "calls.csv").open("ab") as file:
        file.write((folder / "calls.csv").read_bytes().splitlines(keepends=True)[-1])


def test_a_changed_record_of_a_call_is_named(
    ward: Ward,
    approved: Ask,
    sealer: QuickSealer,
    alice: User,
    bob: User,
    export_dir: Path,
    tmp_path: Path,
) -> None:
    talked(ward.ward, alice, bob)
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    for harm, named in [
        (_left_out, ("row-missing", "calls.jsonl")),
        (_somebody_else, ("row-differs", "calls.jsonl")),
        (_table_alone, ("csv", "calls.csv")),
        (_table_longer, ("csv", "calls.csv")),
    ]:
        folder = tmp_path / harm.__name__
        with zipfile.ZipFile(package_of(asked)) as package:
            package.extractall(folder)
        harm(folder)
        rehash(folder)
        problems = verify.verify(str(folder), key_of(asked)).problems
        assert named in {(item.code, item.file) for item in problems}, harm.__name__


def test_nobody_deletes_or_changes_a_record_of_a_call_held_or_not(
    live_db: LiveDatabase, ward: Ward, alice: User, bob: User, olga: User
) -> None:
    past = talked(ward.ward, alice, bob)
    services.place_hold(olga, conversations=[ward.ward.pk], matter="7", reason="A dispute.")
    statements = [
        "DELETE FROM voice_connection",
        "DELETE FROM voice_participant",
        "DELETE FROM voice_call",
        "UPDATE voice_participant SET reason = 'left'",
        "UPDATE voice_call SET ended_at = NULL",
        "UPDATE voice_connection SET loss_worst = 0",
        "TRUNCATE voice_connection",
    ]
    roles: tuple[Literal["app", "owner"], ...] = ("app", "owner")
    for role in roles:
        with live_db.acting_as(role):
            for statement in statements:
                with (
                    pytest.raises(DatabaseError),
                    transaction.atomic(),
                    connection.cursor() as cursor,
                ):
                    cursor.execute(statement)
    assert Participant.objects.get(pid=past.bob.pid).reason == "kicked"
