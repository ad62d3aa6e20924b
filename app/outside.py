"""Calls of services that are not ours: timed, counted, and left alone for a moment when away.

Each process has a `Service` for each of them (for Cloud KMS, one for each key). Whoever calls it
bounds the call: time-outs, and a few attempts with jitter. When such a call has shown that the
service is away, nobody else here waits as long for the same: for PAUSE seconds all are refused
at once. Then one of them asks again; if that goes well, so do all others. No person is needed.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import SystemRandom

from app import metrics

logger = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds at most; half of it at least, so that not all processes ask at the same moment."""
TRIAL = 60.0
"""Seconds after which whoever asked again is taken for lost: longer than any call with bounds."""


class LeftAlone(Exception):
    """The service was away a moment ago and was not asked; `told` is what was found then."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


def _never(_: Exception) -> str:
    return ""


class Service:
    """One service, as this process knows it. Threads share it.

    `away` says in a word why an error means that the service is away for everybody; "" where it
    concerns this call alone, such as an object that is refused. Never anything of what was sent.
    `fine` are errors that are an answer like another.
    """

    def __init__(
        self,
        name: str,
        *,
        away: Callable[[Exception], str] = _never,
        fine: tuple[type[Exception], ...] = (),
    ) -> None:
        self.name, self._away, self._fine = name, away, fine
        self.forget()
        services.append(self)

    def forget(self) -> None:
        """Know nothing of it, as at the start."""
        self._lock = threading.Lock()
        self._told, self._until, self._well_at = "", 0.0, 0.0

    @property
    def is_away(self) -> bool:
        """Whether it was away when it was last asked."""
        return bool(self._told)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Around one call, with all its attempts. Raises LeftAlone instead of waiting in vain."""
        self._enter()
        began = time.monotonic()
        outcome = "failed"
        try:
            yield
            outcome = "ok"
            self._found_well()
        except Exception as error:
            if isinstance(error, self._fine):
                outcome = "ok"
            if told := self._away(error):
                self._found_away(told, began)
            else:
                self._found_well()  # it has answered
            raise
        finally:
            metrics.OUTSIDE_SECONDS.of(self.name).observe(time.monotonic() - began)
            metrics.OUTSIDE_CALLS.add(self.name, outcome)

    def _enter(self) -> None:
        if not self._told:
            return
        with self._lock:
            now = time.monotonic()
            if self._told and now < self._until:
                metrics.OUTSIDE_CALLS.add(self.name, "refused")
                raise LeftAlone(self._told)
            # This one tries, and the others still do not wait for it.
            self._until = now + TRIAL

    def _found_away(self, told: str, began: float) -> None:
        with self._lock:
            if began < self._well_at:
                return  # somebody who asked later was answered
            if not self._told:
                logger.warning("outside_away", extra={"service": self.name, "reason": told})
            self._told = told
            self._until = time.monotonic() + SystemRandom().uniform(PAUSE / 2, PAUSE)
        _tell(self.name)

    def _found_well(self) -> None:
        self._well_at = time.monotonic()
        if not self._told:
            return
        with self._lock:
            self._told = ""
        logger.warning("outside_back", extra={"service": self.name})
        _tell(self.name)


services: list[Service] = []


def away(name: str) -> bool:
    """Whether a service of this name was away when it was last asked."""
    return any(one.is_away for one in services if one.name == name)


def forget() -> None:
    """Know nothing of any service: in a forked child, whose parent may have held the locks."""
    for one in services:
        one.forget()


def _tell(name: str) -> None:
    metrics.OUTSIDE_AWAY.set(float(away(name)), name)


os.register_at_fork(after_in_child=forget)
