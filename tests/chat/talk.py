"""Short ways to begin conversations and say things, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def commit_under_way() -> Iterator[None]:
    """As if a commit were under way: what is sent within is committed together afterwards."""
    with together._arrivals:
        assert not together._committing
        together._committing = True
    yield
    together._hand_over()
