"""Threads that send at the same moment commit together, each for itself."""

import threading
import time
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, connection

from app.accounts.models import User
from app.audit.context import Origin, acting_from
from app.audit.models import Entry
from app.chat.models import Message, MessageVersion
from app.chat.services import Draft, send_together, together
from app.errors import DomainError
from app.realtime.protocol import Ack
from tests.chat.talk import room

Outcomes = dict[UUID, Ack | Exception]


def _in_threads(drafts: list[Draft]) -> Outcomes:
    """Send all while a commit is under way, each in a request of its own."""
    outcomes: Outcomes = {}

    def send(draft: Draft) -> None:
        try:
            with acting_from(Origin(request_id=str(draft.id), method="jwt")):
                outcomes[draft.id] = send_together(draft)
        except Exception as error:
            outcomes[draft.id] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[draft]) for draft in drafts]
    with together._committing:
        for thread in threads:
            thread.start()
        until = time.monotonic() + 20
        while len(together._waiting) < len(drafts) and time.monotonic() < until:
            time.sleep(0.01)
    for thread in threads:
        thread.join(20)
    assert not together._waiting
    return outcomes


@pytest.mark.usefixtures("live_db")
def test_they_are_one_transaction_and_each_has_its_outcome_and_its_origin(
    alice: User, bob: User, mallory: User
) -> None:
    ward = room(alice, bob)
    drafts = [Draft((alice, bob)[one % 2], ward.pk, uuid4(), f"number {one}") for one in range(6)]
    refused = Draft(mallory, ward.pk, uuid4(), "let me in")
    outcomes = _in_threads([*drafts, refused])
    assert isinstance(outcomes.pop(refused.id), DomainError)
    assert {pk: getattr(ack, "id", ack) for pk, ack in outcomes.items()} == {
        draft.id: str(draft.id) for draft in drafts
    }
    versions = MessageVersion.objects.filter(message__in=[draft.id for draft in drafts])
    entries = list(Entry.objects.filter(pk__in=versions.values("entry_id")))
    assert len({entry.xid for entry in entries}) == 1
    assert {entry.target_id: entry.document["origin"]["request_id"] for entry in entries} == {
        str(draft.id): str(draft.id) for draft in drafts
    }


@pytest.mark.usefixtures("live_db")
def test_more_than_a_batch_holds_are_all_sent(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_LIMIT", 2)
    ward = room(alice)
    outcomes = _in_threads([Draft(alice, ward.pk, uuid4(), f"number {one}") for one in range(7)])
    assert sum(isinstance(outcome, Ack) for outcome in outcomes.values()) == 7
    assert Message.objects.count() == 7


@pytest.mark.usefixtures("live_db")
def test_a_commit_that_fails_is_told_to_all_who_were_in_it(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = room(alice)

    def away(_: object) -> None:
        raise DatabaseError("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(together, "send_messages", away)
        outcomes = _in_threads([Draft(alice, ward.pk, uuid4(), f"n {one}") for one in range(3)])
    assert [type(outcome) for outcome in outcomes.values()] == [DatabaseError] * 3
    assert isinstance(send_together(Draft(alice, ward.pk, uuid4(), "again")), Ack)
