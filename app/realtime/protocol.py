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
MAX_SIGNAL_BYTES = 64 * 1024
SIGNALS_PER_SECOND = 100.0
SIGNAL_BURST = 500
LEASE_SECONDS = 20.0
RENEW_SECONDS = 5.0

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
Uuid = Annotated[str, Meta(pattern=_UUID)]
ParticipantId = Annotated[
    str, Meta(min_length=36, max_length=36, extra_json_schema={"pattern": _UUID})
]
"""Whom a signal is for. Looked up among who is in the room, so that none of another form is found:
to match the pattern as well would be a quarter of what decoding costs."""
StreamName = Annotated[
    str,
    Meta(
        pattern="^(conversation|user|voice|presence):[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    ),
]
Epoch = Annotated[str, Meta(min_length=1, max_length=32)]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]
FrameId = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Body = Annotated[str, Meta(min_length=1, max_length=MAX_BODY_CHARACTERS)]
Emoji = Annotated[str, Meta(min_length=1, max_length=16)]
Generation = Annotated[int, Meta(ge=1, le=2**31 - 1)]
PublicKey = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{87}$")]
"""A device's P-256 key: the uncompressed point of SEC 1, 2.3.3 (65 bytes), base64url unpadded."""
Signature = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{86}$")]
"""ECDSA, P-256 and SHA-256, as WebCrypto has it: r and s of 32 bytes, base64url unpadded."""
Fingerprint = Annotated[str, Meta(pattern="^[0-9A-F]{2}(:[0-9A-F]{2}){31}$")]
"""SHA-256 of a DTLS certificate, in the form of SDP's `a=fingerprint` (RFC 8122, 5)."""


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
    ROOM_FULL = 120
    STALE_GENERATION = 122


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


Notice = Literal["recording", "monitoring", "hold"]
"""What a member has to be told about a conversation's calls."""


class Model(Struct, forbid_unknown_fields=True, gc=False):
    """Base of everything on the wire. Trees, in which the garbage collector has nothing to find."""


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


class PresenceData(Model):
    """How the person at this socket is to be shown; the socket's end takes it back."""

    state: Literal["active", "away"]


class VoiceJoinData(Model):
    """`pid` is made by the client, anew for each joining, so that a join can be repeated.

    The device signs `identity_statement(conversation, pid, 1, fingerprint)` with its key.
    """

    conversation: Uuid
    pid: Uuid
    device: Uuid
    key: PublicKey
    fingerprint: Fingerprint
    signature: Signature
    muted: bool = False


class VoiceResumeData(Model):
    """Take up one's place from another socket: `gen` is the old generation plus one."""

    pid: Uuid
    gen: Generation
    fingerprint: Fingerprint
    signature: Signature


class VoicePlaceData(Model):
    """One's own place in a room."""

    pid: Uuid
    gen: Generation


class Description(Model):
    """A session description (RFC 9429, 4.1.8), or the rollback that has none."""

    type: Literal["offer", "answer", "pranswer", "rollback"]
    sdp: str = ""


class Candidate(Model, rename="camel"):
    """An ICE candidate as WebRTC's `RTCIceCandidateInit`; an empty one ends them."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None
    username_fragment: str | None = None


class VoiceSignalData(Model):
    """To the participant `to` in generation `gen`; handed on as it is, kept nowhere.

    `neg` names the negotiation. The server adds who sent it, from where it came.
    """

    to: ParticipantId
    gen: Generation
    neg: Annotated[str, Meta(max_length=64)]
    description: Description | None = None
    candidate: Candidate | None = None


class VoiceMuteData(Model):
    """Mute oneself, or as a host somebody else; only oneself is unmuted."""

    pid: Uuid
    muted: bool


class VoiceShareData(Model):
    """What one sends beside sound."""

    pid: Uuid
    gen: Generation
    screen: bool
    video: bool


class VoiceKickData(Model):
    pid: Uuid


class VoiceMoveData(Model):
    """Send somebody to the room of another conversation of theirs."""

    pid: Uuid
    conversation: Uuid


class VoiceReportData(Model):
    """How the connection to one peer is, for the call record: fractions, milliseconds."""

    pid: Uuid
    gen: Generation
    peer: Uuid
    candidate: Literal["host", "srflx", "prflx", "relay"]
    loss: Annotated[float, Meta(ge=0, le=1)]
    jitter_ms: Annotated[float, Meta(ge=0, le=600_000)]
    rtt_ms: Annotated[float, Meta(ge=0, le=600_000)]


class AuthRefreshData(Model):
    """A new ticket of the same person: the socket goes on under that ticket's session."""

    ticket: Annotated[str, Meta(min_length=20, max_length=128)]


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


