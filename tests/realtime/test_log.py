"""What the log gives back: exactly the suffix, or nothing at all."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from app.realtime import protocol, services
from app.realtime.log import KEPT_FOR, MAX_RECOVERY, Event, Wanted, prune_events, snapshot
from app.realtime.log import read_log as read_log_within
from app.realtime.models import Stream, StreamEvent
from tests.live import LiveDatabase

STREAM = "conversation:11111111-1111-4111-8111-111111111111"


def read_log(wanted: list[Wanted]) -> dict[str, tuple[str, int, list[Event]]]:
    with snapshot():
        return read_log_within(wanted)


def emit(number: int) -> str:
    """Write that many events; returns the epoch."""
    with transaction.atomic():
        place = services.reserve(STREAM, number)
        services.append(place, [protocol.ConversationChanged() for _ in range(number)])
    return place.epoch


@pytest.fixture(autouse=True)
def empty(live_db: LiveDatabase) -> None:
    StreamEvent.objects.all().delete()
    Stream.objects.all().delete()


def test_the_log_gives_exactly_what_follows() -> None:
    epoch = emit(5)
    _, top, events = read_log([Wanted(STREAM, epoch, 2)])[STREAM]
    assert top == 5
    assert [event.offset for event in events] == [3, 4, 5]


def test_of_another_epoch_the_log_gives_nothing() -> None:
    epoch = emit(5)
    assert read_log([Wanted(STREAM, "another", 2)])[STREAM] == (epoch, 5, [])


def test_two_who_want_different_suffixes_get_the_longer() -> None:
    epoch = emit(5)
    _, _, events = read_log([Wanted(STREAM, epoch, 4), Wanted(STREAM, epoch, 1)])[STREAM]
    assert [event.offset for event in events] == [2, 3, 4, 5]


def test_too_far_behind_is_not_replayed() -> None:
    epoch = emit(MAX_RECOVERY + 2)
    assert read_log([Wanted(STREAM, epoch, 1)])[STREAM] == (epoch, MAX_RECOVERY + 2, [])


def test_pruned_events_leave_a_gap_that_the_reader_sees() -> None:
    epoch = emit(5)
    StreamEvent.objects.filter(offset__lte=3).update(
        at=timezone.now() - KEPT_FOR - timedelta(minutes=1)
    )
    assert prune_events() == 3
    _, top, events = read_log([Wanted(STREAM, epoch, 1)])[STREAM]
    assert (top, [event.offset for event in events]) == (5, [4, 5])


def test_offsets_have_no_gaps_when_transactions_roll_back() -> None:
    epoch = emit(1)
    with transaction.atomic():
        services.emit(STREAM, protocol.ConversationChanged())
        transaction.set_rollback(True)
    emit(1)
    _, _, events = read_log([Wanted(STREAM, epoch, 0)])[STREAM]
    assert [event.offset for event in events] == [1, 2]


def test_what_is_emitted_to_several_streams_follows_on_in_each() -> None:
    emit(2)
    other = STREAM.replace("1", "2")
    two, one = [protocol.ConversationChanged()] * 2, [protocol.ConversationChanged()]
    with transaction.atomic():
        assert services.lock([STREAM, other]).keys() == {STREAM}
        services.emit_many({other: two, STREAM: one})
    with transaction.atomic():
        tops = {name: place.offset for name, place in services.lock([STREAM, other]).items()}
    assert tops == {STREAM: 3, other: 2}
    found = StreamEvent.objects.order_by("stream", "offset").values_list("stream", "offset")
    assert list(found) == [(STREAM, 1), (STREAM, 2), (STREAM, 3), (other, 1), (other, 2)]
