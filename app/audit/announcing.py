"""Tells whoever listens that entries are sealed. A hint: nothing depends on its arrival."""

import json
from collections.abc import Iterator, Sequence

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.audit.sealer import Sealed

CHANNEL = "parley:log"
_ENTRIES_IN_A_MESSAGE = 500
_PATIENCE = 1.0
"""Seconds. Sealing goes on at its pace when Redis hangs."""

log = structlog.get_logger(__name__)


class Announcer:
    """Publishes each checkpoint on CHANNEL; logs, and never raises, when Redis is away."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._away = False

    def __call__(self, sealed: Sequence[Sealed]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for message in _messages(sealed):
            pipeline.publish(CHANNEL, message)
        try:
            pipeline.execute()
        except redis.RedisError as error:
            if not self._away:
                log.warning("announcing_failed", reason=type(error).__name__)
            self._away = True
        else:
            self._away = False


def _messages(sealed: Sequence[Sealed]) -> Iterator[str]:
    """`{"organization", "size", "entries": [[scope, target type, target id, index], …]}`.

    Only entries of a conversation are listed; a long list is cut into several messages.
    """
    for each in sealed:
        entries = [
            [str(entry.scope), entry.target_type, entry.target_id, index]
            for entry, index in each.entries
            if entry.scope is not None
        ]
        for start in range(0, len(entries) or 1, _ENTRIES_IN_A_MESSAGE):
            part = entries[start : start + _ENTRIES_IN_A_MESSAGE]
            document = {
                "organization": str(each.organization),
                "size": each.size,
                "entries": part,
            }
            yield json.dumps(document)