class Presence(Command, tag="presence"):
    d: PresenceData


class AuthRefresh(Command, tag="auth.refresh"):
    d: AuthRefreshData


class VoiceJoin(Command, tag="voice.join"):
    d: VoiceJoinData


class VoiceResume(Command, tag="voice.resume"):
    d: VoiceResumeData


class VoiceRenew(Command, tag="voice.renew"):
    """Keeps one's lease: to be sent every RENEW_SECONDS."""

    d: VoicePlaceData


class VoiceLeave(Command, tag="voice.leave"):
    d: VoicePlaceData


class VoiceIce(Command, tag="voice.ice"):
    """Asks for fresh TURN credentials."""

    d: VoicePlaceData


class VoiceSignal(Command, tag="voice.signal"):
    d: VoiceSignalData


class VoiceMute(Command, tag="voice.mute"):
    d: VoiceMuteData


class VoiceShare(Command, tag="voice.share"):
    d: VoiceShareData


class VoiceKick(Command, tag="voice.kick"):
    d: VoiceKickData


class VoiceMove(Command, tag="voice.move"):
    d: VoiceMoveData


class VoiceReport(Command, tag="voice.report"):
    d: VoiceReportData


VoiceCommand = (
    VoiceJoin
    | VoiceResume
    | VoiceRenew
    | VoiceLeave
    | VoiceIce
    | VoiceMute
    | VoiceShare
    | VoiceKick
    | VoiceMove
    | VoiceReport
)
AnyCommand = (
    Connect
    | Sub
    | Unsub
    | Send
    | Edit
    | Delete
    | React
    | Read
    | Typing
    | Presence
    | Ping
    | AuthRefresh
    | VoiceSignal
    | VoiceCommand
)


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


class Participant(Model):
    """Somebody in a room now. Peers check `signature` and that the DTLS certificate fits."""

    pid: Uuid
    gen: Generation
    user: Uuid
    device: Uuid
    at: str
    muted: bool
    muted_by: Uuid | None
    screen: bool
    video: bool
    key: PublicKey
    fingerprint: Fingerprint
    signature: Signature


class IceServer(Model):
    """As WebRTC's `RTCIceServer`."""

    urls: list[str]
    username: str = ""
    credential: str = ""


class Sfu(Model):
    """Where media goes instead of to each peer: a LiveKit server and a token for it."""

    url: str
    token: str


class Ice(Model):
    """Servers, and for how many seconds their credentials are good.

    `sfu` is there once the room's media may go, or goes, through a server (`voice.handover`).
    """

    servers: list[IceServer]
    ttl: int
    sfu: Sfu | None = None


class VoicePlace(Model):
    """One's place in a room, and the room at position (`e`, `o`) of its stream.

    The socket is subscribed to the stream from there. `participants` includes oneself; who
    joined offers to all others; of two, the one with the smaller pid is polite. `notice`
    holds what a member has to be told: `recording`, `monitoring`, `hold`.
    """

    conversation: Uuid
    call: Uuid
    pid: Uuid
    gen: Generation
    s: StreamName
    e: Epoch
    o: Offset
    participants: list[Participant]
    ice: Ice
    capacity: int
    host: bool
    notice: list[Notice]
    lease: float = LEASE_SECONDS
    renew: float = RENEW_SECONDS
    sfu: Sfu | None = None


AnyResult = Connected | Subscribed | Ack | ReadState | VoicePlace | Ice | Nothing


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


class PresenceNow(Model, tag_field="t", tag="presence"):
    """Who of the organization is shown how; `whole` when nobody else is there."""

    users: dict[Uuid, Literal["active", "away", "offline"]]
    whole: bool = False


LeaveReason = Literal[
    "left", "timeout", "kicked", "moved", "replaced", "revoked", "room_closed", "sfu_handover"
]


class VoiceJoined(Model, tag_field="t", tag="voice.joined"):
    call: Uuid
    participant: Participant


