"""What is done to the house while it is under load: each begins with its phase.

Each returns what ends it, for the second half of the phase; None where it ends by itself.
"""

from collections.abc import Callable

import gevent
import redis

from loadtests.house import House

Ending = Callable[[], None] | None


def kill_an_instance(house: House) -> Ending:
    """SIGKILL of a gateway with all its processes; another takes its place."""
    house.gateways[0].kill()
    return house.gateways[0].start


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
