"""What a load test writes into a message, so that it can be told apart from every other.

lt1:<run>:<sender>:<number>:<intended, microseconds since the epoch> and then some words
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TEXT = (
    "admission bed chart discharge dose handover labs patient pharmacy potassium repeat result "
    "rota rounds shift step-down transfer transport ward noon"
)
WORDS = _TEXT.split()
_MARK = re.compile(r"lt1:([0-9a-z]{1,16}):([0-9a-z-]{1,40}):([0-9]{1,15}):([0-9]{1,17})(?: |$)")


@dataclass(frozen=True, slots=True)
class Payload:
    """`number` counts what `sender` wrote into one conversation, from 1. `intended` in seconds."""

    run: str
    sender: str
    number: int
    intended: float

    def text(self, length: int = 0) -> str:
        """The text of a message, filled up with words to about `length` characters."""
        mark = f"lt1:{self.run}:{self.sender}:{self.number}:{int(self.intended * 1e6)}"
        return " ".join(itertools.chain([mark], _words(self.number, length - len(mark))))

    @classmethod
    def read(cls, text: str | None) -> "Payload | None":
        """Return what a text carries; None for everything that no load test wrote."""
        found = _MARK.match(text or "")
        if not found:
            return None
        return cls(found[1], found[2], int(found[3]), int(found[4]) / 1e6)


def _words(start: int, length: int) -> Iterator[str]:
    for word in itertools.islice(itertools.cycle(WORDS), start % len(WORDS), None):
        length -= len(word) + 1
        if length < 0:
            return
        yield word
