"""What is done to the house while it is under load: each begins with its phase.

Each returns what ends it, for the second half of the phase; None where it ends by itself.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import gevent
import redis

from loadtests.house import House
from loadtests.record import Resources

GAP_SECONDS = 6.0  # `app.voice.lifetimes.GAP_MS`
Ending = Callable[[], None] | None


def kill_an_instance(house: House) -> Ending:
    """SIGKILL of a gateway with all its processes; another takes its place, and nobody is sent
    there before it is ready."""
    victim, *others = house.gateways
    victim.kill()
    house.on_serving([one.url for one in others])

    def another() -> None:
        victim.start()
        victim.become_ready(gevent.sleep)
        house.on_serving([one.url for one in house.gateways])

    return another


def restart_redis(house: House) -> Ending:
    """What it held is gone: leases, presence and hints that were under way."""
    house.redis.stop()
    house.redis.start()
    return None


def cut_pubsub(house: House) -> Ending:
    """The connections over which instances hear of each other's events."""
    with redis.Redis.from_url(house.redis.url) as client:
        client.client_kill_filter(_type="pubsub")
    return None


def roll(house: House) -> Ending:
    """A new revision takes the place of one instance, and then of the others."""
    first, *others = house.gateways
    house.replace(first, gevent.sleep)

    def rest() -> None:
        for gateway in others:
            house.replace(gateway, gevent.sleep)

    return rest


def lease_gaps(samples: Sequence[Resources]) -> list[tuple[float, float]]:
    """Return from when until when nobody looked after leases, in seconds of the run: then they
    begin anew, as docs/decisions/0016 says. Whatever the reason: Redis away, or no processor."""
    gaps: list[tuple[float, float]] = []
    for sample, after in pairwise(samples):
        swept = sample.redis.swept if sample.redis else None
        if swept is None or swept >= GAP_SECONDS:
            began = sample.second - (swept or 0.0)
            if gaps and gaps[-1][1] >= began:
                began = gaps.pop()[0]
            gaps.append((began, after.second))
    return gaps


OF_HOUSE: dict[str, Callable[[House], Ending]] = {
    "instance killed": kill_an_instance,
    "redis restarted": restart_redis,
    "pub/sub cut": cut_pubsub,
    "instances rolled": roll,
}
OF_USERS = {"sockets cut": "storm", "a reader slow": "slow"}
"""Done by the users themselves; the message that tells them."""
LOSES_LEASES = "redis restarted"
"""After it whoever has a place in a room has it for another lease: docs/decisions/0016."""
GRANTED_SECONDS = 5.0
"""By then a sweep has granted them: Redis is back within two seconds, and sweeps are at most 2.5
apart (`app.voice.reaper.SECONDS`)."""
