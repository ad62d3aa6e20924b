"""Counts messages that are numbered in a ring: a lost, doubled or early one is noticed.

A message holds its number as `#07` somewhere in its text, and no other `#`.
"""

import asyncio
from collections.abc import Sequence

from benchmarks.figures import Incorrect

RING = 64
PATIENCE, _LOOK = 30.0, 0.01


def numbered(number: int) -> str:
    """Return the mark of a message; numbers go up to RING - 1 and begin again."""
    return f"#{number % RING:02}"


class Counter:
    """What one socket receives: in order, from number 0 on."""

    def __init__(self) -> None:
        self.received = self.wrong = 0
        self.refused: list[bytes] = []
        self._expected = 0

    def count(self, texts: Sequence[bytes]) -> int:
        """Return how many of the texts are messages; what is no message must be no refusal."""
        expected, messages = self._expected, 0
        for text in texts:
            at = text.find(b"#")
            if at < 0:
                if b'"err"' in text:
                    self.refused.append(text)
                continue
            number = int(text[at + 1 : at + 3])
            if number != expected:
                self.wrong += 1
            expected = (number + 1) % RING
            messages += 1
        self._expected = expected
        self.received += messages
        return messages


async def arrived(counters: Sequence[Counter], expected: Sequence[int]) -> None:
    """Wait for what each counter is to receive. Raises Incorrect where it did not, in order."""
    for _ in range(int(PATIENCE / _LOOK)):
        if all(one.received >= number for one, number in zip(counters, expected, strict=True)):
            break
        await asyncio.sleep(_LOOK)
    check(counters, expected)


def check(counters: Sequence[Counter], expected: Sequence[int]) -> None:
    """Raise Incorrect unless each counter received as many as expected of it, in order."""
    pairs = zip(counters, expected, strict=True)
    missing = sum(max(0, number - counter.received) for counter, number in pairs)
    wrong = sum(counter.wrong for counter in counters)
    refused = [text for counter in counters for text in counter.refused]
    if missing or wrong or refused:
        first = refused[0].decode(errors="replace") if refused else ""
        raise Incorrect(
            f"{missing} messages lost, {wrong} out of order, {len(refused)} refused {first}"
        )
