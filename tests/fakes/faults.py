"""What can go wrong with a service on the way, for the fakes in this folder."""

import threading
import time
from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Fault:
    """Strikes the next `times` requests of `method` whose path holds `path`; "" is any.

    `status`: the answer instead of carrying the request out. `cut`: the connection is closed
    before the request is carried out, in the middle of the answer, or after it was carried out
    but before anything is answered, which a client cannot tell from the first. `delay` seconds
    pass before any of it.
    """

    status: int | None = None
    cut: Literal["before", "midway", "after"] | None = None
    delay: float = 0.0
    method: str = ""
    path: str = ""
    times: int = 1


class Faults:
    """The faults that are still to strike, and how often each path was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self.requests: list[tuple[str, str]] = []

    def plan(self, *faults: Fault) -> None:
        with self._lock:
            self._waiting += faults

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def strike(self, method: str, path: str) -> Fault | None:
        """Note the request; the fault that it meets, after its delay."""
        with self._lock:
            self.requests.append((method, path))
            fault = next((f for f in self._waiting if _meets(f, method, path)), None)
            if fault:
                fault.times -= 1
                if not fault.times:
                    self._waiting.remove(fault)
        if fault and fault.delay:
            time.sleep(fault.delay)
        return fault


def _meets(fault: Fault, method: str, path: str) -> bool:
    return fault.method in {"", method} and fault.path in path
