"""The demonstration organization: invented people of a clinic, who have said a few things."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from app.accounts.models import Role, User
from app.accounts.services import add_user, found_organization
from app.chat.models import Conversation, Kind
from app.chat.services import Draft, edit_message, react, send_message, start_conversation

SLUG = "northside"
PASSWORD = "demonstration-only"  # noqa: S105 - printed at every start, for invented people


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    role: Role

    @property
    def email(self) -> str:
        plain = self.name.lower().translate(str.maketrans("áéíóú", "aeiou"))
        return plain.replace(" ", ".") + "@northside.example"


PEOPLE = (
    Person("Imani Okafor", Role.MEMBER),
    Person("Tomás Rey", Role.MEMBER),
    Person("Lea Sommer", Role.MEMBER),
    Person("Anna Keller", Role.MEMBER),
    Person("Olga Brandt", Role.OFFICER),
    Person("Oscar Lind", Role.OFFICER),
    Person("Ada Novak", Role.ADMINISTRATOR),
)


def seed() -> None:
    """Found the clinic, with its people, conversations and messages."""
    organization = found_organization(slug=SLUG, name="Northside Clinic")
    people = {
        person.name.split()[0]: add_user(
            organization=organization,
            email=person.email,
            display_name=person.name,
            role=person.role,
            password=PASSWORD,
        )
        for person in PEOPLE
    }
    _Talk(people).everything()


class _Talk:
    def __init__(self, people: dict[str, User]) -> None:
        self.people = people

    def everything(self) -> None:
        everyone = list(self.people)
        self._admissions(everyone)
        self._ward(["Imani", "Tomás", "Lea", "Anna"])
        pharmacy = self._room("pharmacy", Kind.PUBLIC, ["Lea", "Imani"], "Stock, doses, recalls")
        self._say(pharmacy, "Lea", "Cefuroxime 750 mg is back in stock.")
        review = self._room("incident-review", Kind.PRIVATE, ["Anna", "Imani", "Olga"])
        self._say(review, "Anna", "The report of 3 November is attached to the file.")
        rota = self._room("rota", Kind.PUBLIC, everyone, "Who works when")
        self._say(rota, "Anna", "December is open for wishes until Friday.")
        direct = self._direct("Imani", "Tomás")
        self._say(direct, "Tomás", "Coffee after rounds?")

    def _admissions(self, everyone: list[str]) -> None:
        room = self._room("admissions", Kind.PUBLIC, everyone, "Beds in, beds out")
        self._say(room, "Anna", "Two transfers expected from County at **14:00**.")
        self._say(room, "Tomás", "Beds 7 and 9 are ready.")
        self._say(room, "Anna", "Thank you. I will send both to `ward 4`.")

    def _ward(self, names: list[str]) -> None:
        room = self._room("ward-4-handover", Kind.PRIVATE, names, "Handover, 07:30 and 19:30")
        moved = self._say(
            room,
            "Imani",
            "Bed 12 moved to step-down at 07:40. Potassium back at 3.4, repeat due at noon — "
            "**please don't discharge before the repeat**.",
        )
        for name in ("Tomás", "Lea", "Anna"):
            self._react(moved, name, "👍")
        self._react(moved, "Lea", "👀")
        for name, words in (
            ("Tomás", "Who draws the repeat?"),
            ("Imani", "I do, at 11:45."),
            ("Tomás", "Then I keep the bed until one."),
        ):
            self._say(room, name, words, thread=moved)
        noted = self._say(room, "Tomás", "Noted. Consent form is in the chart.")
        edit_message(
            editor=self.people["Tomás"],
            message_id=noted,
            body="Noted. Chart and consent form are in the folder.",
            revision=1,
        )
        self._say(room, "Lea", "Repeat is 4.1. Happy for bed 12 to go after rounds.")
        self._say(
            room,
            "Lea",
            "Still open:\n\n- discharge letter\n- transport at 15:00\n- call the family",
        )

    def _room(self, name: str, kind: Kind, members: list[str], topic: str = "") -> Conversation:
        first, *others = members
        return start_conversation(
            creator=self.people[first],
            kind=kind,
            name=name,
            topic=topic,
            members=[self.people[other].pk for other in others],
        )[0]

    def _direct(self, one: str, other: str) -> Conversation:
        members = [self.people[other].pk]
        return start_conversation(creator=self.people[one], kind=Kind.DIRECT, members=members)[0]

    def _say(
        self, room: Conversation, name: str, words: str, *, thread: UUID | None = None
    ) -> UUID:
        draft = Draft(self.people[name], room.pk, str(uuid4()), words, thread)
        return UUID(send_message(draft).id)

    def _react(self, message: UUID, name: str, emoji: str) -> None:
        react(user=self.people[name], message_id=message, emoji=emoji, on=True)
