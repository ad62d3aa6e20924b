from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    name = "app.compliance"
    default_auto_field = "django.db.models.BigAutoField"
