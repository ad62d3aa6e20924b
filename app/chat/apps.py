from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "app.chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from app.audit.net import register  # noqa: PLC0415
        from app.chat.models import Conversation, Membership  # noqa: PLC0415

        register(Conversation, ["kind"], scope="pk")
        register(
            Membership,
            ["role", "left_at"],
            organization="conversation.organization_id",
            scope="conversation_id",
        )
