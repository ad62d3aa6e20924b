"""A hub's view of a voice room: who may signal whom, and what waits for the log."""

from typing import Any

import msgspec
import pytest

from app.errors import NotFound, StaleGeneration
from app.realtime import protocol
from app.realtime.rooms import MAX_HELD, Room, Seat

STREAM = "voice:11111111-1111-4111-8111-111111111111"
ANN, BEN, CAL = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abc")


class Ear:
    """A socket that remembers what it was offered."""

    def __init__(self) -> None:
        self.seat: Seat | None = None
        self.heard: list[bytes] = []

    def offer(self, frame: bytes, *, ephemeral: bool = False) -> None:
        self.heard.append(frame)


def left(pid: str) -> dict[str, Any]:
    return {"pid": pid, "user": pid, "reason": "left", "by": None, "at": ""}


def signal(sender: str, to: str, gen: int = 1, sender_gen: int = 1) -> bytes:
    told = protocol.VoiceSignalData(to, gen, "n1", candidate=protocol.Candidate("candidate:1"))
    return protocol.signalled(STREAM, sender, sender_gen, told)


def a_room(**seated: Ear) -> Room:
    room = Room()
    room.read({ANN: 1, BEN: 1})
    for name, ear in seated.items():
        room.sit(ear, Seat(STREAM, {"ann": ANN, "ben": BEN, "cal": CAL}[name], 1))
    return room


def test_who_sits_here_is_found_and_who_sits_elsewhere_is_known() -> None:
    ann = Ear()
    room = a_room(ann=ann)
    assert room.find(ANN, 1) is ann
    assert room.find(BEN, 1) is None


def test_a_stranger_and_an_old_generation_are_refused() -> None:
    room = a_room()
    with pytest.raises(NotFound):
        room.find(CAL, 1)
    with pytest.raises(StaleGeneration):
        room.find(ANN, 2)


def test_who_left_has_no_seat_and_hears_no_signal() -> None:
    ann = Ear()
    room = a_room(ann=ann)
    room.follow("voice.left", left(ANN))
    assert ann.seat is None
    room.pass_on(signal(BEN, ANN))
    room.pass_on_held()
    assert ann.heard == []
    with pytest.raises(NotFound):
        room.find(ANN, 1)


def test_who_resumed_elsewhere_loses_the_old_seat() -> None:
    ann = Ear()
    room = a_room(ann=ann)
    room.follow("voice.resumed", {"pid": ANN, "gen": 2})
    assert ann.seat is None
    with pytest.raises(StaleGeneration):
        room.find(ANN, 1)
    assert room.find(ANN, 2) is None


def test_a_place_that_is_gone_when_the_answer_comes_is_no_seat() -> None:
    room, ann = Room(), Ear()
    room.read({ANN: 2})
    room.sit(ann, Seat(STREAM, ANN, 1))
    assert ann.seat is None


def test_a_signal_from_elsewhere_is_for_one_socket_alone() -> None:
    ann, ben = Ear(), Ear()
    room = a_room(ann=ann, ben=ben)
    assert room.pass_on(signal(BEN, ANN))
    assert (len(ann.heard), len(ben.heard)) == (1, 0)


def test_a_signal_that_came_before_its_senders_joining_is_passed_on_after_it() -> None:
    ann = Ear()
    room = a_room(ann=ann)
    assert not room.pass_on(signal(CAL, ANN))
    assert ann.heard == []
    room.follow("voice.joined", {"participant": {"pid": CAL, "gen": 1}})
    room.pass_on_held()
    assert ann.heard == [signal(CAL, ANN)]
    room.pass_on_held()
    assert len(ann.heard) == 1


def test_a_signal_of_somebody_who_never_comes_is_forgotten() -> None:
    ann = Ear()
    room = a_room(ann=ann)
    for stale in (signal(CAL, ANN), signal(BEN, ANN, gen=3), signal(BEN, ANN, sender_gen=3)):
        assert not room.pass_on(stale)
    room.pass_on_held()
    room.follow("voice.joined", {"participant": {"pid": CAL, "gen": 1}})
    room.pass_on_held()
    assert ann.heard == []


def test_what_is_held_is_bounded() -> None:
    ann = Ear()
    room = a_room(ann=ann)
    for _ in range(MAX_HELD + 50):
        room.pass_on(signal(CAL, ANN))
    room.follow("voice.joined", {"participant": {"pid": CAL, "gen": 1}})
    room.pass_on_held()
    assert len(ann.heard) == MAX_HELD


def test_where_somebody_sits_is_learned_from_their_signals_and_forgotten_with_their_place() -> None:
    ann = Ear()
    room = a_room(ann=ann)
    assert room.address_of(BEN) == ""
    assert room.pass_on(signal(BEN, ANN), "there")
    assert not room.pass_on(signal(BEN, ANN, sender_gen=3), "a liar")
    assert room.address_of(BEN) == "there"
    room.follow("voice.resumed", {"pid": BEN, "gen": 2})
    assert room.address_of(BEN) == ""
    assert room.pass_on(signal(BEN, ANN, sender_gen=2), "elsewhere")
    assert room.address_of(BEN) == "elsewhere"
    room.follow("voice.left", left(BEN))
    assert room.address_of(BEN) == ""


def test_a_process_knows_whether_a_signal_is_for_somebody_here() -> None:
    room = a_room(ann=Ear())
    assert room.has(signal(BEN, ANN))
    assert not room.has(signal(ANN, BEN))


def test_what_is_handed_on_is_the_schemas_event_with_the_servers_word_on_the_sender() -> None:
    told = protocol.VoiceSignalData(
        BEN, 3, "n1", description=protocol.Description("offer", "v=0\r\n\u2028")
    )
    push = msgspec.json.decode(protocol.signalled(STREAM, ANN, 2, told))
    assert push.keys() == {"s", "t", "d"}
    event = msgspec.convert({"t": push["t"], **push["d"]}, protocol.VoiceSignalled)
    assert event == protocol.VoiceSignalled(BEN, 3, ANN, 2, "n1", told.description)


def test_nobody_can_say_who_they_are_in_a_signal() -> None:
    d = {"to": BEN, "gen": 1, "neg": "n", "sender": CAL}
    with pytest.raises(protocol.BadFrame, match="sender"):
        protocol.decode(msgspec.json.encode({"id": 1, "op": "voice.signal", "d": d}))
