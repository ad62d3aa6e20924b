"""Every write of the chat: one transaction each, recorded in the trail or not done."""

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
from app.chat.services.reactions import react
from app.chat.services.sending import Draft, send_message, send_messages

__all__ = [
    "Draft",
    "add_member",
    "change_conversation",
    "delete_message",
    "edit_message",
    "join",
    "leave",
    "mark_read",
    "react",
    "remove_member",
    "send_message",
    "send_messages",
    "start_conversation",
]
