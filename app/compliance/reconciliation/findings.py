"""What a comparison of the database with its trail can find; alerts rely on the codes."""

from dataclasses import dataclass
from enum import StrEnum

from app.audit.findings import Findings


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
class Comparison(Findings[Fault]):
    """What was compared, and everything that differs. `erased` texts had their key destroyed."""

    versions: int = 0
    erased: int = 0

    def document(self) -> dict[str, object]:
        told = {"versions": self.versions, "erased": self.erased}
        return Findings.document(self) | told
