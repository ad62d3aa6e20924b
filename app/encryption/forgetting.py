"""Tells every process to forget data keys that have ended, and hears of it: over Redis, at once.

A hint may be lost. So whoever was not connected forgets all keys when it is again, and without
Redis a key is held until it expires (`DATA_KEY_SECONDS`).
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterable
from random import SystemRandom
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from app.encryption.keyring import keyring
from app.realtime import hints

logger = logging.getLogger(__name__)

CHANNEL = "parley:keys"
_SILENCE = 5.0
_LONGEST_PAUSE = 2.0

_following = False


def tell(keys: Iterable[UUID]) -> None:
    """Call it once their end is committed."""
    ended = list(keys)
    keyring.drop([key.bytes for key in ended])
    for start in range(0, len(ended), 1000):
        names = [str(key) for key in ended[start : start + 1000]]
        hints.publish([hints.Hint(CHANNEL, json.dumps(names).encode())])


def follow() -> None:
    """Hear, from now on and in a thread, what other processes tell; in a forked child too."""
    global _following  # noqa: PLW0603 - as there is one keyring a process
    if not _following:
        _following = True
        threading.Thread(target=_run, name="forgetting", daemon=True).start()


def _again_in_child() -> None:
    global _following  # noqa: PLW0603
    if _following:  # the thread stayed with the parent
        _following = False
        follow()


os.register_at_fork(after_in_child=_again_in_child)


def _run() -> None:
    pause = 0.1
    while True:
        client: Any = redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=_SILENCE * 2
        )
        try:
            with client, client.pubsub() as pubsub:
                pubsub.subscribe(CHANNEL)
                while True:
                    message = pubsub.get_message(timeout=_SILENCE)
                    if message is None:
                        pubsub.ping()
                    elif message["type"] == "subscribe":
                        keyring.drop()  # what was told before, we may have missed
                        pause = 0.1
                    elif message["type"] == "message":
                        keyring.drop(_named(message["data"]))
        except (redis.RedisError, OSError) as error:
            logger.warning("redis_unavailable", extra={"error": type(error).__name__})
        time.sleep(SystemRandom().uniform(0, pause))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _named(payload: bytes) -> list[bytes] | None:
    try:
        return [UUID(name).bytes for name in json.loads(payload)]
    except (ValueError, TypeError, AttributeError):
        return None  # not to be understood: forget everything
