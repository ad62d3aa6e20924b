"""`python -m loadtests.seed MEMBERS VOICES OFFICERS FILE`: fills an empty database for a load test.

The project's own services make everything. Most people are signed in already, so that hundreds
of them need no attempt each; a few sign in as everybody does, when the run begins.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import django

django.setup()

from django.test import override_settings  # noqa: E402 - the settings are there by now

from app.accounts.models import Role, SessionKind, User  # noqa: E402
from app.accounts.services import add_user, found_organization, sign_in  # noqa: E402
from app.accounts.tokens import SessionRefreshToken  # noqa: E402
from app.audit.context import Origin, acting_from  # noqa: E402
from app.chat.models import Kind as ConversationKind  # noqa: E402
from app.chat.services import start_conversation  # noqa: E402
from loadtests.people import Account, Kind, write_accounts  # noqa: E402

CIRCLE = 20  # people of one conversation
ROOM = 5  # people of one voice room: a mesh, with places to spare for those who crashed
SIGN_INS = 3
PASSWORD = "load tests only, on this machine"  # noqa: S105 - of a database that ends with the run


class Seed:
    """One organization; `accounts` are those of all its people."""

    def __init__(self) -> None:
        self.organization = found_organization(slug="load", name="Load test")
        self.accounts: list[Account] = []

    def members(self, count: int) -> None:
        """Each in two conversations: with those before and after, and with those far away."""
        people = [self._person(f"m{number}", Role.MEMBER) for number in range(count)]
        circles = max(1, count // CIRCLE)
        for at in range(circles if people else 0):
            self._talk(f"near {at}", people[at * count // circles : (at + 1) * count // circles])
            self._talk(f"far {at}", people[at::circles])
        for number, one in enumerate(people):
            self._account(one, "member", signed_in=number >= SIGN_INS)

    def voices(self, count: int) -> None:
        """Each in one conversation whose voice room is full of them."""
        people = [self._person(f"v{number}", Role.MEMBER) for number in range(count)]
        for at in range(0, count, ROOM):
            group = people[at : at + ROOM]
            room = self._talk(f"room {at // ROOM}", group)
            for one in group:
                self._account(one, "voice", rooms=[room])

    def officers(self, count: int) -> None:
        for number in range(count):
            self._account(self._person(f"o{number}", Role.OFFICER), "officer")

    def _person(self, name: str, role: Role) -> User:
        return add_user(
            organization=self.organization,
            email=f"{name}@load.example",
            display_name=name,
            role=role,
            password=PASSWORD,
        )

    def _talk(self, name: str, people: Sequence[User]) -> str:
        started, _ = start_conversation(
            creator=people[0],
            kind=ConversationKind.PRIVATE,
            name=name,
            members={person.pk for person in people[1:]},
        )
        return str(started.pk)

    def _account(
        self, person: User, kind: Kind, *, signed_in: bool = True, rooms: Sequence[str] = ()
    ) -> None:
        given = {"email": person.email, "password": PASSWORD}
        if signed_in:
            session = sign_in(**given, kind=SessionKind.API)
            pair = SessionRefreshToken.for_session(session).pair()
            given = {"access": pair.access, "refresh": pair.refresh}
        self.accounts.append(
            Account(name=person.display_name, kind=kind, rooms=list(rooms), **given)
        )


def main(members: int, voices: int, officers: int, file: Path) -> None:
    seed = Seed()
    seed.members(members)
    seed.voices(voices)
    seed.officers(officers)
    write_accounts(file, seed.accounts)


if __name__ == "__main__":
    # Signing in hashes anew by production's rule, and costs what it costs there.
    quick = override_settings(PASSWORD_HASHERS=["tests.passwords.QuickArgon2"])
    with quick, acting_from(Origin(method="command")):
        members, voices, officers = map(int, sys.argv[1:4])
        main(members, voices, officers, Path(sys.argv[4]))
