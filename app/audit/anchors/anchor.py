"""What every anchor does, and what can go wrong with one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from app.audit.checkpoint import BadNote, Checkpoint


class AnchorFailed(Exception):
    """It did not work this time; the message says what and where, and holds no secret."""


class AnchorDisagrees(AnchorFailed):
    """What the anchor keeps of `size` leaves is not what our log says: an alarm, not a fault."""

    def __init__(self, size: int, message: str) -> None:
        super().__init__(message)
        self.size = size


class NotForThisLog(AnchorFailed):
    """The anchor has nothing to do with this log, and nothing went wrong."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint to be kept. `prove(old)` is the consistency proof from the tree of `old`.

    Where an anchor is several: `has` says which of them have it already, by a name that tells
    nothing, and `note_has` remembers one at once.
    """

    organization: UUID
    size: int
    root: bytes
    note: str
    prove: Callable[[int], list[bytes]]
    has: Callable[[str], bool] = lambda _: False
    note_has: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Kept:
    """`cosigned`: the note with a witness's line. `warning`: it is kept, but not for certain."""

    cosigned: str = ""
    warning: str = ""


class Anchor(Protocol):
    """A place that keeps checkpoints. Its `name` is shown, is recorded, and never changes."""

    @property
    def name(self) -> str: ...

    @property
    def every(self) -> timedelta:
        """How often the log is brought there."""

    def keep(self, submission: Submission, last: int) -> Kept:
        """Keep the checkpoint there; `last` is the size that was kept there before, or 0.

        Safe to repeat. Raises AnchorFailed, and AnchorDisagrees if it keeps another history.
        """

    def kept(self, submission: Submission, last: int) -> Iterable[str] | None:
        """Every note of the log that can be read back from there; None if none ever can.

        Raises AnchorFailed, and AnchorDisagrees as `keep` does.
        """


def agree(submission: Submission, found: str, where: str) -> None:
    """Raise AnchorDisagrees unless `found`, kept under this size before, has the same root."""
    try:
        checkpoint = Checkpoint.parse(found.partition("\n\n")[0] + "\n")
    except BadNote:
        message = f"{where} is there and is no checkpoint"
        raise AnchorDisagrees(submission.size, message) from None
    if (checkpoint.size, checkpoint.root) != (submission.size, submission.root):
        message = f"{where} keeps another root for {submission.size} leaves than the log has"
        raise AnchorDisagrees(submission.size, message)
