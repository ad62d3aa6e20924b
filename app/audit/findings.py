"""What a verification can find: each kind of fault has a code that tests and alerts rely on."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar
from uuid import UUID

MOST_PROBLEMS = 100
"""Kept with their text; further ones are only counted."""


class Fault(StrEnum):
    """The values are stored and shown; each says what does not hold."""

    BODY_HASH = "body_hash"
    """The body is not the one that was hashed when the entry was written."""
    BODY_FORM = "body_form"
    """The body is not the canonical JSON of an entry."""
    COLUMNS = "columns"
    """A column says something else than the body."""
    LEAF_LINE = "leaf_line"
    """The leaf line does not follow from the body."""
    LEAF_HASH = "leaf_hash"
    """The hash in the tree is not that of the entry's leaf line."""
    ENTRY_MISSING = "entry_missing"
    """A leaf's entry is gone."""
    ENTRY_ELSEWHERE = "entry_elsewhere"
    """A leaf's entry belongs to another organization."""
    ENTRY_UNSEALED = "entry_unsealed"
    """The sealer had passed this entry, and it has no leaf: inserted later, or its leaf removed."""
    ENTRY_AHEAD = "entry_ahead"
    """An entry's transaction id lies in the future, so it would never be sealed."""
    LEAF_MISSING = "leaf_missing"
    """An index of the tree has no leaf."""
    LEAF_TWICE = "leaf_twice"
    """An index of the tree has more than one leaf."""
    NODE = "node"
    """A stored inner node is missing, wrong or too many: proofs would fail."""
    TREE = "tree"
    """The stored tree is not what its leaves give."""
    CHECKPOINT_NOTE = "checkpoint_note"
    """A checkpoint is not signed by a key of the log, is malformed, or its columns differ."""
    CHECKPOINT_ROOT = "checkpoint_root"
    """A signed root is not that of the leaves: history is not what was signed."""
    CHECKPOINT_MISSING = "checkpoint_missing"
    """The tree's size was never signed, or its checkpoint was removed."""
    KNOWN_CHECKPOINT = "known_checkpoint"
    """The log does not extend a checkpoint that was kept outside."""
    ANCHOR_NOTE = "anchor_note"
    """What an anchor keeps is no checkpoint, or not signed by a key of the log or the witness."""
    ANCHOR_MISSING = "anchor_missing"
    """The log says that an anchor keeps a checkpoint, and it is not there any more."""
    KEY = "key"
    """A published key is malformed or not the one that was given."""
    HORIZON = "horizon"
    """The sealer's horizon is gone, or lies in the future."""


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that was kept outside this database; `by` says where or by whom."""

    size: int
    root: bytes
    by: str

    @property
    def place(self) -> str:
        return f"known checkpoint {self.size}"


AnyFault = TypeVar("AnyFault", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Problem(Generic[AnyFault]):
    """`place` names the row: "entry 12", "leaf 7", "checkpoint 40"."""

    fault: AnyFault
    place: str
    message: str

    def document(self) -> dict[str, str]:
        return {"code": self.fault.value, "place": self.place, "message": self.message}


@dataclass(slots=True)
class Findings(Generic[AnyFault]):
    """Everything that is wrong with what was examined of one organization."""

    organization: UUID
    found: int = 0
    problems: list[Problem[AnyFault]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.found == 0

    def add(self, fault: AnyFault, place: str, message: str) -> None:
        self.found += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(fault, place, message))

    def document(self) -> dict[str, object]:
        return {
            "organization": str(self.organization),
            "ok": self.ok,
            "found": self.found,
            "problems": [problem.document() for problem in self.problems],
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class Report(Findings[Fault]):
    """What was verified of one organization's log, and everything that is wrong with it."""

    size: int = 0
    checkpoints: int = 0
    waiting: int = 0
    unread: list[str] = field(default_factory=list)
    """Anchors that could not be asked, and why: nothing was compared with what they keep."""

    def document(self) -> dict[str, object]:
        return Findings.document(self) | {
            "size": self.size,
            "checkpoints": self.checkpoints,
            "waiting": self.waiting,
            "unread": self.unread,
        }
