"""Short ways to begin conversations and say things, for tests."""

import threading
import time
from collections.abc import Sequence
from uuid import UUID, uuid4

from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.services import Draft, send_message, start_conversation, together
from app.realtime.protocol import Ack


def room(owner: User, *others: User, kind: str = "private", name: str = "ward-4") -> Conversation:
    """A conversation of these people."""
    members = [other.pk for other in others]
    return start_conversation(creator=owner, kind=kind, name=name, members=members)[0]


def say(
    author: User,
    conversation: Conversation,
    body: str,
    *,
    thread: UUID | None = None,
    message_id: UUID | None = None,
) -> Ack:
    """Send one message and return its acknowledgement."""
    draft = Draft(author, conversation.pk, str(message_id or uuid4()), body, thread)
    return send_message(draft)


def send_beside_a_commit(threads: Sequence[threading.Thread]) -> None:
    """Start them as if a commit were under way, which ends when each has a message waiting: these
    are committed together then."""
    with together._arrivals:
        assert not together._committing
        together._committing = True
    for thread in threads:
        thread.start()
    until = time.monotonic() + 20
    while len(together._waiting) < len(threads):
        assert time.monotonic() < until, "not all of them sent"
        time.sleep(0.01)
    together._hand_over()
