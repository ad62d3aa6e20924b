"""What is planted is found, and nothing else: losses, doubles, late ones and ghosts."""

from random import Random

import pytest

from loadtests.ledger import APART_SECONDS, GHOST_SECONDS, Ledger, Verdict, decoded, judge

ROOM = "conversation-1"


class Talk:
    """One sender and one listener, who starts at offset 0."""

    def __init__(self, since: int = 0) -> None:
        self.ledger = Ledger()
        self.ear = self.ledger.listen("bob", ROOM, since)

    def said(self, *offsets: int, sender: str = "alice") -> None:
        """One message an offset; 0 was never acknowledged."""
        for offset in offsets:
            number = self.ledger.number(ROOM, sender)
            if offset:
                self.ledger.acknowledged(ROOM, sender, number, offset)

    def heard(self, *numbers: int, sender: str = "alice") -> None:
        for number in numbers:
            self.ear.hear(sender, number)

    def verdict(self) -> Verdict:
        return judge([decoded(self.ledger.encoded(1000.0))])


def counts(verdict: Verdict) -> tuple[int, int, int, int]:
    return verdict.lost, verdict.doubled, verdict.reordered, verdict.ghosts


def test_all_that_was_written_and_heard_in_order_is_fine() -> None:
    talk = Talk()
    talk.said(1, 2, 5)
    talk.heard(1, 2, 3)
    verdict = talk.verdict()
    assert counts(verdict) == (0, 0, 0, 0)
    assert (verdict.acknowledged, verdict.received, verdict.examples) == (3, 3, [])


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ([1, 2, 4], (1, 0, 0, 0)),
        ([2, 3, 4], (1, 0, 0, 0)),
        ([1, 2, 3], (1, 0, 0, 0)),
        ([], (4, 0, 0, 0)),
        ([1, 2, 2, 3, 4], (0, 1, 0, 0)),
        ([1, 2, 3, 4, 1], (0, 1, 0, 0)),
        ([1, 3, 2, 4], (0, 0, 1, 0)),
        ([2, 1, 3, 4], (0, 0, 1, 0)),
        ([3, 1, 4], (1, 0, 1, 0)),
        ([1, 2, 3, 4, 5], (0, 0, 0, 1)),
    ],
)
def test_a_planted_loss_double_swap_or_ghost_is_found(
    heard: list[int], found: tuple[int, int, int, int]
) -> None:
    talk = Talk()
    talk.said(1, 2, 3, 4)
    talk.heard(*heard)
    verdict = talk.verdict()
    assert counts(verdict) == found
    assert len(verdict.examples) == sum(found)


def test_what_nobody_in_the_run_ever_wrote_is_a_ghost() -> None:
    talk = Talk()
    talk.heard(1, sender="mallory")
    assert counts(talk.verdict()) == (0, 0, 0, 1)


def test_what_was_never_acknowledged_may_be_heard_or_not() -> None:
    for heard in ([1, 3], [1, 2, 3]):
        talk = Talk()
        talk.said(1, 0, 2, 0)
        talk.heard(*heard)
        assert counts(talk.verdict()) == (0, 0, 0, 0)


def test_an_ear_need_not_hear_what_came_before_it_or_after_its_end() -> None:
    talk = Talk(since=2)
    talk.said(1, 2, 3, 4, 5)
    talk.ear.until = 4
    talk.heard(3, 4)
    assert counts(talk.verdict()) == (0, 0, 0, 0)
    talk = Talk(since=2)
    talk.said(1, 2, 3, 4, 5)
    talk.ear.until = 4
    talk.heard(4)
    assert counts(talk.verdict()) == (1, 0, 0, 0)


def test_an_edit_whose_offset_is_unknown_is_missed_only_where_it_was_surely_due() -> None:
    talk = Talk()
    talk.said(3, -3, 6)  # number 2 is an edit: its event came after offset 3
    talk.heard(1, 3)
    assert counts(talk.verdict()) == (1, 0, 0, 0)
    talk.ear.until = 4  # it may have been the fifth event
    assert counts(talk.verdict()) == (0, 0, 0, 0)
    talk.ear.until = 6
    assert counts(talk.verdict()) == (1, 0, 0, 0)
    late = Talk(since=4)  # it may have been the fourth
    late.said(3, -3, 6)
    late.heard(3)
    assert counts(late.verdict()) == (0, 0, 0, 0)


def test_pages_of_several_workers_are_judged_together() -> None:
    writer, listener = Ledger(), Ledger()
    for offset in (1, 2):
        writer.acknowledged(ROOM, "alice", writer.number(ROOM, "alice"), offset)
    ear = listener.listen("bob", ROOM, 0)
    ear.hear("alice", 1)
    assert counts(judge([writer.page, listener.page])) == (1, 0, 0, 0)
    ear.hear("alice", 2)
    assert counts(judge([listener.page, writer.page])) == (0, 0, 0, 0)


def test_somebody_seen_in_a_room_too_long_after_going_is_a_ghost() -> None:
    ledger = Ledger()
    ledger.came("pid-1", ROOM, 100.0)
    ledger.gone("pid-1", 110.0)
    ledger.seen("pid-1", ROOM, 110.0 + GHOST_SECONDS - 1)
    assert counts(judge([ledger.page])) == (0, 0, 0, 0)
    ledger.seen("pid-1", ROOM, 110.0 + GHOST_SECONDS + 1)
    assert counts(judge([ledger.page])) == (0, 0, 0, 1)


