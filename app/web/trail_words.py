"""The trail in words that an officer uses: who did what, to what."""

from typing import Any
from uuid import UUID

from app.accounts.models import User
from app.audit.actions import Action

SUBJECTS = {
    "message": "Messages",
    "reaction": "Reactions",
    "attachment": "Files",
    "call": "Calls",
    "conversation": "Conversations",
    "member": "Membership",
    "user": "People",
    "invitation": "Invitations",
    "session": "Sessions",
    "token": "Tokens",
    "access": "Refused access",
    "trail": "Looks at the trail",
    "names": "Looks at names",
    "export": "Exports",
    "hold": "Legal holds",
    "search": "Officers' searches",
    "erasure": "Erasures",
    "organization": "Organization",
    "data_key": "Data keys",
    "key_encryption_key": "Key encryption keys",
    "log": "The log itself",
    "content": "Comparisons of the database with the log",
    "row": "Rows of tables",
}

_WORDS = {
    Action.ROW_CREATED: "added a row",
    Action.ROW_UPDATED: "changed a row",
    Action.ROW_DELETED: "deleted a row",
    Action.LOG_HEARTBEAT: "noted that the log is alive",
    Action.LOG_VERIFIED: "verified the log: it agrees",
    Action.LOG_VERIFICATION_FAILED: "verified the log: it does not agree",
    Action.LOG_ANCHORED: "had the log's checkpoint kept outside",
    Action.LOG_ANCHOR_FAILED: "could not have the log's checkpoint kept outside",
    Action.CONTENT_VERIFIED: "compared the database with the log: it agrees",
    Action.CONTENT_VERIFICATION_FAILED: "compared the database with the log: it does not agree",
    Action.ORGANIZATION_CREATED: "founded the organization",
    Action.ORGANIZATION_CHANGED: "changed the organization",
    Action.ORGANIZATION_CALL_POLICY_CHANGED: "said anew whether calls are recorded or monitored",
    Action.USER_CREATED: "added a person",
    Action.USER_CHANGED: "changed a profile",
    Action.USER_ROLE_CHANGED: "changed a role",
    Action.USER_DISABLED: "disabled a person",
    Action.USER_ENABLED: "enabled a person",
    Action.USER_PASSWORD_CHANGED: "changed a password",
    Action.INVITATION_CREATED: "made an invitation",
    Action.INVITATION_ACCEPTED: "accepted an invitation",
    Action.INVITATION_REVOKED: "withdrew an invitation",
    Action.INVITATION_REFUSED: "tried a dead invitation",
    Action.SESSION_STARTED: "signed in",
    Action.SESSION_REFUSED: "was refused at sign-in",
    Action.SESSION_ENDED: "ended a session",
    Action.TOKEN_REFRESHED: "renewed a token",
    Action.TOKEN_REUSED: "used a token twice",
    Action.ACCESS_DENIED: "was refused",
    Action.DATA_KEY_CREATED: "made a data key",
    Action.DATA_KEY_REWRAPPED: "wrapped a data key anew",
    Action.DATA_KEY_DESTROYED: "destroyed a data key",
    Action.KEY_ENCRYPTION_KEY_CREATED: "set up a key encryption key",
    Action.DATA_KEY_ROTATED: "replaced a data key",
    Action.KEY_ENCRYPTION_KEY_RETIRED: "retired a key encryption key",
    Action.CONVERSATION_CREATED: "began a conversation",
    Action.CONVERSATION_CHANGED: "changed a conversation",
    Action.MEMBER_ADDED: "added a member",
    Action.MEMBER_JOINED: "joined a conversation",
    Action.MEMBER_LEFT: "left a conversation",
    Action.MEMBER_REMOVED: "removed a member",
    Action.MEMBER_ROLE_CHANGED: "changed a member's role",
    Action.MESSAGE_SENT: "sent a message",
    Action.MESSAGE_EDITED: "edited a message",
    Action.MESSAGE_DELETED: "deleted a message",
    Action.REACTION_ADDED: "reacted",
    Action.REACTION_REMOVED: "took a reaction back",
    Action.ATTACHMENT_UPLOADED: "uploaded a file",
    Action.ATTACHMENT_DOWNLOADED: "downloaded a file",
    Action.ATTACHMENT_DELETED: "deleted a file",
    Action.CALL_STARTED: "started a call",
    Action.CALL_ENDED: "ended a call",
    Action.CALL_JOINED: "joined a call",
    Action.CALL_RESUMED: "came back to a call",
    Action.CALL_LEFT: "left a call",
    Action.CALL_KICKED: "put somebody out of a call",
    Action.CALL_MOVED: "sent somebody to another call",
    Action.CALL_MUTED: "muted a microphone",
    Action.CALL_UNMUTED: "unmuted a microphone",
    Action.CALL_TOLD: "caused a notice to everybody in a call",
    Action.CALL_HANDED_OVER: "caused a call's media to go another way",
    Action.CALL_SHARED: "began or ended sharing in a call",
    Action.TRAIL_READ: "looked at the trail",
    Action.TRAIL_FED: "handed entries of the trail to a SIEM",
    Action.NAMES_READ: "saw conversation names",
    Action.EXPORT_REQUESTED: "asked for an export",
    Action.EXPORT_APPROVED: "approved an export",
    Action.EXPORT_REFUSED: "refused an export",
    Action.EXPORT_WITHDRAWN: "withdrew an export",
    Action.EXPORT_BUILT: "built an export",
    Action.EXPORT_FAILED: "failed to build an export",
    Action.EXPORT_DOWNLOADED: "downloaded an export",
    Action.EXPORT_DELETED: "deleted an export's package",
    Action.MESSAGE_DISCLOSED: "read messages as an officer",
    Action.HOLD_PLACED: "placed a legal hold",
    Action.HOLD_RELEASE_REQUESTED: "asked to release a legal hold",
    Action.HOLD_RELEASE_REFUSED: "kept a legal hold in force",
    Action.HOLD_RELEASED: "released a legal hold",
    Action.CONVERSATION_OPENED: "opened a conversation as an officer",
    Action.SEARCH_PERFORMED: "searched conversations as an officer",
    Action.ERASURE_REQUESTED: "asked for an erasure",
    Action.ERASURE_APPROVED: "approved an erasure",
    Action.ERASURE_REFUSED: "refused an erasure",
    Action.ERASURE_WITHDRAWN: "withdrew an erasure",
    Action.ERASURE_DONE: "erased what was written",
    Action.ERASURE_STOPPED: "could not erase",
}
_KNOWN = {action.value: words for action, words in _WORDS.items()}
_METHODS = {
    "session": "browser",
    "jwt": "API",
    "socket": "socket",
    "job": "a job",
    "command": "command line",
}


