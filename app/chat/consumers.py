"""Socket commands of the chat: decoded by the gateway, one service call each."""

from collections.abc import Collection, Sequence
from uuid import UUID

from msgspec import Struct

from app.accounts.models import User
from app.audit.context import Origin, acting_as, acting_from
from app.chat import access, services
from app.chat.services import Author, Draft
from app.errors import DomainError, Invalid, NotFound
from app.realtime import protocol
from app.realtime.protocol import AnyCommand, SendData
from app.realtime.services import Principal


def execute(user: User, whence: Origin, command: AnyCommand) -> Struct:
    """Carry out one command for `user`. Raises DomainError."""
    with acting_from(whence), acting_as(user.actor):
        match command:
            case protocol.Edit(d=d):
                return services.edit_message(
                    editor=user, message_id=UUID(d.id), body=d.body, revision=d.revision
                )
            case protocol.Delete(d=d):
                services.delete_message(editor=user, message_id=UUID(d.id))
            case protocol.React(d=d):
                services.react(user=user, message_id=UUID(d.id), emoji=d.emoji, on=d.on)
            case protocol.Read(d=d):
                return services.mark_read(
                    user=user, conversation_id=UUID(d.conversation), offset=d.offset
                )
            case _:
                raise Invalid("There is no such command here.")
    return protocol.Nothing()


def send_many(
    sends: Sequence[tuple[Principal, SendData]],
) -> Sequence[Struct | DomainError]:
    """Commit a batch of sends together; each has its own outcome."""
    conversations = {text: UUID(text) for text in {data.conversation for _, data in sends}}
    drafts = [
        Draft(
            author=Author(principal.user, principal.organization),
            conversation=conversations[data.conversation],
            id=data.id,
            body=data.body,
            thread=UUID(data.thread) if data.thread else None,
            origin=principal.whence,
            attachments=tuple(UUID(one) for one in data.attachments),
        )
        for principal, data in sends
    ]
    return services.send_messages(drafts)


_FOR_MEMBERS = ("conversation:", "voice:")  # whose id is a conversation's


def authorize(
    pairs: Collection[tuple[Principal, str]], users: dict[UUID, User]
) -> list[DomainError | None]:
    """For each (principal, stream): None if they may listen to it now, else the refusal."""
    wanted = {(principal, stream): UUID(stream.partition(":")[2]) for principal, stream in pairs}
    members = access.may_listen(
        [
            (users[principal.user], target)
            for (principal, stream), target in wanted.items()
            if principal.user in users and stream.startswith(_FOR_MEMBERS)
        ]
    )
    return [
        None if _may_listen(principal, stream, wanted[principal, stream], members) else NotFound()
        for principal, stream in pairs
    ]


def _may_listen(
    principal: Principal, stream: str, target: UUID, members: set[tuple[UUID, UUID]]
) -> bool:
    if stream.startswith("user:"):
        return target == principal.user
    if stream.startswith("presence:"):
        return target == principal.organization
    return (principal.user, target) in members
