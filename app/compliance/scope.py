"""What an export covers: conversations, people, a period. One predicate for preview and build.

An entry is covered when it happened in one of the conversations (none named: anywhere), was done
by one of the people (none named: anybody) and since <= time < until.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from app.audit.leaves import timestamp


class Scoped(Protocol):
    conversations: Any
    people: Any
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Ids are kept sorted, so that one scope has one document."""

    conversations: tuple[UUID, ...] = ()
    people: tuple[UUID, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, row: Scoped) -> "Scope":
        return cls(
            tuple(UUID(item) for item in row.conversations),
            tuple(UUID(item) for item in row.people),
            row.since,
            row.until,
        )

    def document(self) -> dict[str, Any]:
        """As the trail's entry of the request and the manifest hold it."""
        return {
            "conversations": sorted(str(item) for item in self.conversations),
            "people": sorted(str(item) for item in self.people),
            "since": timestamp(self.since) if self.since else None,
            "until": timestamp(self.until) if self.until else None,
        }

    def covers(self, *, conversation: UUID | None, actor: UUID | None, at: datetime) -> bool:
        return (
            (not self.conversations or conversation in self.conversations)
            and (not self.people or actor in self.people)
            and (self.since is None or self.since <= at)
            and (self.until is None or at < self.until)
        )
