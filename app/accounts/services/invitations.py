"""Inviting, and joining by invitation.

Wrong, expired, used-up and withdrawn codes are answered alike.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from app.accounts import access
from app.accounts.access import REFUSED
from app.accounts.checks import checked_name, checked_password
from app.accounts.codes import hashed, new_code
from app.accounts.limits import Limited, network, spend
from app.accounts.models import Invitation, Role, User
from app.accounts.permissions import Permission, require
from app.accounts.services.organizations import described
from app.audit.actions import Action
from app.audit.context import ANONYMOUS, current_origin
from app.audit.services import INSTALLATION, Target, record
from app.encryption.fields import opened
from app.errors import Invalid, NotFound

LONGEST: Final = timedelta(days=30)
MOST_USES: Final = 100
TAKEN: Final = "An account cannot be made with this address. If it is yours, sign in instead."


@transaction.atomic
def invite(
    *, by: User, role: Role, uses: int, lifetime: timedelta, label: str | None = None
) -> tuple[Invitation, str]:
    """An invitation and its code, which is nowhere else to be had. `lifetime`: to 30 days."""
    require(by, Permission.INVITATIONS_MANAGE)
    if not timedelta() < lifetime <= LONGEST:
        raise Invalid(fields={"expires_in_hours": ["Choose between an hour and 30 days."]})
    if not 1 <= uses <= MOST_USES:
        raise Invalid(fields={"uses": [f"Choose between 1 and {MOST_USES}."]})
    code = new_code()
    invitation = Invitation.objects.create(
        organization=by.organization,
        code_hash=hashed(code),
        label=label,
        role=role,
        expires_at=timezone.now() + lifetime,
        uses_left=uses,
        created_by=by,
    )
    record(
        Action.INVITATION_CREATED,
        organization=by.organization_id,
        actor=by.actor,
        target=Target("invitation", str(invitation.pk)),
        after={
            "role": role.value,
            "uses": uses,
            "expires_at": invitation.expires_at.isoformat(),
            "label": opened(invitation, "label").commitment.hex() if label is not None else None,
        },
    )
    return invitation, code


@transaction.atomic
def revoke_invitation(*, by: User, invitation_id: UUID) -> Invitation:
    """Withdraw an invitation; doing it twice changes and records nothing."""
    require(by, Permission.INVITATIONS_MANAGE)
    found = Invitation.objects.select_for_update().filter(organization=by.organization_id)
    invitation = found.filter(pk=invitation_id).first()
    if invitation is None:
        raise NotFound
    if invitation.revoked_at is None:
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])
        record(
            Action.INVITATION_REVOKED,
            organization=by.organization_id,
            actor=by.actor,
            target=Target("invitation", str(invitation.pk)),
            before={"uses": invitation.uses_left},
        )
    return invitation


def register(*, code: str, email: str, display_name: str, password: str) -> User:
    """A new user by invitation. The code is judged first: without one, nothing is told.

    Raises NotFound for a code that opens nothing, Invalid for a weak password, a name that is
    none, or an address that is taken (which only somebody with a live invitation learns),
    RateLimited.
    """
    spend(Limited.INVITATION_BY_ADDRESS, network(current_origin.get().address))
    user = _register(code, email, display_name, password)
    if user is None:
        _refused(code)
        raise NotFound(REFUSED)
    return user


@transaction.atomic
def _register(code: str, email: str, display_name: str, password: str) -> User | None:
    usable = access.usable_invitations().select_for_update(of=("self",))
    invitation = usable.filter(code_hash=hashed(code)).first()
    if invitation is None:
        return None
    name = checked_name(display_name)
    checked_password(password, email=email, name=name)
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                organization=invitation.organization,
                email=email,
                display_name=name,
                role=invitation.role,
                password=password,
            )
    except IntegrityError as error:
        raise Invalid(fields={"email": [TAKEN]}) from error
    invitation.uses_left -= 1
    invitation.save(update_fields=["uses_left"])
    _accepted(invitation, user)
    return user


def _accepted(invitation: Invitation, user: User) -> None:
    record(
        Action.USER_CREATED,
        organization=user.organization_id,
        actor=user.actor,
        target=Target("user", str(user.pk)),
        after=described(user),
    )
    record(
        Action.INVITATION_ACCEPTED,
        organization=user.organization_id,
        actor=user.actor,
        target=Target("invitation", str(invitation.pk)),
        before={"uses": invitation.uses_left + 1},
        after={"uses": invitation.uses_left},
    )


@transaction.atomic
def _refused(code: str) -> None:
    invitation = Invitation.objects.filter(code_hash=hashed(code)).first()
    record(
        Action.INVITATION_REFUSED,
        organization=invitation.organization_id if invitation else INSTALLATION,
        actor=ANONYMOUS,
        target=Target("invitation", str(invitation.pk) if invitation else "unknown"),
        outcome="failure",
    )
