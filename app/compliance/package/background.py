"""Entries beside the scope that rows of a package refer to, found before the log is read.

Who was a member when the period began is replayed from the log, not taken from today's rows; a
text that cannot be opened any more refers to the entry that destroyed its key; a stay in a call to
the entry of its end, whoever caused that.
"""

from typing import Any
from uuid import UUID

from app.audit import access as audit
from app.audit import disclosure
from app.audit.actions import Action
from app.audit.leaves import timestamp
from app.chat.models import Attachment
from app.compliance.scope import Scope

_CAME = (Action.MEMBER_JOINED, Action.MEMBER_ADDED)
_WENT = (Action.MEMBER_LEFT, Action.MEMBER_REMOVED)


class Background:
    """Leaf indexes by what refers to them, below `size`."""

    def __init__(self, organization: UUID, scope: Scope, size: int) -> None:
        stays = _stays(organization, scope)
        ends = _ends_of_keys(organization, scope)
        others = [
            *ends,
            *_earlier_files(organization, scope),
            *_ends_by_others(organization, scope),
        ]
        indexes = audit.leaf_indexes([*stays, *others])
        self._stays = {pk: row for pk, row in stays.items() if indexes.get(pk, size) < size}
        for pk, row in self._stays.items():
            row["leaf"] = indexes[pk]
        self._ends = {key: indexes[pk] for pk, key in ends.items() if indexes.get(pk, size) < size}
        self._entries = {*self._stays, *(pk for pk in others if indexes.get(pk, size) < size)}

    def holds(self, entry_id: int) -> bool:
        return entry_id in self._entries

    def end_of_key(self, conversation: str | None, at: str) -> int | None:
        """The leaf that says that the key of this conversation and month was destroyed."""
        return self._ends.get((conversation or "", at[:7]))

    def members_at_start(self) -> list[dict[str, Any]]:
        """The rows of members_at_start.jsonl, in the order of the log."""
        return sorted(self._stays.values(), key=lambda row: row["leaf"])


def _stays(organization: UUID, scope: Scope) -> dict[int, dict[str, Any]]:
    """By the entry of their joining: those who were there when the period began."""
    if scope.since is None:
        return {}
    found = disclosure.covered(organization, scopes=scope.conversations, until=scope.since)
    moves = found.filter(action_name__in=[*_CAME, *_WENT]).order_by("id")
    people = {str(person) for person in scope.people}
    present: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    for pk, action, conversation, user, at in moves.values_list(
        "id", "action_name", "scope_id", "target_id", "at"
    ).iterator():
        if people and user not in people:
            continue
        stay = (str(conversation), user)
        if action in _WENT:
            present.pop(stay, None)
        else:
            row = {"conversation": stay[0], "user": user, "joined_at": timestamp(at)}
            present[stay] = (pk, row)
    return dict(present.values())


def _earlier_files(organization: UUID, scope: Scope) -> list[int]:
    """Uploads before the period whose message is in it: those two are at most a day apart."""
    if scope.since is None:
        return []
    found = Attachment.objects.filter(
        organization_id=organization,
        completed_at__lt=scope.since,
        message__created_at__gte=scope.since,
    )
    if scope.conversations:
        found = found.filter(conversation__in=scope.conversations)
    if scope.people:
        found = found.filter(uploader__in=scope.people)
    if scope.until:
        found = found.filter(message__created_at__lt=scope.until)
    return [pk for pk in found.values_list("entry_id", flat=True) if pk]


def _ends_by_others(organization: UUID, scope: Scope) -> list[int]:
    """Ends in the period of the people's stays in calls, of which some other one is the actor."""
    if not scope.people:
        return []
    joined = disclosure.covered(organization, scopes=scope.conversations, actors=scope.people)
    theirs = joined.filter(action_name=Action.CALL_JOINED).order_by().values("target_id")
    found = disclosure.covered(
        organization, scopes=scope.conversations, since=scope.since, until=scope.until
    )
    left = found.filter(action_name=Action.CALL_LEFT, target_id__in=theirs)
    return list(left.values_list("id", flat=True))


def _ends_of_keys(organization: UUID, scope: Scope) -> dict[int, tuple[str, str]]:
    """Conversation and month of destroyed keys, by entry."""
    found = disclosure.covered(organization, scopes=scope.conversations)
    destroyed = found.filter(action_name=Action.DATA_KEY_DESTROYED, scope_id__isnull=False)
    return {
        entry.pk: (str(entry.scope_id), entry.document["before"]["month"][:7])
        for entry in destroyed.order_by("id")
    }