class VoiceResumed(Model, tag_field="t", tag="voice.resumed"):
    pid: Uuid
    gen: Generation
    fingerprint: Fingerprint
    signature: Signature


class VoiceLeft(Model, tag_field="t", tag="voice.left"):
    """`by` is who made them leave, where it was not they themselves."""

    pid: Uuid
    user: Uuid
    reason: LeaveReason
    by: Uuid | None
    at: str


class VoiceChanged(Model, tag_field="t", tag="voice.changed"):
    pid: Uuid
    muted: bool
    muted_by: Uuid | None
    screen: bool
    video: bool


class VoiceHandover(Model, tag_field="t", tag="voice.handover"):
    """Where media goes. To the SFU: get ready (its token comes with `voice.ice`), or, with
    `force`, send there now and end the mesh. To the mesh: connect to all others again.
    """

    to: Literal["sfu", "mesh"]
    force: bool


class VoiceNotice(Model, tag_field="t", tag="voice.notice"):
    """What everybody in the call has to be told is another now: as `notice` of a VoicePlace."""

    notice: list[Notice]


class VoiceSummoned(Model, tag_field="t", tag="voice.summoned"):
    """In one's own stream: a host sent one's place `pid` on to another room."""

    pid: Uuid
    conversation: Uuid
    by: Uuid


class VoiceSignalled(Model, tag_field="t", tag="voice.signalled"):
    """From a participant to one other. `sender` and `sender_gen` are the server's word."""

    to: Uuid
    gen: Generation
    sender: Uuid
    sender_gen: Generation
    neg: str
    description: Description | None = None
    candidate: Candidate | None = None


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
    | VoiceJoined
    | VoiceResumed
    | VoiceLeft
    | VoiceChanged
    | VoiceHandover
    | VoiceNotice
    | VoiceSummoned
)
EphemeralEvent = TypingNow | LogSealed | PresenceNow | VoiceSignalled


class Durable(Struct):
    """`{"s": stream, "e": epoch, "o": offset, "t": type, "d": {…}}`."""

    s: StreamName
    e: Epoch
    o: Offset
    t: str
    d: Any


class Ephemeral(Struct, gc=False):
    s: StreamName
    t: str
    d: Any


class Hello(Struct, tag_field="op", tag="hello"):
    d: dict[str, str]


class Reconnect(Struct, tag_field="op", tag="reconnect"):
    """This instance is going: open another socket after `after_ms`, then let go of this one."""

    d: dict[Literal["after_ms"], int]


class Bye(Struct, tag_field="op", tag="bye"):
    d: dict[str, str]


class Resync(Struct, tag_field="op", tag="resync"):
    """The stream `s` cannot be continued: load its state again and subscribe anew."""

    d: dict[Literal["s"], str]


class _SignalledData(Struct, omit_defaults=True, gc=False):
    """`VoiceSignalled` as it stands in `d`, without its tag: encoded as it came, in one go."""

    to: str
    gen: int
    sender: str
    sender_gen: int
    neg: str
    description: Description | None = None
    candidate: Candidate | None = None


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


def signalled(stream: str, sender: str, sender_gen: int, signal: VoiceSignalData) -> bytes:
    """Return the encoded push that hands `signal` on, with the server's word on its sender."""
    data = _SignalledData(
        signal.to,
        signal.gen,
        sender,
        sender_gen,
        signal.neg,
        signal.description,
        signal.candidate,
    )
    return _encoder.encode(Ephemeral(stream, "voice.signalled", data))


def ephemeral(stream: str, event: Struct) -> bytes:
    """Return the encoded push of an event that has no offset."""
    return encode(Ephemeral(stream, tag(event), event_data(event)))


def refusal(frame: int, code: Code, message: str) -> bytes:
    """Return the encoded refusal of the frame with id `frame`."""
    failure = Failure(code, code.name.lower(), code in RETRYABLE, message)
    return encode(Refusal(frame, failure))


def identity_statement(conversation: str, pid: str, gen: int, fingerprint: str) -> bytes:
    """Return what a device signs to tie its DTLS certificate to its place in a room.

    ASCII lines, each ended by a line feed: `parley/voice/v1`, then the four in their order.
    """
    lines = ("parley/voice/v1", conversation, pid, str(gen), fingerprint)
    return "".join(f"{line}\n" for line in lines).encode()


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
