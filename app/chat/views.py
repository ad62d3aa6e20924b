"""The chat's REST API. Each method: parse, one call of a service or of access, respond."""

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.authentication import recognise
from app.accounts.identity import Bearer, user_of
from app.accounts.rest import parsed
from app.accounts.schema import answers
from app.audit.leaves import timestamp
from app.chat import access, services
from app.chat import serializers as shapes
from app.chat.services import Author, Draft
from app.realtime.protocol import Ack


class ConversationsView(APIView):
    @extend_schema(
        operation_id="conversations_list",
        responses=answers({200: shapes.ConversationsOut}, 401, 404),
    )
    def get(self, request: Request) -> Response:
        """List my conversations and those that I could join, the latest first."""
        views = access.conversations(user_of(request))
        return Response({"conversations": shapes.ConversationOut(views, many=True).data})

    @extend_schema(
        request=shapes.StartConversation,
        responses=answers(
            {201: shapes.ConversationOut, 200: shapes.ConversationOut},
            400,
            401,
            403,
            404,
            409,
            413,
            415,
        ),
    )
    def post(self, request: Request) -> Response:
        """Begin a conversation; a direct one of the same people is found again (200)."""
        asked = parsed(shapes.StartConversation, request)
        found, new = services.start_conversation(
            creator=user_of(request),
            kind=asked["kind"],
            name=asked.get("name", ""),
            topic=asked.get("topic", ""),
            members=asked.get("members", []),
            conversation_id=asked.get("id"),
        )
        view = access.conversation(user_of(request), found.pk)
        return Response(shapes.ConversationOut(view).data, status=201 if new else 200)


class ConversationView(APIView):
    @extend_schema(responses=answers({200: shapes.ConversationOut}, 401, 404))
    def get(self, request: Request, conversation: UUID) -> Response:
        """One conversation, as I see it."""
        view = access.conversation(user_of(request), conversation)
        return Response(shapes.ConversationOut(view).data)

    @extend_schema(
        request=shapes.ChangeConversation,
        responses=answers({200: shapes.ConversationOut}, 400, 401, 403, 404, 409, 413, 415),
    )
    def patch(self, request: Request, conversation: UUID) -> Response:
        """Rename it or change its topic (owners)."""
        user = user_of(request)
        asked = parsed(shapes.ChangeConversation, request)
        services.change_conversation(user=user, conversation_id=conversation, **asked)
        return Response(shapes.ConversationOut(access.conversation(user, conversation)).data)


class JoinView(APIView):
    @extend_schema(
        request=None,
        responses=answers({200: shapes.ConversationOut}, 400, 401, 403, 404, 409, 413, 415),
    )
    def post(self, request: Request, conversation: UUID) -> Response:
        """Join a public conversation."""
        user = user_of(request)
        services.join(user=user, conversation_id=conversation)
        return Response(shapes.ConversationOut(access.conversation(user, conversation)).data)


class LeaveView(APIView):
    @extend_schema(request=None, responses=answers({204: None}, 400, 401, 403, 404, 409, 413, 415))
    def post(self, request: Request, conversation: UUID) -> Response:
        """Leave a conversation."""
        services.leave(user=user_of(request), conversation_id=conversation)
        return Response(status=204)


class MembersView(APIView):
    @extend_schema(responses=answers({200: shapes.MembersOut}, 401, 404))
    def get(self, request: Request, conversation: UUID) -> Response:
        """Who belongs to the conversation now."""
        stays = access.members(user_of(request), conversation)
        return Response({"members": shapes.MemberOut(stays, many=True).data})

    @extend_schema(
        request=shapes.AddMember, responses=answers({204: None}, 400, 401, 403, 404, 409, 413, 415)
    )
    def post(self, request: Request, conversation: UUID) -> Response:
        """Bring somebody in."""
        asked = parsed(shapes.AddMember, request)
        services.add_member(
            by=user_of(request), conversation_id=conversation, user_id=asked["user"]
        )
        return Response(status=204)


class MemberView(APIView):
    @extend_schema(responses=answers({204: None}, 401, 403, 404, 409))
    def delete(self, request: Request, conversation: UUID, user: UUID) -> Response:
        """Put somebody out (owners)."""
        services.remove_member(by=user_of(request), conversation_id=conversation, user_id=user)
        return Response(status=204)


