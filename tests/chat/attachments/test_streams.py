"""Texts of events are opened for a hub: at once where nothing must be asked for, else later."""

from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.streams import open_at_once, open_bodies
from app.encryption.envelope import dek_id_in
from app.encryption.keyring import keyring
from app.realtime import hints
from app.realtime.log import Event
from app.realtime.services import conversation_stream
from tests.chat.attachments.files import send_files, uploaded
from tests.chat.talk import say


class Told:
    """What hints say of a conversation, as a hub of another process reads them."""

    def __init__(self, ward: Conversation, committing: Any) -> None:
        self._stream, self._committing = conversation_stream(ward.pk), committing

    def of(self, *work: Any) -> list[Event]:
        published: list[hints.Hint] = []
        with patch.object(hints, "publish", published.extend), self._committing(execute=True):
            for call in work:
                call()
        told = [hint for hint in published if hint.channel.endswith(self._stream)]
        rows = [row for hint in told for row in msgspec.json.decode(hint.payload)]
        return [Event(self._stream, *row) for row in rows]


@pytest.fixture
def told(ward: Conversation, django_capture_on_commit_callbacks: Any) -> Told:
    return Told(ward, django_capture_on_commit_callbacks)


def bodies(events: list[Event]) -> list[object]:
    return [event.data["body"] for event in events]


def opens_at_once(events: list[Event]) -> bool:
    with CaptureQueriesContext(connection) as queries:
        done = open_at_once(events)
    assert not queries.captured_queries
    return done


def test_what_a_hint_brought_opens_at_once_under_a_key_that_is_held(
    told: Told, alice: User, ward: Conversation
) -> None:
    events = told.of(lambda: say(alice, ward, "one"), lambda: say(alice, ward, "two"))
    assert bodies(events) == [None, None]
    assert opens_at_once(events)
    assert bodies(events) == ["one", "two"]


@pytest.mark.parametrize("left", [0.0, 0.5], ids=["not held", "held for no moment more"])
def test_nothing_is_opened_at_once_under_a_key_that_must_be_asked_for(
    left: float, told: Told, alice: User, ward: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = told.of(lambda: say(alice, ward, "one"))
    if left:
        assert events[0].sealed
        held = keyring._by_id[dek_id_in(events[0].sealed[0]) or b""]
        monkeypatch.setattr("app.encryption.keyring.time.monotonic", lambda: held.expires - left)
    else:
        keyring.drop()
    assert not opens_at_once(events)
    assert bodies(events) == [None]
    open_bodies(events)
    assert bodies(events) == ["one"]


def test_nothing_is_opened_at_once_beside_a_text_without_its_seal_or_a_file_without_its_name(
    told: Told, alice: User, ward: Conversation
) -> None:
    plain = told.of(lambda: say(alice, ward, "one"))
    bare = told.of(lambda: say(alice, ward, "two"))
    bare[0].sealed = None
    file = uploaded(alice, ward, b"1234", "a.txt").id
    carrier = told.of(lambda: send_files(alice, ward, file))
    for other in (bare, carrier):
        both = plain + other
        assert not opens_at_once(both)
        assert bodies(plain) == [None]
    open_bodies(plain + bare + carrier)
    assert bodies(plain + bare) == ["one", "two"]
    assert carrier[0].data["attachments"][0].name == "a.txt"


def test_a_seal_of_another_message_opens_to_nothing_at_once_as_well(
    told: Told, alice: User, ward: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = told.of(lambda: say(alice, ward, "one"), lambda: say(alice, ward, "two"))
    assert one.sealed
    assert two.sealed
    one.sealed = [two.sealed[0], *one.sealed[1:]]
    assert opens_at_once([one, two])
    assert bodies([one, two]) == [None, "two"]
    assert "message_unreadable" in caplog.text


@pytest.mark.usefixtures("db")
def test_an_event_without_a_text_has_nothing_to_open() -> None:
    assert opens_at_once([Event("conversation:x", "e", 1, "member.left", {"user": "u"})])
