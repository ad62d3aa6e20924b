"""Threads that send at the same moment commit together, each for itself."""

import threading
import time
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection

from app.accounts.models import User
from app.audit.context import Origin, acting_from
from app.audit.models import Entry
from app.chat import services
from app.chat.models import Message, MessageVersion
from app.chat.services import Draft, coming, send_together, together
from app.errors import DomainError
from app.realtime.protocol import Ack
from tests.chat.talk import room, send_beside_a_commit

Outcomes = dict[str, Ack | Exception]


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
    send_beside_a_commit(threads)
    for thread in threads:
        thread.join(20)
    assert not together._waiting
    return outcomes


@pytest.mark.usefixtures("live_db")
def test_they_are_one_transaction_and_each_has_its_outcome_and_its_origin(
    alice: User, bob: User, mallory: User
) -> None:
    ward = room(alice, bob)
    drafts = [
        Draft((alice, bob)[one % 2], ward.pk, str(uuid4()), f"number {one}") for one in range(6)
    ]
    refused = Draft(mallory, ward.pk, str(uuid4()), "let me in")
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
    outcomes = _in_threads(
        [Draft(alice, ward.pk, str(uuid4()), f"number {one}") for one in range(7)]
    )
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
        outcomes = _in_threads(
            [Draft(alice, ward.pk, str(uuid4()), f"n {one}") for one in range(3)]
        )
    assert [type(outcome) for outcome in outcomes.values()] == [DatabaseError] * 3
    assert isinstance(send_together(Draft(alice, ward.pk, str(uuid4()), "again")), Ack)


@pytest.mark.usefixtures("live_db")
def test_who_has_its_outcome_waits_for_no_other_commit(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does whoever committed: the next commit is led by one of those that are in it."""
    monkeypatch.setattr(together, "_LIMIT", 2)
    ward = room(alice)
    go_on, real = threading.Event(), services.send_messages
    sizes: list[int] = []

    def slow(drafts: list[Draft]) -> object:
        sizes.append(len(drafts))
        assert len(sizes) == 1 or go_on.wait(20)
        return real(drafts)

    monkeypatch.setattr(together, "send_messages", slow)
    answered: list[Ack] = []

    def send() -> None:
        try:
            answered.append(send_together(Draft(alice, ward.pk, str(uuid4()), "hello")))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    send_beside_a_commit(threads)
    until = time.monotonic() + 20
    while (len(answered) < 2 or len(sizes) < 2) and time.monotonic() < until:
        time.sleep(0.01)
    assert (sizes, len(answered)) == ([2, 2], 2)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert len(answered) == 4


@pytest.mark.usefixtures("live_db")
def test_who_was_answered_just_now_is_waited_for(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 30.0)
    monkeypatch.setattr(together, "PAUSE", 20.0)
    monkeypatch.setattr(together, "_RECENT", 60.0)
    ward = room(alice)
    _in_threads([Draft(alice, ward.pk, str(uuid4()), f"number {one}") for one in range(3)])
    sending = [_sending(Draft(alice, ward.pk, str(uuid4()), f"again {one}")) for one in range(2)]
    assert Message.objects.count() == 3
    assert isinstance(send_together(Draft(alice, ward.pk, str(uuid4()), "the third")), Ack)
    for thread in sending:
        thread.join(20)
    assert len({entry.xid for entry in Entry.objects.filter(action_name="message:sent")}) == 2


@pytest.mark.usefixtures("live_db")
@pytest.mark.parametrize(
    ("pause", "recent"),
    [(0.001, 60.0), (60.0, 0.0)],
    ids=["who does not come again", "who was there long ago"],
)
def test_nobody_waits_for(
    pause: float, recent: float, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 60.0)
    monkeypatch.setattr(together, "PAUSE", pause)
    monkeypatch.setattr(together, "_RECENT", recent)
    ward = room(alice)
    _in_threads([Draft(alice, ward.pk, str(uuid4()), f"number {one}") for one in range(3)])
    sending = _sending(Draft(alice, ward.pk, str(uuid4()), "alone"))
    sending.join(20)
    assert not sending.is_alive()


class _OnTheWay:
    """A request that has begun, of which the test says how it goes on."""

    def __init__(self, draft: Draft | None) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=[draft])
        self._thread.start()
        assert self._begun.wait(20)

    def _run(self, draft: Draft | None) -> None:
        try:
            with coming():
                self._begun.set()
                assert self._go_on.wait(20)
                if draft:
                    send_together(draft)
        finally:
            connection.close()

    def go_on(self) -> None:
        self._go_on.set()
        self._thread.join(20)


def _sending(draft: Draft) -> threading.Thread:
    """A thread that sends, once its message is there to be committed."""

    def send() -> None:
        try:
            send_together(draft)
        finally:
            connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    until = time.monotonic() + 20
    while not (together._committing and together._waiting) and time.monotonic() < until:
        time.sleep(0.001)
    return thread


@pytest.mark.usefixtures("live_db")
def test_a_commit_waits_for_who_is_on_the_way(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 30.0)
    ward = room(alice, bob)
    first = Draft(alice, ward.pk, str(uuid4()), "I am here")
    second = Draft(bob, ward.pk, str(uuid4()), "and so am I")
    later = _OnTheWay(second)
    sending = _sending(first)
    assert sending.is_alive()
    assert not Message.objects.filter(pk=first.id).exists()
    later.go_on()
    sending.join(20)
    entries = Entry.objects.filter(target_id__in=[str(first.id), str(second.id)])
    assert [len({entry.xid for entry in entries}), len(entries)] == [1, 2]


@pytest.mark.usefixtures("live_db")
def test_who_is_on_the_way_and_sends_nothing_is_waited_for_no_longer(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 60.0)
    ward = room(alice)
    refused = _OnTheWay(None)
    sending = _sending(Draft(alice, ward.pk, str(uuid4()), "alone after all"))
    refused.go_on()
    sending.join(20)
    assert not sending.is_alive()
    assert Message.objects.count() == 1


@pytest.mark.usefixtures("live_db")
def test_who_takes_too_long_is_waited_for_no_longer(alice: User) -> None:
    ward = room(alice)
    late = _OnTheWay(None)
    assert isinstance(send_together(Draft(alice, ward.pk, str(uuid4()), "not with you")), Ack)
    late.go_on()
    assert not together._on_the_way
