from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "app.chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from app.audit.net import register  # noqa: PLC0415
        from app.chat.models import Conversation, Membership  # noqa: PLC0415
        from app.chat.search import indexing  # noqa: PLC0415
        from app.encryption.rotation import columns  # noqa: PLC0415

        columns.on_resealed.append(indexing.index_resealed)
        columns.on_ended.append(indexing.forget_keys)

        register(Conversation, ["kind"], scope="pk")
        register(
            Membership,
            ["role", "left_at"],
            organization="conversation.organization_id",
            scope="conversation_id",
        )