def action_in_words(action: str) -> str:
    """Such as "sent a message"; an action without words of its own is spelled out."""
    return _KNOWN.get(action) or action.replace(":", ": ").replace("_", " ")


def subject_in_words(subject: str) -> str:
    return SUBJECTS.get(subject) or subject.replace("_", " ").capitalize()


def method_in_words(method: str) -> str:
    return _METHODS.get(method, method)


def action_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """For a select: by subject, first all of it, then each action."""
    subjects: dict[str, list[tuple[str, str]]] = {name: [] for name in SUBJECTS}
    for action in Action:
        subject = action.value.partition(":")[0]
        words = action_in_words(action.value)
        subjects.setdefault(subject, []).append((action.value, words[0].upper() + words[1:]))
    return [
        (subject_in_words(subject), [(subject, f"{subject_in_words(subject)}: all"), *found])
        for subject, found in subjects.items()
        if found
    ]


class Names:
    """What ids are called on one page: people and conversations, as they are called now."""

    def __init__(self, people: dict[UUID, User], conversations: dict[UUID, str]) -> None:
        self._people = people
        self._conversations = conversations

    def actor(self, actor: dict[str, Any]) -> str:
        if actor["kind"] == "user":
            return self.person(actor["id"])
        return "Parley" if actor["kind"] == "system" else "Not signed in"

    def user(self, person: str | None) -> User | None:
        return self._people.get(UUID(person)) if person else None

    def person(self, person: str) -> str:
        found = self._people.get(UUID(person))
        return found.display_name if found else f"person {person[:8]}"

    def conversation(self, conversation: UUID | str | None) -> str:
        if conversation is None:
            return ""
        found = self._conversations.get(UUID(str(conversation)))
        return found or f"conversation {str(conversation)[:8]}"

    def target(self, target: dict[str, str]) -> str:
        """What it happened to; ids that have no name are cut to eight characters."""
        kind, identity = target["type"].replace("_", " "), target["id"]
        try:
            known = UUID(identity)
        except ValueError:
            return f"{kind} {identity[:24]}".strip()
        if known in self._people:
            return self._people[known].display_name
        if known in self._conversations:
            return self._conversations[known]
        return "the organization" if kind == "organization" else f"{kind} {identity[:8]}"
