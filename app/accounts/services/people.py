"""What becomes of people: roles, disabling, names, passwords."""

from uuid import UUID

from django.db import transaction

from app.accounts.backends import verified
from app.accounts.checks import checked_name, checked_password
from app.accounts.limits import Limited, refund, spend
from app.accounts.models import Organization, Role, Session, User
from app.accounts.permissions import Permission, require
from app.accounts.services.ending import end
from app.audit.actions import Action
from app.audit.services import Target, record
from app.encryption.fields import opened
from app.errors import Conflict, Denied, Invalid, NotFound

SOMEBODY_ELSE = "Another administrator must do this for you."
LAST_ADMINISTRATOR = "The organization needs an active administrator."


@transaction.atomic
def change_role(*, by: User, person_id: UUID, role: Role) -> User:
    """Give somebody another role.

    Nobody changes their own: an administrator who made themselves an officer could read what
    they administer. Raises Denied, NotFound, Conflict for the last active administrator.
    """
    person = _managed(by, person_id)
    if person.role == role:
        return person
    before = person.role
    if before == Role.ADMINISTRATOR:
        _keep_an_administrator(person)
    person.role = role
    person.save(update_fields=["role"])
    record(
        Action.USER_ROLE_CHANGED,
        organization=person.organization_id,
        actor=by.actor,
        target=Target("user", str(person.pk)),
        before={"role": before},
        after={"role": role.value},
    )
    return person


@transaction.atomic
def set_active(*, by: User, person_id: UUID, active: bool) -> User:
    """Disable somebody, which ends their sessions, tokens and sockets; or enable them again.

    Raises Denied, NotFound, Conflict for the last active administrator.
    """
    person = _managed(by, person_id)
    if person.is_active == active:
        return person
    if not active and person.role == Role.ADMINISTRATOR:
        _keep_an_administrator(person)
    person.is_active = active
    person.save(update_fields=["is_active"])
    record(
        Action.USER_ENABLED if active else Action.USER_DISABLED,
        organization=person.organization_id,
        actor=by.actor,
        target=Target("user", str(person.pk)),
        before={"is_active": not active},
        after={"is_active": active},
    )
    if not active:
        end(Session.objects.filter(user=person), reason="disabled", actor=by.actor)
    return person


@transaction.atomic
def change_person(
    *, by: User, person_id: UUID, role: Role | None = None, active: bool | None = None
) -> User:
    """Both of the above, or neither."""
    person = _managed(by, person_id)
    if role is not None:
        person = change_role(by=by, person_id=person_id, role=role)
    if active is not None:
        person = set_active(by=by, person_id=person_id, active=active)
    return person


@transaction.atomic
def rename(*, user: User, display_name: str) -> User:
    """Change one's own name. Raises Invalid."""
    name = checked_name(display_name)
    person = User.objects.select_for_update().get(pk=user.pk)
    if name == person.display_name:
        return person
    before, email = opened(person, "display_name").commitment.hex(), person.email
    # Both are sealed for the new revision, also the one that stays.
    person.revision += 1
    person.display_name, person.email = name, email
    person.save(update_fields=["display_name", "email", "revision"])
    record(
        Action.USER_CHANGED,
        organization=person.organization_id,
        actor=person.actor,
        target=Target("user", str(person.pk)),
        before={"display_name": before},
        after={"display_name": opened(person, "display_name").commitment.hex()},
    )
    return person


def change_password(*, session: Session, current: str, new: str) -> User:
    """Change one's own password and end every other session.

    Raises Invalid for a wrong current or a weak new password, RateLimited.
    """
    user = session.user
    spend(Limited.PASSWORD_BY_ACCOUNT, str(user.pk))
    if not verified(user, current):
        _refused(user)
        raise Invalid(fields={"current": ["That is not your current password."]})
    checked_password(new, email=user.email, name=user.display_name, field="new")
    refund(Limited.PASSWORD_BY_ACCOUNT, str(user.pk))
    return _set_password(session, new)


@transaction.atomic
def _set_password(session: Session, new: str) -> User:
    user = User.objects.select_for_update().get(pk=session.user_id)
    user.set_password(new)
    user.save(update_fields=["password"])
    record(
        Action.USER_PASSWORD_CHANGED,
        organization=user.organization_id,
        actor=user.actor,
        target=Target("user", str(user.pk)),
    )
    others = Session.objects.filter(user=user).exclude(pk=session.pk)
    end(others, reason="password_changed", actor=user.actor)
    return user


@transaction.atomic
def _refused(user: User) -> None:
    record(
        Action.USER_PASSWORD_CHANGED,
        organization=user.organization_id,
        actor=user.actor,
        target=Target("user", str(user.pk)),
        outcome="failure",
    )


def _managed(by: User, person_id: UUID) -> User:
    """The person, locked, after everything about the asker was read again under the lock.

    The organization's row makes such changes take turns: two administrators who demote each
    other at once must not both succeed.
    """
    require(by, Permission.PEOPLE_MANAGE)
    Organization.objects.select_for_update().get(pk=by.organization_id)
    require(User.objects.get(pk=by.pk), Permission.PEOPLE_MANAGE)
    locked = User.objects.select_for_update(of=("self",)).select_related("organization")
    person = locked.filter(organization=by.organization_id, pk=person_id).first()
    if person is None:
        raise NotFound
    if person.pk == by.pk:
        raise Denied(SOMEBODY_ELSE)
    return person


def _keep_an_administrator(person: User) -> None:
    others = User.objects.filter(
        organization=person.organization_id, role=Role.ADMINISTRATOR, is_active=True
    ).exclude(pk=person.pk)
    if not others.exists():
        raise Conflict(LAST_ADMINISTRATOR)
