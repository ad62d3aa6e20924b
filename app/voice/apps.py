from django.apps import AppConfig


class VoiceConfig(AppConfig):
    name = "app.voice"
    default_auto_field = "django.db.models.BigAutoField"
