"""Every write of the chat: one transaction each, recorded in the trail or not done."""

from app.chat.services.attachments import (
    begin_upload,
    cancel_upload,
    complete_upload,
    open_download,
    store_part,
)
from app.chat.services.conversations import (
    add_member,
    change_conversation,
    join,
    leave,
    mark_read,
    remove_member,
    start_conversation,
)
from app.chat.services.editing import delete_message, edit_message
from app.chat.services.leftovers import tidy_attachments
from app.chat.services.reactions import react
from app.chat.services.sending import Author, Draft, send_message, send_messages
from app.chat.services.together import coming, send_together

__all__ = [
    "Author",
    "Draft",
    "add_member",
    "begin_upload",
    "cancel_upload",
    "change_conversation",
    "coming",
    "complete_upload",
    "delete_message",
    "edit_message",
    "join",
    "leave",
    "mark_read",
    "open_download",
    "react",
    "remove_member",
    "send_message",
    "send_messages",
    "send_together",
    "start_conversation",
    "store_part",
    "tidy_attachments",
]
