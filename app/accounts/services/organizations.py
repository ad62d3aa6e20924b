"""Founding an organization, from the command line or the demonstration's seed alone."""

from django.db import transaction

from app.accounts.models import Organization, Role, User
from app.audit.actions import Action
from app.audit.context import SYSTEM
from app.audit.services import Target, record
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


def described(user: User) -> dict[str, str]:
    """What the trail says of a new person: sealed fields as commitments."""
    return {
        "role": user.role,
        "email": opened(user, "email").commitment.hex(),
        "display_name": opened(user, "display_name").commitment.hex(),
    }
