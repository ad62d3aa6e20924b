"""What the master tells its workers, beside locust's own messages.

`order` before the first user, answered by `staged`; `pace` at each phase, turns a second of one
user by kind; `happening`, what befalls sockets and for how long; `finish` at the end, answered
by `finished` once log and ledger of the worker are on the disk.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`web` and `gateways` are base URLs, of REST and of sockets. `folder` is a path that every
    worker reaches; `began` is `Run.began`; `accounts` are those of all, as `people.Account`s."""

    run: str
    folder: str
    began: float
    web: str
    gateways: list[str]
    local: bool
    accounts: list[dict[str, Any]]
    mix: str
    media: str
    workers: int
