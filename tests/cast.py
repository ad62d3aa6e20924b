"""The people of the tests, as fixtures: ask for whom you need by name.

alice, bob: members · mallory: a malicious member · olga, oscar: officers · ada: the
administrator · eve: a member of another organization. Everybody's password is `PASSWORD`.
`sign_in_browser(client, user)` and `api(user)` sign in for real.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from app.accounts.models import Organization, Role, SessionKind, User
from app.accounts.services import add_user, found_organization, sign_in
from app.accounts.tokens import SessionRefreshToken

PASSWORD = "correct horse battery staple"


def address(name: str, slug: str = "acme") -> str:
    """Everybody's address, by first name; another domain where tests share a database."""
    return f"{name}@example.org" if "-" not in slug else f"{name}@{slug}.example.org"


def join(organization: Organization, name: str, role: Role = Role.MEMBER) -> User:
    """A person of that name in the organization, with `PASSWORD`."""
    return add_user(
        organization=organization,
        email=address(name, organization.slug),
        display_name=name.capitalize(),
        role=role,
        password=PASSWORD,
    )


def sign_in_browser(client: Client, user: User) -> Client:
    """Sign in through the page, as a person would."""
    response = client.post("/sign-in", {"email": user.email, "password": PASSWORD})
    assert response.status_code == 302, response.content
    return client


def api_client(user: User) -> Client:
    """A client that sends the user's bearer token."""
    session = sign_in(email=user.email, password=PASSWORD, kind=SessionKind.API)
    access = SessionRefreshToken.for_session(session).pair().access
    return Client(headers={"Authorization": f"Bearer {access}"})


@pytest.fixture
def _database(request: pytest.FixtureRequest) -> None:
    """The test's own database if it has one (`live_db`, `server`), else its transaction."""
    live = {"live_db", "server", "sealer"} & set(request.fixturenames)
    request.getfixturevalue("live_db" if live else "db")


@pytest.fixture
def shared() -> str:
    """What tells this test's people from those of others, where tests share a database."""
    return ""


@pytest.fixture
def organization(_database: None, shared: str) -> Organization:
    return found_organization(slug=f"acme{shared}", name="Acme")


@pytest.fixture
def other_organization(_database: None, shared: str) -> Organization:
    return found_organization(slug=f"globex{shared}", name="Globex")


@pytest.fixture
def alice(organization: Organization) -> User:
    return join(organization, "alice")


@pytest.fixture
def bob(organization: Organization) -> User:
    return join(organization, "bob")


@pytest.fixture
def mallory(organization: Organization) -> User:
    return join(organization, "mallory")


@pytest.fixture
def olga(organization: Organization) -> User:
    return join(organization, "olga", Role.OFFICER)


@pytest.fixture
def oscar(organization: Organization) -> User:
    return join(organization, "oscar", Role.OFFICER)


@pytest.fixture
def ada(organization: Organization) -> User:
    return join(organization, "ada", Role.ADMINISTRATOR)


@pytest.fixture
def eve(other_organization: Organization) -> User:
    return join(other_organization, "eve")


@pytest.fixture
def api() -> Callable[[User], Any]:
    """`api(alice).get("/api/me")`"""
    return api_client
