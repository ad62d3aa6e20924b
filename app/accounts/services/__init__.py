"""Every change to people, sessions and invitations: one transaction, recorded in the trail."""

from app.accounts.services.denials import note_denied
from app.accounts.services.invitations import invite, register, revoke_invitation
from app.accounts.services.organizations import (
    add_user,
    disable_everybody,
    found_organization,
)
from app.accounts.services.people import (
    change_password,
    change_person,
    change_role,
    rename,
    set_active,
)
from app.accounts.services.signing import (
    admit,
    end_session,
    issue_tokens,
    refresh,
    sign_in,
    sign_out,
    touch,
)

__all__ = [
    "add_user",
    "admit",
    "change_password",
    "change_person",
    "change_role",
    "disable_everybody",
    "end_session",
    "found_organization",
    "invite",
    "issue_tokens",
    "note_denied",
    "refresh",
    "register",
    "rename",
    "revoke_invitation",
    "set_active",
    "sign_in",
    "sign_out",
    "touch",
]
