"""Every read of people and sessions: the asker comes first, loading is authorising."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from app.accounts.codes import hashed
from app.accounts.models import Invitation, Organization, Role, Session, SessionKind, User
from app.accounts.permissions import Permission, require
from app.errors import NotFound

# How long a session may go unused, and how long it may last at all.
IDLE = {SessionKind.BROWSER: timedelta(hours=12), SessionKind.API: timedelta(days=7)}
OLDEST = timedelta(days=14)

REFUSED: Final = "This invitation does not open anything: it is wrong, used up or too old."


def people(user: User) -> list[User]:
    """Everybody in the user's organization, disabled ones too: their messages remain."""
    require(user, Permission.PEOPLE_READ)
    found = User.objects.filter(organization=user.organization_id).select_related("organization")
    return sorted(found, key=lambda person: (person.display_name.casefold(), person.pk))


def person(user: User, person_id: UUID) -> User:
    """One of them. Raises NotFound for somebody of another organization."""
    require(user, Permission.PEOPLE_READ)
    found = User.objects.filter(organization=user.organization_id, pk=person_id)
    result = found.select_related("organization").first()
    if result is None:
        raise NotFound
    return result


def officer_addresses(organization: UUID) -> list[str]:
    """Where the organization's officers get mail from the installation itself; nobody asks."""
    found = User.objects.filter(organization=organization, role=Role.OFFICER, is_active=True)
    return sorted(officer.email for officer in found)


def invitations(user: User) -> list[Invitation]:
    """The organization's invitations, newest first."""
    require(user, Permission.INVITATIONS_MANAGE)
    found = Invitation.objects.filter(organization=user.organization_id)
    return list(found.select_related("created_by").order_by("-created_at", "pk"))


def usable_invitations() -> QuerySet[Invitation]:
    """Those that still open a door."""
    return Invitation.objects.select_related("organization").filter(
        revoked_at=None, uses_left__gt=0, expires_at__gt=timezone.now()
    )


def invitation_with(code: str) -> Invitation:
    """What the code opens; who holds it may look. Raises NotFound, always with one text."""
    found = usable_invitations().filter(code_hash=hashed(code)).first()
    if found is None:
        raise NotFound(REFUSED)
    return found


def live(now: datetime | None = None) -> QuerySet[Session]:
    """Sessions that still open doors: neither ended, idle nor old, of an active user."""
    now = now or timezone.now()
    in_use = Q()
    for kind, idle in IDLE.items():
        in_use |= Q(kind=kind, last_seen_at__gt=now - idle)
    return Session.objects.filter(
        in_use, ended_at=None, created_at__gt=now - OLDEST, user__is_active=True
    )


def live_sessions(ids: Collection[UUID]) -> set[UUID]:
    """Which of these sessions are still alive: one query, for the gateway's revalidation."""
    return set(live().filter(pk__in=ids).values_list("pk", flat=True))


def sessions(user: User) -> list[Session]:
    """The user's own live sessions, the latest used first."""
    return list(live().filter(user=user).order_by("-last_seen_at", "pk"))


def active_users(ids: Collection[UUID]) -> dict[UUID, User]:
    """The active users among these, for commands that arrive over sockets; one query."""
    found = User.objects.filter(pk__in=ids, is_active=True).select_related("organization")
    return {user.pk: user for user in found}


def organization_exists(slug: str | None = None) -> bool:
    """Whether there is such an organization, or, without a slug, any at all."""
    found = Organization.objects.all()
    return (found.filter(slug=slug) if slug else found).exists()
