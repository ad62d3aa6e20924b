"""What became of each conversation of an export: how much, and what could not be put in."""

from collections import Counter
from typing import Any

OUTSIDE = ""
"""The item of what happened outside of conversations."""


class Items:
    """Counts by conversation; memory grows with conversations only."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self._counts = {
            key: Counter(counts) for key, counts in (state or {}).get("counts", {}).items()
        }
        self._errors: dict[str, dict[str, Any]] = dict((state or {}).get("errors", {}))

    def state(self) -> dict[str, Any]:
        """For the journal, to go on from."""
        return {"counts": self._counts, "errors": self._errors}

    def count(self, conversation: str | None, what: str) -> None:
        self._counts.setdefault(conversation or OUTSIDE, Counter())[what] += 1

    def failed(self, conversation: str | None, what: str, error: dict[str, Any]) -> None:
        """Something could not be put in; the first of each conversation is told."""
        self.count(conversation, what)
        self._errors.setdefault(conversation or OUTSIDE, error)

    @property
    def failures(self) -> int:
        return sum(
            counts["texts_missing"] + counts["files_missing"] for counts in self._counts.values()
        )

    def rows(self) -> list[dict[str, Any]]:
        """The rows of items.jsonl, by conversation; null is outside of conversations."""
        return [
            {
                "conversation": conversation or None,
                "state": "partial" if conversation in self._errors else "complete",
                **{name: counts[name] for name in NUMBERS},
                "first_error": self._errors.get(conversation),
            }
            for conversation, counts in sorted(self._counts.items())
        ]

    def partial(self) -> list[dict[str, Any]]:
        """Those that are not complete."""
        return [row for row in self.rows() if row["first_error"]]


NUMBERS = (
    "entries",
    "versions",
    "texts_erased",
    "texts_missing",
    "files",
    "files_erased",
    "files_missing",
)
