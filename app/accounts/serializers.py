"""What the REST API of people and sessions takes and gives. Unknown fields are refused."""

from typing import Any

from rest_framework import serializers

from app.accounts.checks import LONGEST_EMAIL, LONGEST_LABEL, LONGEST_NAME, LONGEST_PASSWORD
from app.accounts.models import Invitation, Role, Session, User
from app.accounts.permissions import PERMISSIONS, Permission
from app.accounts.rest import StrictSerializer
from app.accounts.services.invitations import LONGEST, MOST_USES

_HOUR = 3600
# The field's own message would repeat what was sent.
_ROLE_ERRORS: dict[str, Any] = {"invalid_choice": "Choose member, officer or administrator."}


class Password(serializers.CharField):
    """A password as typed: blanks at its ends belong to it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=LONGEST_PASSWORD, trim_whitespace=False, **options)


class SignInRequest(StrictSerializer):
    email = serializers.CharField(max_length=LONGEST_EMAIL)
    password = Password()


class RefreshRequest(StrictSerializer):
    refresh = serializers.CharField(max_length=4096)


class ProfileRequest(StrictSerializer):
    display_name = serializers.CharField(max_length=LONGEST_NAME)


class PasswordRequest(StrictSerializer):
    current = Password()
    new = Password()


class InvitationRequest(StrictSerializer):
    role = serializers.ChoiceField(choices=Role.choices, error_messages=_ROLE_ERRORS)
    uses = serializers.IntegerField(min_value=1, max_value=MOST_USES, default=1)
    expires_in_hours = serializers.IntegerField(
        min_value=1, max_value=int(LONGEST.total_seconds()) // _HOUR, default=72
    )
    label = serializers.CharField(  # type: ignore[assignment]  # declared, not the attribute
        max_length=LONGEST_LABEL, required=False, default=None
    )


class AcceptRequest(StrictSerializer):
    code = serializers.CharField(max_length=128)
    email = serializers.EmailField(max_length=LONGEST_EMAIL)
    display_name = serializers.CharField(max_length=LONGEST_NAME)
    password = Password()


class PersonRequest(StrictSerializer):
    role = serializers.ChoiceField(
        choices=Role.choices, error_messages=_ROLE_ERRORS, required=False
    )
    is_active = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("Say what to change: role or is_active.")
        return attrs


class TokensAnswer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class OrganizationAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()


class CurrentSessionAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()


class MeAnswer(serializers.Serializer[Session]):
    """Made from the session that asks."""

    id = serializers.UUIDField(source="user.pk")
    display_name = serializers.CharField(source="user.display_name")
    email = serializers.CharField(source="user.email")
    role = serializers.ChoiceField(choices=Role.choices, source="user.role")
    permissions = serializers.SerializerMethodField()
    organization = OrganizationAnswer(source="user.organization")
    session = CurrentSessionAnswer(source="*")

    def get_permissions(self, session: Session) -> list[str]:
        granted: frozenset[Permission] = PERMISSIONS[Role(session.user.role)]
        return sorted(permission.value for permission in granted)


class PersonAnswer(serializers.Serializer[User]):
    id = serializers.UUIDField()
    display_name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    is_active = serializers.BooleanField()


class ManagedPersonAnswer(PersonAnswer):
    email = serializers.CharField(help_text="For administrators.", required=False)


class PeopleAnswer(serializers.Serializer[Any]):
    people = ManagedPersonAnswer(many=True)


class SessionAnswer(serializers.Serializer[Session]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    address = serializers.CharField(allow_null=True)
    agent = serializers.CharField()


class SessionsAnswer(serializers.Serializer[Any]):
    sessions = SessionAnswer(many=True)


class InvitationAnswer(serializers.Serializer[Invitation]):
    id = serializers.UUIDField()
    label = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # as above
    role = serializers.ChoiceField(choices=Role.choices)
    uses_left = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    created_by = serializers.UUIDField(source="created_by_id", allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class InvitationsAnswer(serializers.Serializer[Any]):
    invitations = InvitationAnswer(many=True)


class NewInvitationAnswer(InvitationAnswer):
    code = serializers.CharField(help_text="Shown this once.")


class TicketAnswer(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
