"""What is recorded is exactly what is stored, hashed and committed with its change."""

import hashlib
import hmac
import itertools
import json
import threading
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from app.audit import body as bodies
from app.audit import canonical, leaves
from app.audit.actions import Action
from app.audit.body import NewBody
from app.audit.canonical import NotCanonical
from app.audit.context import (
    ANONYMOUS,
    SYSTEM,
    Actor,
    Origin,
    acting_as,
    acting_from,
    current_actor,
    current_origin,
)
from app.audit.models import Entry
from app.audit.services import OutsideTransaction, Target, record, record_many
from tests.audit.trail import ACME, ALICE, BOB, TALK, a_message, write
from tests.live import LiveDatabase

ORIGIN = Origin("request-1", "session-1", "203.0.113.9", "Firefox\r\nX: y", "socket")


@pytest.mark.django_db
def test_an_entry_stores_the_bytes_that_were_hashed() -> None:
    with acting_from(ORIGIN):
        made = record(
            Action.MESSAGE_EDITED,
            organization=ACME,
            actor=ALICE,
            target=Target("message_version", "m/2", "m"),
            scope=TALK,
            before={"commitment": "aa"},
            after={"commitment": "bb", "revision": 2},
            parameters={"reasons": ["typo", None, True]},
        )
    entry = Entry.objects.get(pk=made.pk)
    assert bytes(entry.body) == made.body
    assert bytes(entry.body_hash) == hashlib.sha256(bytes(entry.body)).digest()
    assert entry.leaf_hash == hashlib.sha256(b"\0" + bytes(entry.leaf)).digest()
    assert entry.document == {
        "v": 1,
        "id": str(entry.uuid),
        "time": leaves.timestamp(entry.at),
        "organization": str(ACME),
        "action": "message:edited",
        "outcome": "success",
        "actor": {"kind": "user", "id": str(ALICE.id), "role": "member"},
        "origin": {
            "request_id": "request-1",
            "session": "session-1",
            "address": "203.0.113.9",
            "agent": "Firefox\r\nX: y",
            "method": "socket",
        },
        "target": {"type": "message_version", "id": "m/2", "parent": "m"},
        "scope": str(TALK),
        "parameters": {"reasons": ["typo", None, True]},
        "before": {"commitment": "aa"},
        "after": {"commitment": "bb", "revision": 2},
    }
    assert b"\n" not in bytes(entry.body)  # what a client sends cannot break a line
    assert bodies.parse(bytes(entry.body)).id == str(entry.uuid)


@pytest.mark.django_db
@pytest.mark.parametrize("actor", [ALICE, SYSTEM, ANONYMOUS])
@pytest.mark.parametrize("scope", [TALK, None])
def test_a_leaf_says_nothing_without_its_keys_and_all_with_them(
    actor: Actor, scope: UUID | None
) -> None:
    with transaction.atomic():
        entry = record_many([a_message(actor=actor, scope=scope)])[0]
    _, time, scope_name, actor_name, body_hash = bytes(entry.leaf).decode().split(" ")
    assert leaves.LEAF.fullmatch(bytes(entry.leaf))

    def by_the_book(info: bytes, subject: bytes) -> str:
        info += ACME.bytes + subject
        key = HKDF(SHA256(), 32, None, info).derive(settings.AUDIT_PSEUDONYM_KEY)
        return hmac.new(key, subject, "sha256").digest()[:16].hex()

    subject = actor.id.bytes if actor.id else actor.kind.encode()
    assert scope_name == by_the_book(b"parley/scope/v1", (scope or ACME).bytes)
    assert actor_name == by_the_book(b"parley/actor/v1", subject)
    assert time == leaves.timestamp(entry.at)
    assert body_hash == hashlib.sha256(bytes(entry.body)).hexdigest()


@pytest.mark.django_db
def test_many_records_keep_their_order_over_several_inserts() -> None:
    records = [a_message() for _ in range(2345)]
    with transaction.atomic():
        entries = record_many(records)
    assert [entry.target_id for entry in entries] == [each.target.id for each in records]
    assert all(one.pk < two.pk for one, two in itertools.pairwise(entries))
    assert record_many([]) == []


def test_outside_a_transaction_nothing_is_recorded(live_db: LiveDatabase) -> None:
    with pytest.raises(OutsideTransaction):
        record_many([a_message()])
    assert Entry.objects.count() == 0


def test_an_entry_is_gone_with_the_change_that_was_rolled_back(live_db: LiveDatabase) -> None:
    with transaction.atomic():
        record_many([a_message()])
        transaction.set_rollback(True)
    assert Entry.objects.count() == 0


def test_an_entry_in_a_savepoint_carries_the_whole_transaction_s_id(
    live_db: LiveDatabase,
) -> None:
    with transaction.atomic():
        outer = record_many([a_message()])[0]
        with transaction.atomic():
            inner = record_many([a_message()])[0]
    xids = Entry.objects.filter(pk__in=[outer.pk, inner.pk]).values_list("xid", flat=True)
    assert len(set(xids)) == 1


def test_entries_come_from_threads_at_once(live_db: LiveDatabase) -> None:
    def writing() -> None:
        for _ in range(20):
            write(5)
        connection.close()

    threads = [threading.Thread(target=writing) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Entry.objects.count() == 400


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value", [1.5, float("nan"), 2**53, b"bytes", {"é": 1}, {1: 2}, "\ud800", object(), {1, 2}]
)
def test_values_without_a_canonical_form_are_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(NotCanonical) as raised:
        record(
            Action.USER_CHANGED, organization=ACME, actor=ALICE,
            target=Target("user", "x"), after={"value": value},
        )  # fmt: skip
    assert "bytes" not in str(raised.value) or isinstance(value, bytes)
    assert not Entry.objects.filter(organization_id=ACME).exists()