def test_whoever_is_put_out_as_slowly_as_others_leave_is_no_ghost() -> None:
    ledger = Ledger()
    ledger.came("pid-1", ROOM, 100.0)
    ledger.gone("pid-1", 110.0)
    ledger.seen("pid-1", ROOM, 137.0)
    assert counts(judge([ledger.page])) == (0, 0, 0, 1)
    ledger.changed(109.0, 9.0)  # before it went
    ledger.changed(150.0, 9.0)  # after it was seen
    ledger.changed(136.0, 1.0)
    assert counts(judge([ledger.page])) == (0, 0, 0, 1)
    other = Ledger()
    other.changed(136.0, 5.0)
    assert counts(judge([ledger.page, other.page])) == (0, 0, 0, 0)
    ledger.seen("pid-1", ROOM, 138.0)
    assert counts(judge([ledger.page, other.page])) == (0, 0, 0, 1)


def test_after_leases_were_lost_they_begin_anew() -> None:
    ledger = Ledger()
    ledger.came("pid-1", ROOM, 100.0)
    ledger.gone("pid-1", 110.0)
    ledger.seen("pid-1", ROOM, 150.0)
    assert counts(judge([ledger.page], [(130.0, 131.0)])) == (0, 0, 0, 0)
    assert counts(judge([ledger.page], [(120.0, 124.0)])) == (0, 0, 0, 1)
    assert counts(judge([ledger.page], [(140.0, 149.0)])) == (0, 0, 0, 1)


def test_somebody_in_a_room_as_whom_nobody_came_is_a_ghost() -> None:
    here, there = Ledger(), Ledger()
    here.seen("pid-1", ROOM, 100.0)
    assert counts(judge([here.page])) == (0, 0, 0, 0)
    here.seen("pid-1", ROOM, 101.0 + GHOST_SECONDS)
    assert counts(judge([here.page])) == (0, 0, 0, 1)
    there.came("pid-1", ROOM, 99.0)
    assert counts(judge([here.page, there.page])) == (0, 0, 0, 0)


def together(*, came: float = 100.0, gone: float | None = None) -> Ledger:
    """Two in a room, of whom one wants to be connected to the other since 110."""
    ledger = Ledger()
    ledger.came("pid-1", ROOM, 100.0)
    ledger.came("pid-2", ROOM, came)
    if gone:
        ledger.gone("pid-2", gone)
    ledger.wanted("pid-1", "pid-2", ROOM, 110.0)
    return ledger


def apart(*ledgers: Ledger, at: float) -> tuple[int, int]:
    verdict = judge([decoded(one.encoded(at)) for one in ledgers])
    assert len(verdict.examples) == verdict.apart
    return verdict.pairs, verdict.apart


def test_two_who_were_together_and_never_connected_are_found() -> None:
    ledger = together()
    assert apart(ledger, at=110.0 + APART_SECONDS - 1) == (0, 0)
    assert apart(ledger, at=110.0 + APART_SECONDS + 1) == (0, 1)
    ledger.connected("pid-1", "pid-2")
    assert apart(ledger, at=200.0) == (1, 0)


@pytest.mark.parametrize(("until", "found"), [(134.0, 0), (136.0, 1)])
def test_a_pair_is_judged_by_when_one_gave_the_other_up(until: float, found: int) -> None:
    ledger = together()
    ledger.parted("pid-1", "pid-2", until)
    assert apart(ledger, at=900.0) == (0, found)


def test_whoever_was_gone_by_then_could_not_be_reached() -> None:
    here, there = together(), Ledger()
    here.parted("pid-1", "pid-2", 140.0)
    there.came("pid-2", ROOM, 90.0)
    there.gone("pid-2", 112.0)  # it crashed, and its place was there for as long as its lease
    assert apart(here, there, at=200.0) == (0, 0)
    assert apart(here, at=200.0) == (0, 1)


def sounding(*, sent: int, heard: int, missed: int = 0, gone: float | None = None) -> Verdict:
    """Of two workers, at one of which is who speaks, at the other who listens."""
    here, there = together(gone=gone), Ledger()
    out, in_ = here.way("pid-1", "pid-2"), there.way("pid-1", "pid-2")
    out.since, out.sent = 115.0, sent
    in_.heard, in_.missed = heard, missed
    here.connected("pid-1", "pid-2")
    return judge([decoded(one.encoded(130.0)) for one in (here, there)])


def test_sound_is_counted_at_both_ends() -> None:
    found = sounding(sent=700, heard=690, missed=2)
    assert (found.ways, found.deaf) == (1, 0)
    assert (found.frames_heard, found.frames_missed) == (690, 2)


def test_who_hears_nothing_of_somebody_who_speaks_is_deaf() -> None:
    found = sounding(sent=700, heard=0)
    assert (found.ways, found.deaf) == (1, 1)
    assert found.examples == ["pid-2 heard nothing of pid-1 in 15 s, who sent 700 frames"]
    assert sounding(sent=700, heard=0, gone=118.0).deaf == 0, "it had crashed"


def test_many_random_faults_are_counted_one_by_one() -> None:
    chance = Random(7)
    for _ in range(200):
        talk, size = Talk(), chance.randint(5, 60)
        talk.said(*range(1, size + 1))
        lost = set(chance.sample(range(1, size + 1), chance.randint(0, 4)))
        heard = [number for number in range(1, size + 1) if number not in lost]
        doubled = chance.sample(heard, chance.randint(0, min(4, len(heard))))
        talk.heard(*heard, *doubled)
        assert counts(talk.verdict()) == (len(lost), len(doubled), 0, 0)


def test_examples_are_few_and_counts_are_whole() -> None:
    talk = Talk()
    talk.said(*range(1, 101))
    verdict = talk.verdict()
    assert verdict.lost == 100
    assert len(verdict.examples) == 10
    assert verdict.examples[0] == (
        "bob in conversation-1 never heard alice's number 1, which was acknowledged"
    )
