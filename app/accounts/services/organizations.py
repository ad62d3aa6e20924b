"""The beginning and the end of an organization, from the command line alone."""

from django.db import transaction

from app.accounts.models import Organization, Role, Session, User
from app.accounts.services.ending import end
from app.audit.actions import Action
from app.audit.context import SYSTEM
from app.audit.services import Record, Target, record, record_many
from app.encryption.fields import opened


@transaction.atomic
def found_organization(*, slug: str, name: str) -> Organization:
    """A new organization, still without people. Raises IntegrityError where the slug is taken."""
    organization = Organization.objects.create(slug=slug, name=name)
    record(
        Action.ORGANIZATION_CREATED,
        organization=organization.pk,
        actor=SYSTEM,
        target=Target("organization", str(organization.pk)),
        after={"slug": slug, "name": opened(organization, "name").commitment.hex()},
    )
    return organization


@transaction.atomic
def add_user(
    *, organization: Organization, email: str, display_name: str, role: Role, password: str
) -> User:
    """A person added without an invitation: the first administrator, or a seed's cast."""
    user = User.objects.create_user(
        organization=organization,
        email=email,
        display_name=display_name,
        role=role,
        password=password,
    )
    record(
        Action.USER_CREATED,
        organization=organization.pk,
        actor=SYSTEM,
        target=Target("user", str(user.pk)),
        after=described(user),
    )
    return user


@transaction.atomic
def disable_everybody(organization: Organization) -> int:
    """Let nobody of an organization in any more, administrators included; returns how many it
    were. Their sessions, tokens and sockets end."""
    people = list(
        User.objects.filter(organization=organization, is_active=True).select_for_update()
    )
    User.objects.filter(pk__in=[person.pk for person in people]).update(is_active=False)
    record_many(
        [
            Record(
                Action.USER_DISABLED,
                organization=organization.pk,
                actor=SYSTEM,
                target=Target("user", str(person.pk)),
                before={"is_active": True},
                after={"is_active": False},
            )
            for person in people
        ]
    )
    sessions = Session.objects.filter(user__organization=organization)
    end(sessions, reason="disabled", actor=SYSTEM)
    return len(people)


def described(user: User) -> dict[str, str]:
    """What the trail says of a new person: sealed fields as commitments."""
    return {
        "role": user.role,
        "email": opened(user, "email").commitment.hex(),
        "display_name": opened(user, "display_name").commitment.hex(),
    }
