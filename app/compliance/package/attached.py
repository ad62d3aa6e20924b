"""The files of an export: what each was logged to be, and its bytes, streamed into the package."""

from typing import Any
from uuid import UUID

from app.chat.attachments.content import PartMissing, open_attachment
from app.chat.attachments.storage import Reason, StorageFailed
from app.chat.models import Attachment
from app.compliance.package.files import Folder
from app.encryption.fields import Fault, SealError, opened

NOT_SENT = "not sent"
"""Uploaded and carried by no message, now or ever: not part of what was said."""


class NotNow(Exception):
    """Nothing can be had now, all of it could be later: no reason for a partial package. The
    message is for officers."""


KEYS = "The keys that open the messages are not to be had now."
STORAGE = "The storage of the files is not to be had now."


def attachments_of(bodies: list[dict[str, Any]]) -> dict[str, Attachment]:
    """The rows that entries of uploads speak of, by id."""
    ids = {body["target"]["id"] for body in bodies if body["action"] == "attachment:uploaded"}
    return {str(row.pk): row for row in Attachment.objects.filter(pk__in=ids)} if ids else {}


def put(folder: Folder, file_id: str, attachment: Attachment | None) -> dict[str, Any]:
    """Write the file's bytes as attachments/<id>; what its row says of it.

    `description` with its salt gives the commitment in the log, and holds the SHA-256. One that
    cannot be had is told with its reason, and nothing of it is left.
    """
    row: dict[str, Any] = {"file": None, "description": None, "salt": None}
    if attachment is None:
        return row | {"status": "missing"}
    if attachment.message_id is None:
        return row | {"status": NOT_SENT}
    name = f"attachments/{UUID(file_id)}"
    try:
        described = opened(attachment, "description")
        file = folder.open(name)
        for part in open_attachment(attachment):
            file.write(part)
        file.close()
    except (SealError, StorageFailed, ValueError) as error:
        folder.drop(name)
        return row | {"status": _why(error)}
    return {
        "file": name,
        "description": described.text,
        "salt": described.salt.hex(),
        "status": "ok",
    }


def _why(error: Exception) -> str:
    if isinstance(error, PartMissing):
        return "missing"
    if isinstance(error, SealError):
        if error.code == Fault.KEY_UNAVAILABLE:
            raise NotNow(KEYS) from error
        return "erased" if error.erased else "unreadable"
    if isinstance(error, StorageFailed) and error.reason == Reason.UNREACHABLE:
        raise NotNow(STORAGE) from error
    return "missing" if isinstance(error, ValueError) else "unavailable"
