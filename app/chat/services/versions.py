"""What sending, editing and deleting share: a version, its state in the trail, its receipt."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.audit import access as trail
from app.audit.leaves import timestamp
from app.audit.services import Target
from app.chat.models import Message, MessageVersion, VersionKind
from app.encryption.fields import SealError, opened, seal_now
from app.realtime.protocol import Ack
from app.realtime.services import SealedBody


@dataclass(frozen=True, slots=True)
class Sent:
    """A version that is in the database, with the hash of its leaf in the log."""

    message: Message
    version: MessageVersion
    leaf_hash: bytes

    def ack(self) -> Ack:
        return Ack(
            id=str(self.message.pk),
            conversation=str(self.message.conversation_id),
            offset=self.message.offset,
            revision=self.version.revision,
            at=timestamp(self.version.at),
            entry=self.version.entry_id,
            leaf_hash=self.leaf_hash.hex(),
        )


def as_sent(message: Message, version: MessageVersion) -> Sent:
    """A version that was committed earlier."""
    return Sent(message, version, trail.leaf_hash(version.entry_id))


def says(version: MessageVersion, body: str) -> bool:
    """Whether this is the version's text; an erased one says nothing any more."""
    try:
        return version.body == body
    except SealError as error:
        if error.erased:
            return False
        raise


def target_of(message: UUID | str, conversation: UUID | str) -> Target:
    """A message as the target of an entry."""
    return Target("message", str(message), str(conversation))


def state_of(version: MessageVersion) -> dict[str, Any]:
    """What the trail keeps of a version: its number and the salted commitment to its text.

    None for a deletion, and for a text whose data key was destroyed.
    """
    return state(version.pk, version.revision, _commitment(version))


def state(version: UUID | str, revision: int, content: str | None) -> dict[str, Any]:
    """The same of a version that is no instance."""
    return {"version": str(version), "revision": revision, "content": content}


def _commitment(version: MessageVersion) -> str | None:
    if version.kind == VersionKind.DELETED:
        return None
    try:
        return opened(version, "body").commitment.hex()
    except SealError as error:
        if error.erased:
            return None
        raise


def sealed_body(version: MessageVersion) -> SealedBody:
    """The text as it is stored, to ride along in a hint."""
    sealed = seal_now(version, "body")
    return SealedBody(sealed.token, str(version.organization_id), str(version.pk), sealed.text)
