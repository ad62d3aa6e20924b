"""A member's client, for tests."""

from collections.abc import Callable

from app.accounts.models import User
from app.realtime.client import Client, ticket_from
from tests.realtime.speaker import bearer


def client_of(user: User, base_url: str | Callable[[], str]) -> Client:
    """Made outside of a running loop: signing in asks the database."""
    token = bearer(user)

    def base() -> str:
        return base_url if isinstance(base_url, str) else base_url()

    return Client(
        lambda: base().replace("http", "ws") + "/ws",
        ticket_from(base, lambda: token),
        name="test/1",
    )
