from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "app.accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from app.accounts.access import officer_addresses  # noqa: PLC0415
        from app.accounts.models import Invitation, Organization, Session, User  # noqa: PLC0415
        from app.audit.anchors.configured import find_officers_with  # noqa: PLC0415
        from app.audit.net import register  # noqa: PLC0415

        find_officers_with(officer_addresses)

        register(Organization, ["slug"], organization="pk")
        register(User, ["role", "is_active"])
        register(Invitation, ["role", "expires_at", "uses_left", "revoked_at"])
        register(Session, ["kind", "ended_at", "ended_reason"], organization="user.organization_id")
