"""What the master tells its workers, beside locust's own messages.

`order` to each that is `ready`, answered by some questions for the `clock`, and then `staged`;
`pace` at each phase, turns a second of one user by kind; `happening`, what befalls sockets and for
how long; `serving`, to which gateways whoever connects goes from now on; `finish` at the end,
answered by `finished` with all of log and ledger that has not come with a report (`post.py`).
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`web` and `gateways` are base URLs, of REST and of sockets. `number` is the worker's, of
    `workers`; `began` is `Run.began`; `accounts` are those of all, as `people.Account`s."""

    run: str
    began: float
    web: str
    gateways: list[str]
    local: bool
    accounts: list[dict[str, Any]]
    mix: str
    media: str
    workers: int
    number: int = 0
