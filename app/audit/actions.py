"""The vocabulary of the trail: everything that can be recorded, as `subject:action`.

A value is never changed and never reused, because it is inside signed history.
The line under each member is its documentation, for the catalogue and for auditors.
"""

from enum import StrEnum


class Action(StrEnum):
    """What happened. Grouped by subject; add new members at the end of their group."""

    @property
    def is_grave(self) -> bool:
        """Whether nobody is told of success before the entry is under a signed checkpoint."""
        return self in GRAVE

    @property
    def is_disclosure(self) -> bool:
        """Whether somebody was shown what only their office lets them see; these are grave."""
        return self in DISCLOSURES

    # rows: the net under everything (django-auditlog); services record what it meant
    ROW_CREATED = "row:created"
    """A row of a watched table was inserted."""
    ROW_UPDATED = "row:updated"
    """Watched fields of a row were changed."""
    ROW_DELETED = "row:deleted"
    """A row of a watched table was deleted."""

    # the log itself
    LOG_HEARTBEAT = "log:heartbeat"
    """Once an hour: a log without a recent heartbeat stands still."""
    LOG_VERIFIED = "log:verified"
    """The whole log was rebuilt from its rows and agreed."""
    LOG_VERIFICATION_FAILED = "log:verification_failed"
    """The log was rebuilt from its rows and did not agree."""
    LOG_ANCHORED = "log:anchored"
    """A checkpoint of the log was kept outside: in a bucket, by a witness, by mail."""
    LOG_ANCHOR_FAILED = "log:anchor_failed"
    """An anchor could not be reached, or keeps another history; written once, not each try."""
    CONTENT_VERIFIED = "content:verified"
    """Messages, memberships and roles were compared with the log and agreed."""
    CONTENT_VERIFICATION_FAILED = "content:verification_failed"
    """Messages, memberships and roles were compared with the log and did not agree."""

    # organizations and people
    ORGANIZATION_CREATED = "organization:created"
    """An organization was founded."""
    ORGANIZATION_CHANGED = "organization:changed"
    """Settings of an organization were changed."""
    ORGANIZATION_CALL_POLICY_CHANGED = "organization:call_policy_changed"
    """Whether calls are recorded or monitored was said anew; whoever is in one is told."""
    USER_CREATED = "user:created"
    """Somebody joined the organization."""
    USER_CHANGED = "user:changed"
    """Somebody's profile was changed."""
    USER_ROLE_CHANGED = "user:role_changed"
    """Somebody was given another role."""
    USER_DISABLED = "user:disabled"
    """Somebody was disabled; their sessions, tokens and sockets end."""
    USER_ENABLED = "user:enabled"
    """A disabled person was enabled again."""
    USER_PASSWORD_CHANGED = "user:password_changed"  # noqa: S105 - a name, not a password
    """Somebody changed their password."""
    INVITATION_CREATED = "invitation:created"
    """An invitation was made."""
    INVITATION_ACCEPTED = "invitation:accepted"
    """An invitation was used to join."""
    INVITATION_REVOKED = "invitation:revoked"
    """An invitation was withdrawn."""
    INVITATION_REFUSED = "invitation:refused"
    """An invitation was tried that is expired, used up or withdrawn."""

    # signing in and out
    SESSION_STARTED = "session:started"
    """Somebody signed in (browser or API)."""
    SESSION_REFUSED = "session:refused"
    """Signing in failed."""
    SESSION_ENDED = "session:ended"
    """A session ended: signed out, revoked, expired, or its person disabled."""
    TOKEN_REFRESHED = "token:refreshed"  # noqa: S105 - a name, not a token
    """An API session exchanged its refresh token."""
    TOKEN_REUSED = "token:reused"  # noqa: S105 - a name, not a token
    """A refresh token was used twice: its whole family was ended."""
    ACCESS_DENIED = "access:denied"
    """Somebody asked for what their role does not allow."""

    # keys
    DATA_KEY_CREATED = "data_key:created"
    """A data key for a conversation and month was made and wrapped."""
    DATA_KEY_REWRAPPED = "data_key:rewrapped"
    """A data key was wrapped anew under another key encryption key."""
    DATA_KEY_DESTROYED = "data_key:destroyed"
    """A data key was destroyed: what it sealed can never be opened again."""
    KEY_ENCRYPTION_KEY_CREATED = "key_encryption_key:created"
    """A key encryption key was set up for an organization."""
    DATA_KEY_ROTATED = "data_key:rotated"
    """All that a data key sealed was sealed anew under another, and the old key destroyed."""
    KEY_ENCRYPTION_KEY_RETIRED = "key_encryption_key:retired"
    """A key encryption key wraps nothing any more: it may be destroyed where it is kept."""

    # conversations
    CONVERSATION_CREATED = "conversation:created"
    """A conversation was begun."""
    CONVERSATION_CHANGED = "conversation:changed"
    """Name or topic of a conversation was changed."""
    MEMBER_ADDED = "member:added"
    """Somebody was added to a conversation."""
    MEMBER_JOINED = "member:joined"
    """Somebody joined a public conversation."""
    MEMBER_LEFT = "member:left"
    """Somebody left a conversation."""
    MEMBER_REMOVED = "member:removed"
    """Somebody was removed from a conversation."""
    MEMBER_ROLE_CHANGED = "member:role_changed"
    """Somebody's role in a conversation was changed."""

    # messages
    MESSAGE_SENT = "message:sent"
    """A message was sent (its first version)."""
    MESSAGE_EDITED = "message:edited"
    """A message got another version."""
    MESSAGE_DELETED = "message:deleted"
    """A message was deleted; its versions stay, sealed."""
    REACTION_ADDED = "reaction:added"
    """Somebody reacted to a message."""
    REACTION_REMOVED = "reaction:removed"
    """Somebody took a reaction back."""

    # attachments
    ATTACHMENT_UPLOADED = "attachment:uploaded"
    """A file arrived whole; the entry commits to its name, size, type and SHA-256."""
    ATTACHMENT_DOWNLOADED = "attachment:downloaded"
    """Somebody fetched the bytes of a file."""
    ATTACHMENT_DELETED = "attachment:deleted"
    """A file was deleted: it was never sent, or its key had been destroyed."""

    # calls
    CALL_STARTED = "call:started"
    """The first person joined the voice room of a conversation."""
    CALL_ENDED = "call:ended"
    """The last person left the voice room of a conversation."""
    CALL_JOINED = "call:joined"
    """Somebody joined a call; the entry commits to what their device announced."""
    CALL_RESUMED = "call:resumed"
    """Somebody came back to their place in a call over another connection."""
    CALL_LEFT = "call:left"
    """Somebody's stay in a call ended; the entry says why, and how their connections were."""
    CALL_KICKED = "call:kicked"
    """A host put somebody out of a call."""
    CALL_MOVED = "call:moved"
    """A host sent somebody on to the call of another conversation."""
    CALL_MUTED = "call:muted"
    """Somebody's microphone was muted, by themselves or a host."""
    CALL_UNMUTED = "call:unmuted"
    """Somebody unmuted their microphone."""
    CALL_TOLD = "call:told"
    """Everybody in a call was told that it is recorded, monitored or on hold, or no more."""
    CALL_HANDED_OVER = "call:handed_over"
    """A call's media began to go through a server, was made ready to, or goes from each to each."""
    CALL_SHARED = "call:shared"
    """Somebody began or ended sending their screen or camera."""

    # officers
    TRAIL_READ = "trail:read"
    """The trail was looked at."""
    TRAIL_FED = "trail:fed"
    """Entries of the trail were handed to a SIEM; the entry says which."""
    NAMES_READ = "names:read"
    """An officer saw the names of conversations that they are not in."""
    EXPORT_REQUESTED = "export:requested"
    """An officer asked for an export."""
    EXPORT_APPROVED = "export:approved"
    """Another officer approved an export."""
    EXPORT_REFUSED = "export:refused"
    """Another officer refused an export."""
    EXPORT_WITHDRAWN = "export:withdrawn"
    """Whoever asked for an export withdrew it."""
    EXPORT_BUILT = "export:built"
    """The package of an export was built."""
    EXPORT_FAILED = "export:failed"
    """The package of an export could not be built."""
    EXPORT_DOWNLOADED = "export:downloaded"
    """The package of an export was downloaded."""
    EXPORT_DELETED = "export:deleted"
    """The package of an export was deleted."""
    MESSAGE_DISCLOSED = "message:disclosed"
    """An officer saw messages that are not theirs; the entry says which."""

    # holds, officers' reading, erasure
    HOLD_PLACED = "hold:placed"
    """An officer placed a legal hold: what it covers is not destroyed."""
    HOLD_RELEASE_REQUESTED = "hold:release_requested"
    """An officer asked to release a legal hold."""
    HOLD_RELEASE_REFUSED = "hold:release_refused"
    """The request to release a legal hold was refused or taken back: the hold stays."""
    HOLD_RELEASED = "hold:released"
    """Another officer agreed: a legal hold ended."""
    CONVERSATION_OPENED = "conversation:opened"
    """An officer opened a conversation to read it, and gave a reason."""
    SEARCH_PERFORMED = "search:performed"
    """An officer searched conversations that are not theirs; the entry says what they saw."""
    ERASURE_REQUESTED = "erasure:requested"
    """An officer asked to erase what was written in a conversation."""
    ERASURE_APPROVED = "erasure:approved"
    """Another officer approved an erasure."""
    ERASURE_REFUSED = "erasure:refused"
    """Another officer refused an erasure."""
    ERASURE_WITHDRAWN = "erasure:withdrawn"
    """Whoever asked for an erasure withdrew it."""
    ERASURE_DONE = "erasure:done"
    """What an erasure covers was erased."""
    ERASURE_STOPPED = "erasure:stopped"
    """An erasure could not be carried out, such as under a legal hold."""


DISCLOSURES = frozenset(
    {
        Action.TRAIL_READ,
        Action.TRAIL_FED,
        Action.NAMES_READ,
        Action.MESSAGE_DISCLOSED,
        Action.CONVERSATION_OPENED,
        Action.SEARCH_PERFORMED,
        Action.EXPORT_DOWNLOADED,
    }
)
GRAVE = DISCLOSURES | {
    Action.USER_ROLE_CHANGED,
    Action.DATA_KEY_DESTROYED,
    Action.EXPORT_REQUESTED,
    Action.EXPORT_APPROVED,
    Action.HOLD_PLACED,
    Action.HOLD_RELEASE_REQUESTED,
    Action.HOLD_RELEASED,
    Action.ERASURE_REQUESTED,
    Action.ERASURE_APPROVED,
    Action.ERASURE_DONE,
}
"""What waits for its checkpoint: whoever could want it undone must be too late already."""
