"""A SIEM's HTTP collector: takes events as lines of JSON, all of a page or none.

Fluent Bit, Vector, Cribl, Logstash and Splunk's HTTP event collector (its raw endpoint) do.
"""

import json
import time
from collections.abc import Sequence
from random import SystemRandom
from typing import Any

import requests

from app.outside import Service

_TIMEOUT = (5.0, 30.0)  # seconds: to connect, to wait for an answer
_TRIES = 5
_LONGEST_PAUSE = 20.0
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_SERVICE = Service("siem")  # one job asks for all logs, and gives up by itself


class CollectorFailed(RuntimeError):
    """It did not take a page; the text names no credential."""


class Collector:
    """Posts to `url`; a failure that may pass is tried again, which may bring a page twice."""

    def __init__(self, url: str, authorization: str = "", *, pause: float = 0.5) -> None:
        self._url, self._pause = url, pause
        self._headers = {"Content-Type": "application/x-ndjson"}
        if authorization:
            self._headers["Authorization"] = authorization

    def __call__(self, events: Sequence[dict[str, Any]]) -> None:
        """Raises CollectorFailed."""
        body = lines(events).encode()
        for attempt in range(_TRIES):
            if attempt:
                longest = min(self._pause * 2**attempt, _LONGEST_PAUSE)
                time.sleep(SystemRandom().uniform(longest / 2, longest))
            told, again = self._post(body)
            if not told:
                return
            if not again:
                break
        raise CollectorFailed(told)

    def _post(self, body: bytes) -> tuple[str, bool]:
        """What went wrong ("" for nothing), and whether it may pass."""
        try:
            with _SERVICE.asked():
                answer = requests.post(
                    self._url,
                    data=body,
                    headers=self._headers,
                    timeout=_TIMEOUT,
                    # Somebody else would get the log, and our credential.
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            return type(error).__name__, True
        status = answer.status_code
        return ("" if 200 <= status < 300 else f"it answered {status}"), status in _PASSING


def lines(events: Sequence[dict[str, Any]]) -> str:
    """A line of JSON for each."""
    return "".join(f"{json.dumps(one, separators=(',', ':'))}\n" for one in events)
