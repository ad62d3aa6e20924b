"""`python -m loadtests.seed MEMBERS OFFICERS FILE`: fills an empty database for a load test.

The project's own services make everything. Most people are signed in already, so that hundreds
of them need no attempt each; a few sign in as everybody does, when the run begins.
"""

import sys
from pathlib import Path

import django

CIRCLE = 20  # people of one conversation
SIGN_INS = 3
PASSWORD = "load tests only, on this machine"  # noqa: S105 - of a database that ends with the run


def main(members: int, officers: int, file: Path) -> None:
    from app.accounts.models import Role, User  # noqa: PLC0415 - Django is set up by now
    from app.accounts.services import add_user, found_organization  # noqa: PLC0415
    from app.chat.models import Kind  # noqa: PLC0415
    from app.chat.services import start_conversation  # noqa: PLC0415
    from loadtests.people import Account, write_accounts  # noqa: PLC0415

    organization = found_organization(slug="load", name="Load test")

    def person(name: str, role: Role) -> User:
        return add_user(
            organization=organization,
            email=f"{name}@load.example",
            display_name=name,
            role=role,
            password=PASSWORD,
        )

    people = [person(f"m{number}", Role.MEMBER) for number in range(members)]
    rooms: dict[str, list[str]] = {}
    for name, group in _circles(people):
        started, _ = start_conversation(
            creator=group[0],
            kind=Kind.PRIVATE,
            name=name,
            members={one.pk for one in group[1:]},
        )
        for one in group:
            rooms.setdefault(one.display_name, []).append(str(started.pk))
    staff = [person(f"o{number}", Role.OFFICER) for number in range(officers)]
    accounts = []
    for number, one in enumerate([*people, *staff]):
        address = f"{one.display_name}@load.example"
        ordinary = {"email": address, "password": PASSWORD}
        accounts.append(
            Account(
                name=one.display_name,
                kind="member" if one.role == Role.MEMBER else "officer",
                rooms=rooms.get(one.display_name, [])[:1],
                **(ordinary if number < SIGN_INS else _tokens(address)),
            )
        )
    write_accounts(file, accounts)


def _circles(people: list) -> list:  # type: ignore[type-arg]
    """Everybody is in two conversations: with those before and after, and with those far away."""
    number = max(1, len(people) // CIRCLE)
    near = [
        people[at * len(people) // number : (at + 1) * len(people) // number]
        for at in range(number)
    ]
    far = [people[at::number] for at in range(number)]
    return [
        (f"{kind} {at}", group)
        for kind, groups in (("near", near), ("far", far))
        for at, group in enumerate(groups)
    ]


def _tokens(address: str) -> dict[str, str]:
    """Those of an ordinary sign-in."""
    from app.accounts.models import SessionKind  # noqa: PLC0415
    from app.accounts.services import sign_in  # noqa: PLC0415
    from app.accounts.tokens import SessionRefreshToken  # noqa: PLC0415

    session = sign_in(email=address, password=PASSWORD, kind=SessionKind.API)
    pair = SessionRefreshToken.for_session(session).pair()
    return {"access": pair.access, "refresh": pair.refresh}


if __name__ == "__main__":
    django.setup()
    from django.test import override_settings

    from app.audit.context import Origin, acting_from

    # Signing in hashes anew by production's rule, and costs what it costs there.
    quick = override_settings(PASSWORD_HASHERS=["tests.passwords.QuickArgon2"])
    with quick, acting_from(Origin(method="command")):
        main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
