"""Files for tests, and the way from bytes to a file that can be sent."""

import io
from uuid import UUID, uuid4

from PIL import Image

from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.services import Draft, begin_upload, complete_upload, send_message, store_part
from app.encryption.stream import PART_BYTES, Layout
from app.realtime import protocol


def bytes_of(size: int) -> bytes:
    """Bytes that repeat nowhere near a part's length, always the same."""
    pattern = bytes(range(251))
    return (pattern * (size // 251 + 1))[:size]


def picture(width: int = 640, height: int = 400, kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), (15, 107, 92)).save(made, kind)
    return made.getvalue()


def announce(
    uploader: User, conversation: Conversation, data: bytes, name: str = "scan.pdf"
) -> UUID:
    """Begin an upload and return its id."""
    upload = begin_upload(
        uploader=uploader,
        conversation_id=conversation.pk,
        attachment_id=uuid4(),
        name=name,
        size=len(data),
    )
    return upload.attachment.pk


def send_parts(uploader: User, attachment: UUID, data: bytes) -> None:
    for index in Layout(len(data)):
        part = data[index * PART_BYTES : (index + 1) * PART_BYTES]
        store_part(uploader=uploader, attachment_id=attachment, index=index, part=part)


def uploaded(
    uploader: User, conversation: Conversation, data: bytes, name: str = "scan.pdf"
) -> protocol.Attachment:
    """A whole file, ready to be sent."""
    attachment = announce(uploader, conversation, data, name)
    send_parts(uploader, attachment, data)
    return complete_upload(uploader=uploader, attachment_id=attachment)


def send_files(
    author: User,
    conversation: Conversation,
    *attachments: UUID | str,
    body: str = "",
    message_id: UUID | None = None,
) -> protocol.Ack:
    ids = tuple(UUID(str(one)) for one in attachments)
    made = str(message_id or uuid4())
    return send_message(Draft(author, conversation.pk, made, body, attachments=ids))
