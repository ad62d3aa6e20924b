"""What the chat's REST API takes and gives; unknown fields are refused."""

from typing import Any

import msgspec
from rest_framework import serializers

from app.accounts.rest import StrictSerializer
from app.audit.leaves import timestamp
from app.chat.access import MAX_PAGE, PAGE, ConversationView, MessageView, Page, label
from app.chat.models import Kind, Membership, MessageVersion
from app.chat.services.conversations import MAX_MEMBERS_AT_START
from app.chat.services.text import MAX_FILE_NAME, MAX_NAME, MAX_TOPIC
from app.realtime.protocol import MAX_ATTACHMENTS, MAX_BODY_CHARACTERS

MAX_OFFSET = 2**53 - 1


# In.


class StartConversation(StrictSerializer):
    id = serializers.UUIDField(required=False)
    kind = serializers.ChoiceField(choices=Kind.choices)
    name = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NAME)
    topic = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TOPIC)
    members = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=MAX_MEMBERS_AT_START
    )


class ChangeConversation(StrictSerializer):
    name = serializers.CharField(required=False, max_length=MAX_NAME)
    topic = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TOPIC)


class AddMember(StrictSerializer):
    user = serializers.UUIDField()


class Body(serializers.CharField):
    """A text exactly as it was written, blanks and all."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=MAX_BODY_CHARACTERS, **options)


class SendMessage(StrictSerializer):
    """With attachments, the body may be empty."""

    id = serializers.UUIDField()
    body = Body(allow_blank=True)
    thread = serializers.UUIDField(required=False, allow_null=True)
    attachments = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=MAX_ATTACHMENTS
    )


class BeginUpload(StrictSerializer):
    id = serializers.UUIDField()
    name = serializers.CharField(max_length=MAX_FILE_NAME)
    size = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET)


class EditMessage(StrictSerializer):
    body = Body()
    revision = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class MarkRead(StrictSerializer):
    offset = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET)


class TimelineQuery(StrictSerializer):
    before = serializers.IntegerField(required=False, min_value=0, max_value=MAX_OFFSET)
    after = serializers.IntegerField(required=False, min_value=0, max_value=MAX_OFFSET)
    thread = serializers.UUIDField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE, default=PAGE)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "before" in attrs and "after" in attrs:
            raise serializers.ValidationError({"after": ["Give before or after, not both."]})
        return attrs


# Out.


class PositionOut(serializers.Serializer[Any]):
    epoch = serializers.CharField()
    offset = serializers.IntegerField()


class ConversationOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    name = serializers.CharField()
    topic = serializers.CharField()
    member = serializers.BooleanField()
    role = serializers.CharField(allow_null=True)
    people = serializers.ListField(child=serializers.UUIDField())
    size = serializers.IntegerField()
    position = PositionOut()
    read = serializers.IntegerField()
    unread = serializers.IntegerField()
    last_at = serializers.CharField(allow_null=True)

    def to_representation(self, view: ConversationView) -> dict[str, Any]:
        row, mine = view.conversation, view.membership
        return {
            "id": str(row.pk),
            "kind": row.kind,
            "name": label(row, "name"),
            "topic": label(row, "topic"),
            "member": mine is not None,
            "role": mine.role if mine else None,
            "people": [str(person) for person in view.people],
            "size": view.size,
            "position": view.position._asdict(),
            "read": mine.read_offset if mine else 0,
            "unread": view.unread if mine else 0,
            "last_at": timestamp(view.last_at) if view.last_at else None,
        }


class ConversationsOut(serializers.Serializer[Any]):
    conversations = ConversationOut(many=True)


class MemberOut(serializers.Serializer[Any]):
    user = serializers.UUIDField()
    role = serializers.CharField()
    joined_at = serializers.CharField()

    def to_representation(self, stay: Membership) -> dict[str, Any]:
        return {
            "user": str(stay.user_id),
            "role": stay.role,
            "joined_at": timestamp(stay.joined_at),
        }


class MembersOut(serializers.Serializer[Any]):
    members = MemberOut(many=True)


class RepliesOut(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    last_at = serializers.CharField()


class ReactionOut(serializers.Serializer[Any]):
    emoji = serializers.CharField()
    users = serializers.ListField(child=serializers.UUIDField())


class LogPlaceOut(serializers.Serializer[Any]):
    index = serializers.IntegerField()


class UploadOut(serializers.Serializer[Any]):
    """How the file is to be sent, and which parts are here already."""

    id = serializers.UUIDField()
    part_bytes = serializers.IntegerField()
    parts = serializers.IntegerField()
    stored = serializers.ListField(child=serializers.IntegerField())


class AttachmentOut(serializers.Serializer[Any]):
    """A file; all but id and size are null where it was erased. A width means: has a preview."""

    id = serializers.UUIDField()
    size = serializers.IntegerField()
    name = serializers.CharField(allow_null=True)
    type = serializers.CharField(allow_null=True)
    sha256 = serializers.CharField(allow_null=True)
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)


class MessageOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    author = serializers.UUIDField()
    body = serializers.CharField(allow_null=True)
    at = serializers.CharField()
    offset = serializers.IntegerField()
    revision = serializers.IntegerField()
    edited_at = serializers.CharField(allow_null=True)
    deleted_at = serializers.CharField(allow_null=True)
    thread = serializers.UUIDField(allow_null=True)
    replies = RepliesOut(allow_null=True)
    attachments = AttachmentOut(many=True)
    reactions = ReactionOut(many=True)
    log = LogPlaceOut(allow_null=True)

    def to_representation(self, view: MessageView) -> dict[str, Any]:
        row = view.message
        return {
            "id": str(row.pk),
            "conversation": str(row.conversation_id),
            "author": str(row.author_id),
            "body": view.body,
            "at": timestamp(row.created_at),
            "offset": row.offset,
            "revision": row.revision,
            "edited_at": timestamp(row.edited_at) if row.edited_at else None,
            "deleted_at": timestamp(row.deleted_at) if row.deleted_at else None,
            "thread": str(row.thread_id) if row.thread_id else None,
            "replies": _replies(view),
            "attachments": msgspec.to_builtins(view.attachments),
            "reactions": [
                {"emoji": emoji, "users": [str(user) for user in users]}
                for emoji, users in view.reactions.items()
            ],
            "log": None if view.log_index is None else {"index": view.log_index},
        }


def _replies(view: MessageView) -> dict[str, Any] | None:
    if view.last_reply_at is None:
        return None
    return {"count": view.replies, "last_at": timestamp(view.last_reply_at)}


class PageOut(serializers.Serializer[Any]):
    messages = MessageOut(many=True)
    position = PositionOut()
    more = serializers.BooleanField()

    def to_representation(self, page: Page) -> dict[str, Any]:
        return {
            "messages": MessageOut(page.messages, many=True).data,
            "position": page.position._asdict(),
            "more": page.more,
        }


class AckOut(serializers.Serializer[Any]):
    """Committed, sealed, and in the trail; `leaf_hash` (hex) is the message's receipt."""

    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    offset = serializers.IntegerField()
    revision = serializers.IntegerField()
    at = serializers.CharField()
    entry = serializers.IntegerField()
    leaf_hash = serializers.CharField()


