"""What decides whether drafts may be sent, for a whole batch in one query."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from msgspec import Struct

from app.audit import arrays
from app.chat.search.models import IndexState


class Place(NamedTuple):
    """Where somebody means to say something, and under which id; `thread` is what it replies to.
    Ids are as texts."""

    author: str
    organization: str
    conversation: str
    message: str
    thread: str | None


class Standing(Struct, frozen=True, gc=False):
    """How that stands: `role` is None for somebody who may not use Parley (any more), `root` is
    the conversation of what it replies to, None if there is no such message, and `is_reply` if
    that is a reply itself."""

    role: str | None
    member: bool
    taken: bool
    root: UUID | None
    is_reply: bool
    indexed: bool


# Subqueries by their keys, not joins: however stale its statistics are, PostgreSQL then reads a
# few rows of an index for each draft, and never a table.
_ASK = """
SELECT
    (
        SELECT u.role FROM accounts_user u
        WHERE u.id = d.author AND u.organization_id = d.organization AND u.is_active
    ),
    EXISTS (
        SELECT FROM chat_membership m
        WHERE m.conversation_id = d.conversation AND m.user_id = d.author AND m.left_at IS NULL
    ),
    EXISTS (SELECT FROM chat_message e WHERE e.id = d.message),
    (SELECT r.conversation_id FROM chat_message r WHERE r.id = d.thread),
    EXISTS (SELECT FROM chat_message r WHERE r.id = d.thread AND r.thread_id IS NOT NULL),
    NOT EXISTS (
        SELECT FROM chat_searchindex i
        WHERE i.organization_id = d.organization AND i.state <> ALL(%s)
    )
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[]) WITH ORDINALITY
    AS d (author, organization, conversation, message, thread, number)
ORDER BY d.number
"""


def standings(places: Iterable[Place]) -> list[Standing]:
    """How each author stands in their place, in order; to be asked under the streams' locks."""
    arguments = [arrays.plain(column) for column in zip(*places, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_ASK, [[IndexState.COMPLETE, IndexState.BUILDING], *arguments])
        return [Standing(*row) for row in cursor.fetchall()]
