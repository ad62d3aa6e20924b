"""What a comparison of the database with its trail can find; alerts rely on the codes."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.audit.findings import MOST_PROBLEMS, Problem


class Fault(StrEnum):
    """What does not hold; the values are stored and shown."""

    MISSING = "version_missing"
    """The trail has this version, and its row is gone."""
    UNLOGGED = "version_unlogged"
    """A row is there that no entry of the trail tells of."""
    DIFFERS = "version_differs"
    """A column says something else than the entry."""
    TEXT = "text_differs"
    """The text opens, and is not the one that was logged."""
    TEXT_MISSING = "text_missing"
    """The row has lost its text."""
    UNREADABLE = "text_unreadable"
    """The text does not open: it was changed, moved or put back, or its key is not to be had."""
    STATE = "message_state"
    """The message's own row does not fit its versions."""
    MEMBERSHIP = "membership"
    """Who belongs to a conversation, and as what, is not what the trail says."""
    ROLE = "role"
    """Somebody's role, or whether they may sign in, is not what the trail says."""
    ENTRY = "entry_unreadable"
    """The entry cannot be read; `audit_verify` says what is wrong with it."""


@dataclass(slots=True)
class Comparison:
    """What was compared, and everything that differs. `erased` texts had their key destroyed."""

    organization: UUID
    versions: int = 0
    erased: int = 0
    found: int = 0
    problems: list[Problem[Fault]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.found == 0

    def add(self, fault: Fault, place: str, message: str) -> None:
        self.found += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(fault, place, message))

    def document(self) -> dict[str, Any]:
        return {
            "organization": str(self.organization),
            "ok": self.ok,
            "versions": self.versions,
            "erased": self.erased,
            "found": self.found,
            "problems": [problem.document() for problem in self.problems],
            "seconds": round(self.seconds, 3),
        }
