"""Names for the ids in a package: who people are and what conversations are called.

Labels at the time of building, for readers; the log vouches for ids.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from app.accounts.models import User
from app.audit.leaves import timestamp
from app.chat.models import Conversation, Membership
from app.encryption.fields import SealError, opened, prefetch_data_keys, token


class People:
    """Everybody of an organization."""

    def __init__(self, organization: UUID) -> None:
        rows = list(User.objects.filter(organization=organization))
        prefetch_data_keys([token(row, name) for row in rows for name in ("email", "display_name")])
        self._rows = {str(row.pk): row for row in rows}

    def labels(self, prefix: str, person: str | None) -> dict[str, str | None]:
        """`<prefix>_name` and `<prefix>_email`; None for the system and for nobody known."""
        row = self._rows.get(person or "")
        name = _readable(row, "display_name") if row else None
        email = _readable(row, "email") if row else None
        return {f"{prefix}_name": name, f"{prefix}_email": email}

    def role(self, person: str) -> str | None:
        row = self._rows.get(person)
        return row.role if row else None

    def documents(self, ids: Collection[str]) -> list[dict[str, Any]]:
        """The rows of people.jsonl, by id."""
        return [
            {
                "id": person,
                "name": _readable(row, "display_name"),
                "email": _readable(row, "email"),
                "role": row.role,
                "is_active": row.is_active,
                "created_at": timestamp(row.created_at),
            }
            for person, row in sorted(self._rows.items())
            if person in ids
        ]


class Conversations:
    """Every conversation of an organization."""

    def __init__(self, organization: UUID) -> None:
        rows = list(Conversation.objects.filter(organization=organization))
        prefetch_data_keys([token(row, name) for row in rows for name in ("name", "topic")])
        self._rows = {str(row.pk): row for row in rows}

    def labels(self, conversation: str | None) -> dict[str, str | None]:
        row = self._rows.get(conversation or "")
        return {
            "conversation_name": _readable(row, "name") if row else None,
            "conversation_kind": row.kind if row else None,
        }

    def documents(self, ids: Collection[str]) -> list[dict[str, Any]]:
        """The rows of conversations.jsonl, by id, with who is in them now."""
        known = [row.pk for conversation, row in self._rows.items() if conversation in ids]
        present = Membership.objects.filter(conversation__in=known, left_at=None)
        members: dict[str, list[str]] = {}
        pairs = present.order_by("joined_at").values_list("conversation_id", "user_id")
        for conversation, user in pairs:
            members.setdefault(str(conversation), []).append(str(user))
        return [
            {
                "id": conversation,
                "kind": row.kind,
                **_with_salt(row, "name"),
                **_with_salt(row, "topic"),
                "created_at": timestamp(row.created_at),
                "created_by": str(row.created_by_id),
                "members_now": members.get(conversation, []),
            }
            for conversation, row in sorted(self._rows.items())
            if conversation in ids
        ]


def _readable(row: User | Conversation, name: str) -> str | None:
    try:
        return str(getattr(row, name))
    except SealError:
        return None  # a label only: what the log vouches for has a status of its own


def _with_salt(row: Conversation, name: str) -> dict[str, str | None]:
    """With the salt, the text can be checked against a commitment in the log."""
    try:
        found = opened(row, name)
    except SealError:
        return {name: None, f"{name}_salt": None}
    return {name: found.text, f"{name}_salt": found.salt.hex()}