class Name(str):
    """As a lazy or safe text of a framework."""

    __slots__ = ()


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    "value", [Name("é"), Level.HIGH, Action.USER_CHANGED, (1, "a"), {"deep": [Name("x")]}]
)
def test_a_part_is_in_the_canonical_form_whatever_its_texts_and_numbers_are_made_of(
    value: Any,
) -> None:
    document = {"after": value, "A": "before small letters"}
    assert bytes(bodies.part(document)) == canonical.dump(document)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner)
    ),
)


@given(JSON)
def test_canonical_json_comes_back_and_has_one_form(value: Any) -> None:
    data = canonical.dump(value)
    assert canonical.load(data) == value == json.loads(data)
    assert bytes(bodies.part(value)) == data
    assert msgspec.json.encode(value, order="sorted") == data


@pytest.mark.parametrize("text", ["usual", Name("somebody's own"), Action.USER_CHANGED])
def test_a_new_body_is_the_canonical_form_of_its_parts_together(text: str) -> None:
    document: dict[str, Any] = {
        "v": 1,
        "id": "1",
        "time": "now",
        "organization": "o",
        "action": "a",
        "outcome": text,
        "actor": {"kind": "user", "id": None, "role": "é"},
        "origin": {"method": "\u2028"},
        "target": {"type": text, "id": "\\", "parent": ""},
        "scope": None,
        "parameters": {"{": "}"},
        "before": {},
        "after": {"b": [1], "a": {"z": text, "y": True}},
    }
    shared = {name: bodies.part(document[name]) for name in SHARED_PARTS}
    assert NewBody(**document | shared).canonical() == canonical.dump(document)


SHARED_PARTS = ("actor", "organization", "origin", "scope")


@pytest.mark.parametrize("name", ["target", "before", "after", "parameters"])
@pytest.mark.parametrize("value", [1.5, {"é": 1}, "\ud800"], ids=["number", "key", "text"])
def test_a_new_body_with_what_has_no_canonical_form_is_refused(name: str, value: Any) -> None:
    document: dict[str, Any] = dict.fromkeys(("id", "time", "action", "outcome"), "")
    shared = {one: bodies.part(None) for one in SHARED_PARTS}
    usual: dict[str, Any] = {"before": {}, "after": {}, "parameters": {}, "target": {}}
    with pytest.raises(NotCanonical):
        NewBody(**document | shared | usual | {name: {"a": value}}).canonical()


def test_both_encoders_escape_every_character_alike() -> None:
    for start in range(0, 0x110000, 0x1000):
        text = "".join(chr(c) for c in range(start, start + 0x1000) if not 0xD800 <= c < 0xE000)
        assert msgspec.json.encode(text) == canonical.dump(text)


def test_the_canonical_form_is_that_of_rfc_8785() -> None:
    value = {"b": '\u20ac$\u000f\nA\'\u0042"\\\\"/', "a": [True, None, -1], "A": {}}
    assert canonical.dump(value) == (
        '{"A":{},"a":[true,null,-1],"b":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()
    )


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"{} ", b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"1.0", b"1e2", b"-0",
        b'"\\u0041"', b'"\\/"', b"\xff", b"NaN", b"9007199254740993", b"[" * 5000,
    ],
)  # fmt: skip
def test_bytes_in_another_form_are_not_canonical(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        canonical.load(data)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"more": 1},
        {"actor": {"kind": "robot", "id": None, "role": ""}},
        {"target": {"type": "x", "id": "y"}},
        {"after": []},
        {"after": {"x": 1.5}},
        {"after": {"x": [{"y": [{"z": 1.5}]}]}},
        {"after": {"é": 1}},
        {"after": {"x": 2**60}},
        {"time": None},
    ],
)
def test_a_body_of_another_shape_is_not_read(change: dict[str, Any]) -> None:
    with transaction.atomic():
        document = record_many([a_message()])[0].document
    bodies.parse(canonical.dump(document))
    data = msgspec.json.encode(document | change, order="sorted")
    with pytest.raises(NotCanonical):
        bodies.parse(data)


@pytest.mark.django_db
@pytest.mark.parametrize("after", [{"x": [{"y": [{"z": [1, None, "deep"]}]}]}, {"x": "schön \\"}])
def test_an_unusual_body_is_read_too(after: dict[str, Any]) -> None:
    with transaction.atomic():
        document = record_many([a_message()])[0].document | {"after": after}
    assert bodies.parse(canonical.dump(document)).after == after


def test_a_time_has_always_six_decimals_and_is_in_utc() -> None:
    at = datetime(2026, 11, 21, 8, 2, 14, tzinfo=UTC)
    assert leaves.timestamp(at) == "2026-11-21T08:02:14.000000Z"


@pytest.mark.parametrize("wrong", [("user", None), ("system", UUID(int=1)), ("robot", None)])
def test_an_actor_is_a_user_with_an_id_or_nobody_with_none(
    wrong: tuple[str, UUID | None],
) -> None:
    with pytest.raises(ValueError, match=r"actor|user"):
        Actor(*wrong)


def test_contexts_nest_and_end() -> None:
    with acting_from(ORIGIN), acting_as(ALICE):
        with acting_as(BOB):
            assert current_actor.get() == BOB
        assert current_actor.get() == ALICE
        assert current_origin.get() == ORIGIN
    assert current_actor.get() is None
    assert current_origin.get() == Origin()


def test_actions_are_subject_and_action_and_unique() -> None:
    values = [action.value for action in Action]
    assert len(set(values)) == len(values) == len(Action.__members__)
    assert all(value.replace("_", "").replace(":", "", 1).isalpha() for value in values)
