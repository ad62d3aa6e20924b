"""Every read of compliance: the officer comes first, loading is authorising.

What is privileged is read through `services.looks`, which records the look before it gives.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import access as audit
from app.audit import disclosure
from app.audit.actions import Action
from app.audit.leaves import timestamp
from app.audit.services import Entry
from app.chat.models import Conversation, Kind, Membership
from app.compliance.models import ExportRequest, State
from app.compliance.scope import Scope
from app.encryption.fields import prefetch_data_keys, token
from app.errors import NotFound

PAGE = 50
_ROWS = {Action.ROW_CREATED, Action.ROW_UPDATED, Action.ROW_DELETED}


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """Which entries to look at; what is None does not narrow.

    Without `rows`, what the net saw of single rows is left out: a service recorded what it meant.
    `action` is an action ("message:sent") or a subject ("message"). `conversation` is an id, or
    ORGANIZATION for what happened outside of conversations.
    """

    actor: UUID | None = None
    action: str | None = None
    conversation: UUID | None = None
    outside: bool = False
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    rows: bool = True

    def document(self) -> dict[str, Any]:
        """As the entry of the look holds it: only what narrows."""
        shown = {
            "actor": str(self.actor) if self.actor else None,
            "action": self.action,
            "conversation": str(self.conversation) if self.conversation else None,
            "outside": self.outside or None,
            "target": self.target,
            "since": timestamp(self.since) if self.since else None,
            "until": timestamp(self.until) if self.until else None,
            "rows": None if self.rows else False,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def actions(self) -> list[str] | None:
        if self.action is None:
            return None if self.rows else [item.value for item in Action if item not in _ROWS]
        if ":" in self.action:
            return [self.action]
        return [item.value for item in Action if item.value.startswith(f"{self.action}:")]


@dataclass(frozen=True, slots=True)
class TrailPage:
    """Entries, the newest first, with their places in the log (None: not sealed yet)."""

    entries: list[Entry]
    indexes: dict[int, int]
    more: bool

    @property
    def last_id(self) -> int | None:
        return self.entries[-1].pk if self.entries else None


def trail(
    officer: User, wanted: TrailFilter, *, before_id: int | None = None, limit: int = PAGE
) -> TrailPage:
    """A page of the organization's trail. Use `services.look_at_trail`, which records it."""
    require(officer, Permission.TRAIL_READ)
    found = disclosure.page(
        officer.organization_id,
        actions=wanted.actions(),
        actor=wanted.actor,
        scope=wanted.conversation,
        outside=wanted.outside,
        target=wanted.target,
        since=wanted.since,
        until=wanted.until,
        before_id=before_id,
        limit=limit + 1,
    )
    entries = found[:limit]
    indexes = audit.leaf_indexes([entry.pk for entry in entries])
    return TrailPage(entries, indexes, len(found) > limit)


def trail_entry(officer: User, entry_id: int) -> Entry:
    """One entry. Raises NotFound for another organization's."""
    require(officer, Permission.TRAIL_READ)
    found = disclosure.entry(officer.organization_id, entry_id)
    if found is None:
        raise NotFound
    return found


def exports(officer: User) -> list[ExportRequest]:
    """The organization's exports, newest first."""
    require(officer, Permission.EXPORTS_READ)
    return list(_exports(officer).order_by("-requested_at", "pk")[:200])


def awaiting(officer: User) -> list[ExportRequest]:
    """What others asked for and this officer may decide."""
    require(officer, Permission.EXPORTS_APPROVE)
    waiting = _exports(officer).filter(state=State.REQUESTED).exclude(requester=officer)
    return list(waiting.order_by("requested_at", "pk"))


def export(officer: User, export_id: UUID) -> ExportRequest:
    """One of them. Raises NotFound for another organization's."""
    require(officer, Permission.EXPORTS_READ)
    found = _exports(officer).filter(pk=export_id).first()
    if found is None:
        raise NotFound
    return found


def last_recipient(officer: User) -> str:
    """The age key that the officer's last export was encrypted to; empty without one."""
    require(officer, Permission.EXPORTS_REQUEST)
    mine = _exports(officer).filter(requester=officer).exclude(recipient="")
    found = mine.order_by("-requested_at", "pk").first()
    return found.recipient if found else ""


def scope_of(asked: ExportRequest) -> Scope:
    """What an export covers."""
    return Scope.of(asked)


def verifier_key(officer: User) -> str | None:
    """The key that the organization's checkpoints are signed with; None before the first."""
    require(officer, Permission.EXPORTS_READ)
    return disclosure.verifier_key(officer.organization_id)


def export_history(officer: User, asked: ExportRequest) -> list[Entry]:
    """What the trail says about one export, newest first."""
    require(officer, Permission.EXPORTS_READ)
    found = disclosure.page(officer.organization_id, target=str(asked.pk), limit=100)
    return [entry for entry in found if entry.target_type == "export"]


def _exports(officer: User) -> QuerySet[ExportRequest]:
    found = ExportRequest.objects.filter(organization=officer.organization_id)
    return found.select_related("requester", "decider")


@dataclass(frozen=True, slots=True)
class NamedConversation:
    """A conversation for people to choose from; a direct one is named by its people."""

    id: UUID
    kind: str
    label: str


def named_conversations(
    officer: User, only: Collection[UUID] | None = None
) -> list[NamedConversation]:
    """Names of all conversations. Use `services.conversation_names`, which records it."""
    require(officer, Permission.TRAIL_READ)
    found = Conversation.objects.filter(organization=officer.organization_id)
    if only is not None:
        found = found.filter(pk__in=only)
    rows = list(found)
    prefetch_data_keys([token(row, "name") for row in rows])
    people = _people_of_direct(rows)
    named = [
        NamedConversation(row.pk, row.kind, people.get(row.pk) or row.name or "Unnamed")
        for row in rows
    ]
    return sorted(named, key=lambda item: (item.kind == Kind.DIRECT, item.label.casefold()))


def _people_of_direct(rows: list[Conversation]) -> dict[UUID, str]:
    direct = [row.pk for row in rows if row.kind == Kind.DIRECT]
    members = Membership.objects.filter(conversation__in=direct).select_related("user")
    names: dict[UUID, set[str]] = {}
    for member in members:
        names.setdefault(member.conversation_id, set()).add(member.user.display_name)
    return {pk: ", ".join(sorted(found)) for pk, found in names.items()}


def unknown_conversations(officer: User, ids: Collection[UUID]) -> set[UUID]:
    """Those of `ids` that are no conversations of the officer's organization."""
    found = Conversation.objects.filter(organization=officer.organization_id, pk__in=ids)
    return set(ids) - set(found.values_list("pk", flat=True))


def unknown_people(officer: User, ids: Collection[UUID]) -> set[UUID]:
    """Those of `ids` that are nobody of the officer's organization."""
    found = User.objects.filter(organization=officer.organization_id, pk__in=ids)
    return set(ids) - set(found.values_list("pk", flat=True))


def counts(officer: User, scope: Scope) -> dict[Action, int]:
    """How many entries of each action are in the scope now."""
    require(officer, Permission.EXPORTS_REQUEST)
    return disclosure.count_by_action(
        officer.organization_id,
        scopes=scope.conversations,
        actors=scope.people,
        since=scope.since,
        until=scope.until,
    )