class MessagesView(APIView):
    asks_later = ("POST",)
    """Whose session it is, is asked for all messages that are committed together."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return super().dispatch(request, *args, **kwargs)
        with services.coming():
            return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        parameters=[shapes.TimelineQuery], responses=answers({200: shapes.PageOut}, 400, 401, 404)
    )
    def get(self, request: Request, conversation: UUID) -> Response:
        """A page of messages by offset, ascending; without a bound, the latest."""
        query = shapes.TimelineQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        page = access.timeline(user_of(request), conversation, **query.validated_data)
        return Response(shapes.PageOut(page).data)

    @extend_schema(
        request=shapes.SendMessage,
        responses=answers({201: shapes.AckOut}, 400, 401, 403, 404, 409, 413, 415),
    )
    def post(self, request: Request, conversation: UUID) -> Response:
        """Send a message. The same id sent again gets the same acknowledgement."""
        try:
            ack = _send(request, conversation, parsed(shapes.SendMessage, request))
        except Exception:
            recognise(request)
            raise
        return Response(msgspec.to_builtins(ack), status=201)


def _send(request: Request, conversation: UUID, asked: dict[str, Any]) -> Ack:
    bearer = request.auth if isinstance(request.auth, Bearer) else None
    draft = Draft(
        author=Author(bearer.user, bearer.organization) if bearer else user_of(request),
        conversation=conversation,
        id=str(asked["id"]),
        body=asked["body"],
        thread=asked.get("thread"),
        attachments=tuple(asked.get("attachments", ())),
    )
    return services.send_together(draft, bearer)


class MessageView(APIView):
    @extend_schema(responses=answers({200: shapes.MessageOut}, 401, 404))
    def get(self, request: Request, message: UUID) -> Response:
        """One message."""
        view = access.message_view(user_of(request), message)
        return Response(shapes.MessageOut(view).data)

    @extend_schema(
        request=shapes.EditMessage,
        responses=answers({200: shapes.AckOut}, 400, 401, 403, 404, 409, 413, 415),
    )
    def patch(self, request: Request, message: UUID) -> Response:
        """Give my message another text; 409 if it is not the one that I saw."""
        asked = parsed(shapes.EditMessage, request)
        ack = services.edit_message(editor=user_of(request), message_id=message, **asked)
        return Response(msgspec.to_builtins(ack))

    @extend_schema(responses=answers({204: None}, 401, 403, 404, 409))
    def delete(self, request: Request, message: UUID) -> Response:
        """Take my message away; its versions are kept, sealed."""
        services.delete_message(editor=user_of(request), message_id=message)
        return Response(status=204)


class VersionsView(APIView):
    @extend_schema(responses=answers({200: shapes.VersionsOut}, 401, 404))
    def get(self, request: Request, message: UUID) -> Response:
        """All versions of my message."""
        found = access.versions(user_of(request), message)
        shown = [(version, access.text_of(version)) for version in found]
        return Response({"versions": shapes.VersionOut(shown, many=True).data})


class ReceiptView(APIView):
    @extend_schema(responses=answers({200: shapes.ReceiptOut}, 401, 404))
    def get(self, request: Request, message: UUID) -> Response:
        """What proves that the message is in the log; anyone may check it."""
        version, receipt = access.receipt(user_of(request), message)
        return Response(
            {
                "message": str(version.message_id),
                "revision": version.revision,
                "written_at": timestamp(version.at),
                "entry": receipt.entry_id,
                "leaf": receipt.leaf.decode(),
                "leaf_hash": receipt.leaf_hash.hex(),
                "index": receipt.index,
                "checkpoint": receipt.checkpoint,
                "tree_size": receipt.tree_size,
                "proof": [node.hex() for node in receipt.proof],
                "verifier_key": access.log_key(user_of(request)) if receipt.checkpoint else None,
            }
        )


class ReactionView(APIView):
    @extend_schema(request=None, responses=answers({204: None}, 400, 401, 403, 404, 409, 413, 415))
    def put(self, request: Request, message: UUID, emoji: str) -> Response:
        """React to a message."""
        services.react(user=user_of(request), message_id=message, emoji=emoji, on=True)
        return Response(status=204)

    @extend_schema(responses=answers({204: None}, 400, 401, 403, 404, 409))
    def delete(self, request: Request, message: UUID, emoji: str) -> Response:
        """Take my reaction back."""
        services.react(user=user_of(request), message_id=message, emoji=emoji, on=False)
        return Response(status=204)


class ReadView(APIView):
    @extend_schema(
        request=shapes.MarkRead,
        responses=answers({200: shapes.ReadStateOut}, 400, 401, 403, 404, 409, 413, 415),
    )
    def post(self, request: Request, conversation: UUID) -> Response:
        """Say up to where I have read."""
        asked = parsed(shapes.MarkRead, request)
        state = services.mark_read(
            user=user_of(request), conversation_id=conversation, offset=asked["offset"]
        )
        return Response(msgspec.to_builtins(state))