class ReadStateOut(serializers.Serializer[Any]):
    conversation = serializers.UUIDField()
    read = serializers.IntegerField()
    unread = serializers.IntegerField()


class VersionOut(serializers.Serializer[Any]):
    revision = serializers.IntegerField()
    kind = serializers.CharField()
    body = serializers.CharField(allow_null=True)
    editor = serializers.UUIDField()
    at = serializers.CharField()

    def to_representation(self, shown: tuple[MessageVersion, str | None]) -> dict[str, Any]:
        version, body = shown
        return {
            "revision": version.revision,
            "kind": version.kind,
            "body": body,
            "editor": str(version.editor_id),
            "at": timestamp(version.at),
        }


class VersionsOut(serializers.Serializer[Any]):
    versions = VersionOut(many=True)


class ReceiptOut(serializers.Serializer[Any]):
    """What proves that the message's present version is in the log; see docs/trail.md."""

    message = serializers.UUIDField()
    revision = serializers.IntegerField()
    written_at = serializers.CharField()
    entry = serializers.IntegerField()
    leaf = serializers.CharField()
    leaf_hash = serializers.CharField()
    index = serializers.IntegerField(allow_null=True)
    checkpoint = serializers.CharField(allow_null=True)
    tree_size = serializers.IntegerField(allow_null=True)
    proof = serializers.ListField(child=serializers.CharField())
    verifier_key = serializers.CharField(allow_null=True)
