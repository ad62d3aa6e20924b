"""The rows of messages that were just sent: all of a batch's in one statement, past the models.

Through the models a batch takes three statements and half a millisecond a message
(docs/decisions/0017). What the database guards, it guards here as well: ids, offsets, keys, and
that each version's entry is of the same transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from app.audit import arrays


class Row(NamedTuple):
    """A message with its first version; `key` and `words` are None where nothing is indexed.
    Ids are as texts, which the batch has already."""

    message: str
    conversation: str
    author: str
    thread: str | None
    offset: int
    version: str
    organization: str
    token: str
    entry: int
    key: str | None
    words: list[int] | None


_INSERT = """
WITH sent AS (
    SELECT * FROM unnest(
        %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::uuid[], %s::uuid[],
        %s::text[], %s::bigint[], %s::uuid[], %s::text[]
    ) AS t (
        message, conversation, author, thread, "offset", version, organization, token, entry,
        key, words
    )
), message AS (
    INSERT INTO chat_message
        (id, conversation_id, author_id, thread_id, "offset", created_at, revision)
    SELECT message, conversation, author, thread, "offset", %s, 1 FROM sent
), version AS (
    INSERT INTO chat_messageversion (
        id, message_id, organization_id, conversation_id, revision, kind, body, editor_id, at,
        entry_id
    )
    SELECT version, message, organization, conversation, 1, 'created', token, author, %s, entry
    FROM sent
)
INSERT INTO chat_searchtokens
    (message_id, conversation_id, author_id, created_at, key_id, words)
SELECT message, conversation, author, %s, key, words::bigint[] FROM sent WHERE words IS NOT NULL
"""


def insert(rows: Sequence[Row], at: datetime) -> None:
    """Insert them; raises IntegrityError where an id or an offset is taken."""
    if not rows:
        return
    columns = list(zip(*rows, strict=True))
    words = [None if row.words is None else f'"{arrays.integers(row.words)}"' for row in rows]
    arguments = [arrays.plain(column) for column in (*columns[:-1], words)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [*arguments, at, at, at])
