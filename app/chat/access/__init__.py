"""Every read of conversations and messages: the asker comes first, loading is authorising.

Who is not a member gets NotFound, as if there were nothing: existence is information.
"""

from app.chat.access.files import (
    abandoned,
    attached,
    attachment_for,
    shown,
    to_remove,
    unsent,
    unsent_uploads,
    upload,
)
from app.chat.access.memberships import (
    joinable,
    may_listen,
    members,
    membership,
)
from app.chat.access.overviews import (
    ConversationView,
    conversation,
    conversations,
    place,
    unread,
)
from app.chat.access.standing import Place, Standing, standings
from app.chat.access.timelines import (
    MAX_PAGE,
    PAGE,
    MessageView,
    Page,
    log_key,
    message,
    message_view,
    present_versions,
    receipt,
    text_of,
    timeline,
    versions,
)
from app.chat.access.unreadable import (
    label,
    leave_out,
    readable,
)

__all__ = [
    "MAX_PAGE",
    "PAGE",
    "ConversationView",
    "MessageView",
    "Page",
    "Place",
    "Standing",
    "abandoned",
    "attached",
    "attachment_for",
    "conversation",
    "conversations",
    "joinable",
    "label",
    "leave_out",
    "log_key",
    "may_listen",
    "members",
    "membership",
    "message",
    "message_view",
    "place",
    "present_versions",
    "readable",
    "receipt",
    "shown",
    "standings",
    "text_of",
    "timeline",
    "to_remove",
    "unread",
    "unsent",
    "unsent_uploads",
    "upload",
    "versions",
]
