from django.apps import AppConfig
from django.core import checks


class AuditConfig(AppConfig):
    name = "app.audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from app.audit.checks import check_net  # noqa: PLC0415  # models must be loaded

        checks.register(check_net)
