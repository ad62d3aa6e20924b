"""The bytes of an attachment: sealed parts, read and written one at a time.

Memory: one part (4 MiB) and its sealed form, however large the file.
"""

import base64
from collections.abc import Iterator

from app.chat.attachments.storage import Missing, storage
from app.chat.models import Attachment
from app.encryption.envelope import Fault, SealError
from app.encryption.stream import FilePlace, Layout, new_key, open_part, seal_part

CONTENT = "content"
PREVIEW = "preview"


class PartMissing(SealError):
    """The storage does not have part `index`."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(Fault.REFUSED, f"part {index} is not in the storage")


def fresh_key() -> str:
    """A new file's key, as `Attachment.key` holds it."""
    return base64.b64encode(new_key()).decode()


def write_part(attachment: Attachment, index: int, content: bytes) -> None:
    """Seal and store one part; one that is there already stays. Raises StorageFailed."""
    last = Layout(attachment.size).is_last(index)
    _put(attachment, CONTENT, index, last=last, content=content)


def write_preview(attachment: Attachment, content: bytes) -> None:
    """Seal and store the preview. Raises StorageFailed."""
    _put(attachment, PREVIEW, 0, last=True, content=content)


def open_attachment(attachment: Attachment) -> Iterator[bytes]:
    """The file's bytes, part by part, each checked before it is given out.

    Raises SealError where a part was tampered with or is missing, or the file was erased,
    before the first part; StorageFailed.
    """
    layout = Layout(attachment.size)
    for index in layout:
        content = _get(attachment, CONTENT, index, last=layout.is_last(index))
        if len(content) != layout.length(index):
            raise SealError(Fault.REFUSED, f"part {index} has another length than it should")
        yield content


def open_preview(attachment: Attachment) -> bytes:
    """The preview's bytes. Raises SealError, StorageFailed."""
    return _get(attachment, PREVIEW, 0, last=True)


def parts_stored(attachment: Attachment) -> list[int]:
    """Which parts the storage has, in order. Raises StorageFailed."""
    return [
        index
        for index in Layout(attachment.size)
        if storage().exists(_name(attachment, CONTENT, index))
    ]


def delete_objects(attachment: Attachment) -> None:
    """Delete all that the storage may have of it. Raises StorageFailed."""
    for name in _names(attachment):
        storage().delete(name)


def is_gone(attachment: Attachment) -> bool:
    """Whether the storage, asked again, has nothing of it. Raises StorageFailed."""
    return not any(storage().exists(name) for name in _names(attachment))


def _names(attachment: Attachment) -> list[str]:
    parts = [_name(attachment, CONTENT, index) for index in Layout(attachment.size)]
    return [*parts, _name(attachment, PREVIEW, 0)]


def _name(attachment: Attachment, role: str, index: int) -> str:
    return f"{attachment.organization_id}/{attachment.pk}/{role}-{index:04d}"


def _put(attachment: Attachment, role: str, index: int, *, last: bool, content: bytes) -> None:
    place = _place(attachment, role)
    sealed = seal_part(_key(attachment), place, index, last=last, content=content)
    storage().put(_name(attachment, role, index), sealed)


def _get(attachment: Attachment, role: str, index: int, *, last: bool) -> bytes:
    key, place = _key(attachment), _place(attachment, role)
    try:
        sealed = storage().get(_name(attachment, role, index))
    except Missing:
        raise PartMissing(index) from None
    return open_part(key, place, index, last=last, sealed=sealed)


def _place(attachment: Attachment, role: str) -> FilePlace:
    return FilePlace(attachment.organization_id, attachment.conversation_id, attachment.pk, role)


def _key(attachment: Attachment) -> bytes:
    if attachment.key is None:
        raise SealError(Fault.ERASED, "the key of this file was deleted")
    return base64.b64decode(attachment.key)
