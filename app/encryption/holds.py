"""Legal holds as whoever deletes for good meets them.

The database decides, at the moment of the deletion: a trigger for data keys, and
`refuse_if_held` for what lies elsewhere (objects in a storage). Holds themselves are placed and
released in compliance, which tells the database what is held.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection

from app.errors import UnderHold

_SUFFIX = "_under_legal_hold"


def is_held(organization: UUID, conversation: UUID | None) -> bool:
    """Whether anything of the conversation must be kept; None: of the organization itself.

    For dry runs and pages. Before a deletion call `refuse_if_held`, which cannot be overtaken.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT parley_is_held(%s, %s)", [organization, conversation])
        return bool(cursor.fetchone()[0])


def held_among(conversations: Mapping[UUID, UUID]) -> set[UUID]:
    """Which of these conversations are held; each comes with its organization. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conversation FROM unnest(%s::uuid[], %s::uuid[]) AS t(conversation, owner) "
            "WHERE parley_is_held(owner, conversation)",
            [list(conversations), list(conversations.values())],
        )
        return {conversation for (conversation,) in cursor.fetchall()}


def refuse_if_held(organization: UUID, conversation: UUID | None, what: str) -> None:
    """Raise UnderHold where the conversation is under a hold.

    Call it inside the transaction that deletes: no hold is placed until that one ends. `what`
    is a noun such as "attachment".
    """
    with told_of_holds(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT parley_refuse_if_held(%s, %s, %s)", [organization, conversation, what]
        )


@contextmanager
def told_of_holds() -> Iterator[None]:
    """Turn the database's refusal into UnderHold, which people understand."""
    try:
        yield
    except IntegrityError as error:
        if _constraint(error).endswith(_SUFFIX):
            raise UnderHold from error
        raise


def _constraint(error: IntegrityError) -> str:
    diagnostics: Any = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
