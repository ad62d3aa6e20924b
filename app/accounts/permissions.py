"""One vocabulary of permissions, and the one table that says which role has which.

What depends on more than the role (a conversation's members, an export's requester) is
decided where it is loaded, in each app's `access`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.accounts.models import Role, User
from app.errors import Denied


class Permission(StrEnum):
    """`resource:action`. A value is never reused for something else."""

    PEOPLE_READ = "people:read"
    """See who belongs to the organization: names and roles."""
    PEOPLE_MANAGE = "people:manage"
    """Change roles, disable and enable; see addresses."""
    INVITATIONS_MANAGE = "invitations:manage"
    """Make, list and revoke invitations."""
    SETTINGS_MANAGE = "settings:manage"
    """See and change what holds for the whole organization."""
    CONVERSATIONS_CREATE = "conversations:create"
    """Start a conversation."""
    CONVERSATIONS_JOIN = "conversations:join"
    """Join a conversation that is public in the organization."""
    MESSAGES_SEND = "messages:send"
    """Write in conversations that one belongs to."""
    CALLS_JOIN = "calls:join"
    """Take part in calls of conversations that one belongs to."""
    TRAIL_READ = "trail:read"
    """Read the audit trail of the organization."""
    EXPORTS_READ = "exports:read"
    """See export requests and fetch finished packages."""
    EXPORTS_REQUEST = "exports:request"
    """Ask for an export."""
    EXPORTS_APPROVE = "exports:approve"
    """Approve an export that somebody else asked for."""
    CONVERSATIONS_DISCLOSE = "conversations:disclose"
    """Read, with a reason and on record, conversations that one does not belong to."""
    HOLDS_MANAGE = "holds:manage"
    """See, place and release legal holds; a release needs two."""
    ERASURES_MANAGE = "erasures:manage"
    """See, ask for and approve erasures; each needs two."""


_EVERYONE: Final = frozenset(
    {
        Permission.PEOPLE_READ,
        Permission.CONVERSATIONS_CREATE,
        Permission.CONVERSATIONS_JOIN,
        Permission.MESSAGES_SEND,
        Permission.CALLS_JOIN,
    }
)

# The officer looks and never manages; the administrator manages and never looks. Neither can
# give themselves the other's part: see `services.change_role`.
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.MEMBER: _EVERYONE,
    Role.OFFICER: _EVERYONE
    | {
        Permission.TRAIL_READ,
        Permission.EXPORTS_READ,
        Permission.EXPORTS_REQUEST,
        Permission.EXPORTS_APPROVE,
        Permission.CONVERSATIONS_DISCLOSE,
        Permission.HOLDS_MANAGE,
        Permission.ERASURES_MANAGE,
    },
    Role.ADMINISTRATOR: _EVERYONE
    | {
        Permission.PEOPLE_MANAGE,
        Permission.INVITATIONS_MANAGE,
        Permission.SETTINGS_MANAGE,
    },
}


def allows(user: User, permission: Permission) -> bool:
    """Whether the user may: a disabled user may nothing."""
    return user.is_active and permission in PERMISSIONS[Role(user.role)]


def require(user: User, permission: Permission) -> None:
    """Raise Denied unless the user has the permission."""
    if not allows(user, permission):
        raise Denied


def require_of(role: str, permission: Permission) -> None:
    """The same of an active user's role, where no more of them was read."""
    if permission not in PERMISSIONS[Role(role)]:
        raise Denied
