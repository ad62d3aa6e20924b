"""However two peers' offers cross, they end in one connection."""

from functools import partial

import pytest

from app.realtime.client.negotiation import Answer, Negotiation, Offer, Repeat, Seat
from app.realtime.protocol import Candidate, Description, VoiceSignalled
from tests.realtime.client.pair import (
    IMPOLITE,
    POLITE,
    World,
    assert_one_stable_connection,
    pair,
)

PAIRS = 10_000


def test_peerjs_428_of_10_000_simultaneous_offers_every_pair_gets_one_stable_connection() -> None:
    crossed = 0
    for seed in range(PAIRS):
        world = World(seed)
        polite, impolite = pair(world)
        # Within the time that an offer takes to arrive, or to be made.
        for side in (polite, impolite):
            side.later(world.chance.random() / 10, side.negotiation.needed)
        world.run()
        assert_one_stable_connection(polite, impolite)
        assert all(side.connection.candidates for side in (polite, impolite))
        crossed += impolite.negotiation._seen > 0 and polite.negotiation._number > 0
    assert crossed > PAIRS / 4, "too few offers met each other"


@pytest.mark.parametrize("loss", [0.1, 0.4])
def test_signals_that_are_lost_or_come_twice_only_delay_the_connection(loss: float) -> None:
    for seed in range(1000):
        world = World(seed, loss=loss, twice=0.2)
        sides = pair(world)
        for side in sides:
            for _ in range(world.chance.randint(1, 4)):
                need = partial(side.negotiation.needed, restart=world.chance.random() < 0.3)
                side.later(world.chance.random() * 2, need)
        world.run()
        assert_one_stable_connection(*sides)


def test_connections_begun_anew_on_either_side_or_both_meet_in_one_round() -> None:
    for seed in range(1000):
        world = World(seed, loss=0.1)
        sides = pair(world)
        for side in sides:
            side.later(world.chance.random(), side.negotiation.needed)
            for _ in range(world.chance.randint(0, 2)):
                side.later(world.chance.random(), side.negotiation.restart)
        world.run()
        assert_one_stable_connection(*sides)


def test_a_side_that_comes_back_in_another_generation_keeps_its_connection() -> None:
    for seed in range(1000):
        world = World(seed)
        polite, impolite = sides = pair(world)
        for side in sides:
            side.later(world.chance.random() / 10, side.negotiation.needed)
        # The one knows of itself at once, the other hears of it; signals between are lost.
        back = world.chance.random() / 3
        heard = back + world.chance.random() / 5
        polite.later(back, partial(polite.negotiation.renewed, me=2))
        impolite.later(heard, partial(impolite.negotiation.renewed, peer=2))
        for side in sides:
            side.later(heard + 5, side.negotiation.overdue)
        world.run()
        assert_one_stable_connection(*sides)


def signal(**changes: object) -> VoiceSignalled:
    fields: dict[str, object] = {
        "to": POLITE, "gen": 3, "sender": IMPOLITE, "sender_gen": 5, "neg": "1.1i",
        "description": Description("offer", "v=0"),
    }  # fmt: skip
    return VoiceSignalled(**fields | changes)  # type: ignore[arg-type]


def negotiation() -> Negotiation:
    return Negotiation(Seat(POLITE, 3), Seat(IMPOLITE, 5))


@pytest.mark.parametrize(
    "changes",
    [
        {"gen": 2},
        {"gen": 4},
        {"sender_gen": 4},
        {"sender_gen": 6},
        {"sender": POLITE},
        {"to": IMPOLITE},
        {"neg": ""},
        {"neg": "0.1i"},
        {"neg": "1.1"},
        {"neg": "1.1i\n"},
        {"description": Description("answer", "v=0")},
        {"description": Description("rollback")},
        {"description": None, "candidate": Candidate("candidate:1")},
    ],
)
def test_what_is_not_for_this_generation_or_names_no_offer_changes_nothing(
    changes: dict[str, object],
) -> None:
    one = negotiation()
    assert not one.received(signal(**changes))
    assert one.received(signal()), "the same without the change is taken"


def test_an_offer_of_an_older_round_or_number_is_dropped_and_one_of_a_newer_round_taken() -> None:
    one = negotiation()
    assert one.received(signal(neg="2.2i"))
    assert not one.received(signal(neg="1.9i"))
    assert not one.received(signal(neg="2.1i"))
    assert one.received(signal(neg="2.3i"))
    assert one.received(signal(neg="3.1i"))
    assert one.round == 3


def test_an_offer_that_comes_again_gets_its_answer_again() -> None:
    one = negotiation()
    one.received(signal())
    assert one.received(signal()) == [Repeat("1.1i")]


def test_an_offer_above_an_answer_that_was_lost_blocks_neither_side() -> None:
    """The impolite side waits for that answer, and takes no offer before it."""
    one = negotiation()
    one.received(signal())
    assert one.needed() == [Offer("1.1p", restart=False)]
    offer = Description("offer", "v=0")
    again = [Answer("1.1i", offer, rollback=True), Offer("1.2p", restart=False)]
    assert one.received(signal(description=offer)) == again


def test_an_ice_restart_that_lost_against_the_peers_offer_is_offered_afterwards() -> None:
    one = negotiation()
    assert one.needed(restart=True) == [Offer("1.1p", restart=True)]
    _, again = one.received(signal())
    assert again == Offer("1.2p", restart=True)


def test_what_was_wanted_while_an_offer_waited_is_offered_once_the_answer_is_there() -> None:
    one = negotiation()
    one.needed()
    assert not one.needed()
    assert not one.needed()
    _, offer = one.received(signal(neg="1.1p", description=Description("answer", "v=0")))
    assert offer == Offer("1.2p", restart=False)


def test_candidates_of_the_peers_present_description_alone_are_added() -> None:
    impolite = Negotiation(Seat(IMPOLITE, 1), Seat(POLITE, 1))
    impolite.needed()
    lost = {"to": IMPOLITE, "gen": 1, "sender": POLITE, "sender_gen": 1}
    impolite.received(signal(**lost, neg="1.1p"))
    candidate = {"description": None, "candidate": Candidate("candidate:1")}
    assert not impolite.received(signal(**lost, neg="1.1p", **candidate))
    impolite.received(signal(**lost, neg="1.1i", description=Description("answer", "v=0")))
    assert not impolite.received(signal(**lost, neg="1.1p", **candidate))
    assert impolite.received(signal(**lost, neg="1.1i", **candidate))
