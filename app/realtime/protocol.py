"""The wire protocol `rt.v1`: every command and every event, as closed, typed models.

Pure: imports neither Django nor Channels, so that load tests and other people's
clients can use it alone. Unknown fields are refused. `schema()` is committed as
`docs/protocol.schema.json`, so that a change of the protocol shows in review.
"""

from enum import IntEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

VERSION = "rt.v1"
MAX_FRAME_BYTES = 16 * 1024
MAX_SUBSCRIPTIONS = 128
MAX_SOCKETS_PER_USER = 8
MAX_BODY_CHARACTERS = 16_000
MAX_ATTACHMENTS = 10
FIRST_FRAME_SECONDS = 10.0
PING_SECONDS = 25.0
PONG_SECONDS = 10.0
TYPING_SECONDS = 3.0
COMMANDS_PER_SECOND = 10.0
COMMAND_BURST = 100

Uuid = Annotated[
    str, Meta(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
StreamName = Annotated[
    str,
    Meta(
        pattern="^(conversation|user):[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    ),
]
Epoch = Annotated[str, Meta(min_length=1, max_length=32)]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]
FrameId = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Body = Annotated[str, Meta(min_length=1, max_length=MAX_BODY_CHARACTERS)]
Emoji = Annotated[str, Meta(min_length=1, max_length=16)]


class Code(IntEnum):
    """Error codes of a reply; those in `RETRYABLE` may be tried again as they are."""

    INTERNAL = 100
    UNAUTHENTICATED = 101
    DENIED = 103
    NOT_FOUND = 104
    CONFLICT = 105
    BAD_REQUEST = 107
    TICKET_EXPIRED = 109
    RATE = 111
    UNRECOVERABLE = 112


RETRYABLE = frozenset({Code.INTERNAL, Code.RATE})


class Close(IntEnum):
    """Close codes: after 41xx a client reconnects and recovers, after 45xx it stops."""

    DRAIN = 4101
    BAD_FRAME = 4107
    SLOW = 4108
    GAP = 4110
    NO_PONG = 4112
    REVOKED = 4501
    UNAUTHENTICATED = 4502
    KICKED = 4503
    VERSION = 4505
    TOO_MANY = 4508


class Model(Struct, forbid_unknown_fields=True):
    """Base of everything on the wire."""


# Commands: what a client may ask. `d` holds the arguments.


class Position(Model):
    """Where a client stands in a stream: it has everything up to offset `o` of epoch `e`."""

    s: StreamName
    e: Epoch
    o: Offset


class ConnectData(Model):
    ticket: Annotated[str, Meta(min_length=20, max_length=128)]
    client: Annotated[str, Meta(max_length=64)] = ""


class SubData(Model):
    """Both `e` and `o` to recover what was missed; neither to start at the top."""

    s: StreamName
    e: Epoch | None = None
    o: Offset | None = None


class UnsubData(Model):
    s: StreamName


class SendData(Model):
    """`attachments` are files that their sender has uploaded; with some, `body` may be empty."""

    conversation: Uuid
    id: Uuid
    body: Annotated[str, Meta(max_length=MAX_BODY_CHARACTERS)]
    thread: Uuid | None = None
    attachments: Annotated[list[Uuid], Meta(max_length=MAX_ATTACHMENTS)] = []


class EditData(Model):
    """`revision` is the one that the editor saw; another one since then is a conflict."""

    id: Uuid
    body: Body
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class DeleteData(Model):
    id: Uuid


class ReactData(Model):
    id: Uuid
    emoji: Emoji
    on: bool


class ReadData(Model):
    conversation: Uuid
    offset: Offset


class TypingData(Model):
    conversation: Uuid


class PingData(Model):
    pass


class Command(Struct, forbid_unknown_fields=True, tag_field="op"):
    """A client's frame: `{"id": 7, "op": "send", "d": {…}}`; the reply bears the same id."""

    id: FrameId


class Connect(Command, tag="connect"):
    d: ConnectData


class Sub(Command, tag="sub"):
    d: SubData


class Unsub(Command, tag="unsub"):
    d: UnsubData


class Send(Command, tag="send"):
    d: SendData


class Edit(Command, tag="edit"):
    d: EditData


class Delete(Command, tag="delete"):
    d: DeleteData


class React(Command, tag="react"):
    d: ReactData


class Read(Command, tag="read"):
    d: ReadData


class Typing(Command, tag="typing"):
    d: TypingData


class Ping(Command, tag="ping"):
    d: PingData = msgspec.field(default_factory=PingData)


AnyCommand = Connect | Sub | Unsub | Send | Edit | Delete | React | Read | Typing | Ping


# Replies.


class Connected(Model):
    session: Uuid
    user: Uuid
    ping: float
    limits: dict[str, int]


class Subscribed(Model):
    """The stream's position now; `recovered` tells that the missed events follow, all of them."""

    s: StreamName
    e: Epoch
    o: Offset
    recovered: bool


class Ack(Model):
    """The message is committed, sealed and in the trail; `leaf_hash` (hex) is its receipt."""

    id: Uuid
    conversation: Uuid
    offset: Offset
    revision: int
    at: str
    entry: int
    leaf_hash: str


class Nothing(Model):
    """An `ok` that has nothing to tell."""


class Failure(Model):
    code: int
    name: str
    retry: bool
    message: str


class ReadState(Model):
    conversation: Uuid
    read: Offset
    unread: int


AnyResult = Connected | Subscribed | Ack | ReadState | Nothing


class Reply(Struct):
    id: FrameId
    ok: Any


class Refusal(Struct):
    id: FrameId
    err: Failure


# Events: what happened in a stream. Durable ones have an offset, ephemeral ones do not.


class Attachment(Model):
    """A file of a message. All but id and size are None where it was erased since.

    `sha256` (hex) is of its bytes; `width` and `height`, in pixels, of a picture that has a
    preview.
    """

    id: Uuid
    size: int
    name: str | None = None
    type: str | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None


class MessageCreated(Model, tag_field="t", tag="message.created"):
    id: Uuid
    author: Uuid
    body: str | None
    """None where the text has been erased since."""
    thread: Uuid | None
    at: str
    revision: int
    entry: int
    attachments: list[Attachment] = []


class MessageEdited(Model, tag_field="t", tag="message.edited"):
    id: Uuid
    revision: int
    body: str | None
    by: Uuid
    at: str


class MessageDeleted(Model, tag_field="t", tag="message.deleted"):
    id: Uuid
    revision: int
    by: Uuid
    at: str


class ReactionAdded(Model, tag_field="t", tag="reaction.added"):
    id: Uuid
    user: Uuid
    emoji: str


class ReactionRemoved(Model, tag_field="t", tag="reaction.removed"):
    id: Uuid
    user: Uuid
    emoji: str


class MemberJoined(Model, tag_field="t", tag="member.joined"):
    user: Uuid
    by: Uuid
    at: str


class MemberLeft(Model, tag_field="t", tag="member.left"):
    user: Uuid
    by: Uuid
    at: str


class ConversationChanged(Model, tag_field="t", tag="conversation.changed"):
    """Name or topic is another one: load the conversation again."""


class ConversationAdded(Model, tag_field="t", tag="conversation.added"):
    conversation: Uuid


class ConversationRemoved(Model, tag_field="t", tag="conversation.removed"):
    conversation: Uuid


class ReadMoved(Model, tag_field="t", tag="read.moved"):
    conversation: Uuid
    offset: Offset
    unread: int


class TypingNow(Model, tag_field="t", tag="typing"):
    user: Uuid


class LogSealed(Model, tag_field="t", tag="log.sealed"):
    """Messages that a signed checkpoint of `size` leaves covers, with their leaf's index."""

    entries: list[tuple[Uuid, int]]
    size: int


DurableEvent = (
    MessageCreated
    | MessageEdited
    | MessageDeleted
    | ReactionAdded
    | ReactionRemoved
    | MemberJoined
    | MemberLeft
    | ConversationChanged
    | ConversationAdded
    | ConversationRemoved
    | ReadMoved
)
EphemeralEvent = TypingNow | LogSealed


class Durable(Struct):
    """`{"s": stream, "e": epoch, "o": offset, "t": type, "d": {…}}`."""

    s: StreamName
    e: Epoch
    o: Offset
    t: str
    d: Any


class Ephemeral(Struct):
    s: StreamName
    t: str
    d: Any


class Hello(Struct, tag_field="op", tag="hello"):
    d: dict[str, str]


class Bye(Struct, tag_field="op", tag="bye"):
    d: dict[str, str]


class Resync(Struct, tag_field="op", tag="resync"):
    """The stream `s` cannot be continued: load its state again and subscribe anew."""

    d: dict[Literal["s"], str]


_decoder = msgspec.json.Decoder(AnyCommand)
_encoder = msgspec.json.Encoder()


class BadFrame(ValueError):
    """What arrived is no command; the text says why, to the sender alone: it is never logged."""


def decode(frame: bytes | str) -> AnyCommand:
    """Return the command in `frame` (UTF-8 JSON).

    Raises BadFrame for anything else: no JSON, unknown command or field, wrong type or size.
    """
    try:
        command: AnyCommand = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(str(error)) from None
    return command


def frame_id(frame: bytes | str) -> int:
    """Return the `id` of a frame that `decode` refused, so that the refusal can bear it, or 0."""
    try:
        found = msgspec.json.decode(frame, type=dict[str, msgspec.Raw]).get("id")
        return msgspec.json.decode(found, type=FrameId) if found is not None else 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def encode(model: Struct) -> bytes:
    """Return the UTF-8 JSON of `model`."""
    return _encoder.encode(model)


def tag(event: Struct) -> str:
    """Return an event's type name, as it stands in `t`."""
    return str(event.__struct_config__.tag)


def event_data(event: Struct) -> dict[str, Any]:
    """Return an event's fields without its type: what stands in `d`."""
    data: dict[str, Any] = msgspec.to_builtins(event)
    del data["t"]
    return data


def refusal(frame: int, code: Code, message: str) -> bytes:
    """Return the encoded refusal of the frame with id `frame`."""
    failure = Failure(code, code.name.lower(), code in RETRYABLE, message)
    return encode(Refusal(frame, failure))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of all frames, both ways, as one document."""
    parts: dict[str, Any] = {
        "commands": AnyCommand,
        "results": AnyResult,
        "events": DurableEvent | EphemeralEvent,
    }
    events = (*DurableEvent.__args__, *EphemeralEvent.__args__)
    _, components = msgspec.json.schema_components(
        [*AnyCommand.__args__, *AnyResult.__args__, Failure, *events],
        ref_template="#/$defs/{name}",
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Parley {VERSION}",
        **{
            name: {"anyOf": [{"$ref": f"#/$defs/{part.__name__}"} for part in union.__args__]}
            for name, union in parts.items()
        },
        "close": {code.name: int(code) for code in Close},
        "codes": {code.name: int(code) for code in Code},
        "$defs": components,
    }
