"""Who sits at the sockets: people, sessions, conversations and tickets, in a database of its own.

Made by the services, so that memberships are as real as the rows of the trail; only sessions
are put down as they are, since nobody types a password here.
"""

from collections.abc import Sequence
from uuid import UUID, uuid4

from app.accounts.models import Organization, Role, Session, SessionKind, User
from app.accounts.services import add_user, found_organization
from app.chat.models import Kind
from app.chat.services import Draft, send_messages, start_conversation
from app.realtime.services import issue_ticket

_PASSWORD = "nobody signs in with this"  # noqa: S105


class Cast:
    """People of one organization; each has one session, and as many sockets as one may."""

    def __init__(self, people: int) -> None:
        self.organization: Organization = found_organization(slug="bench", name="Bench")
        self.people = [self._person(number) for number in range(people)]
        self.conversations: list[tuple[UUID, list[User]]] = []
        self._sessions = {
            session.user_id: session.pk
            for session in Session.objects.bulk_create(
                Session(user=person, kind=SessionKind.API) for person in self.people
            )
        }

    def _person(self, number: int) -> User:
        return add_user(
            organization=self.organization,
            email=f"person-{number}@bench.example",
            display_name=f"Person {number}",
            role=Role.MEMBER,
            password=_PASSWORD,
        )

    def conversation(self, name: str, people: Sequence[User]) -> UUID:
        """A private conversation of these."""
        started, _ = start_conversation(
            creator=people[0],
            kind=Kind.PRIVATE,
            name=name,
            members={person.pk for person in people[1:]},
        )
        return started.pk

    def talk(self, count: int) -> None:
        """Let so many messages be said in each conversation."""
        for conversation, people in self.conversations:
            send_messages(
                [
                    Draft(
                        people[0], conversation, str(uuid4()), f"What happened meanwhile, {number}."
                    )
                    for number in range(count)
                ]
            )

    def rooms(self, size: int) -> list[tuple[UUID, list[User]]]:
        """Conversations of `size` people each; nobody is in two of them."""
        groups = [self.people[at : at + size] for at in range(0, len(self.people), size)]
        self.conversations = [
            (self.conversation(f"room {number}", group), group)
            for number, group in enumerate(groups)
        ]
        return self.conversations

    def ticket(self, person: User) -> str:
        """A ticket for one socket, as `POST /api/realtime/ticket` gives it: good for 30 s."""
        return issue_ticket(
            user=person.pk,
            organization=person.organization_id,
            session=self._sessions[person.pk],
            origin="",
        )
