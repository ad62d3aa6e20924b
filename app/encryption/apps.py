from django.apps import AppConfig


class EncryptionConfig(AppConfig):
    name = "app.encryption"
    default_auto_field = "django.db.models.BigAutoField"
