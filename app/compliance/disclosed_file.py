"""A file of somebody else's conversation as an HTTP answer, once the look is recorded."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from app.chat import access as chat
from app.chat.attachments.answers import file_answer
from app.chat.attachments.content import open_attachment
from app.chat.attachments.kinds import ANYTHING
from app.chat.models import Attachment
from app.encryption.fields import SealError
from app.errors import NotFound, Unavailable


def opened_file(request: HttpRequest, attachment: Attachment) -> HttpResponseBase:
    """Its bytes, to be saved. Raises NotFound once it was erased, Unavailable if damaged."""
    told = chat.shown(attachment)
    try:
        return file_answer(
            request,
            open_attachment(attachment),
            name=told.name or "file",
            size=attachment.size,
            kind=told.type or ANYTHING,
        )
    except SealError as error:
        if error.erased:
            raise NotFound("This file was erased.") from error
        raise Unavailable("This file cannot be opened: it was damaged.") from error
