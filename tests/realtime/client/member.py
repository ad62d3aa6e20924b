"""A member's client and device, for tests."""

from collections.abc import Awaitable, Callable

from app.accounts.models import User
from app.realtime.client import Client, ticket_from
from app.realtime.client.transport import Transport
from tests.realtime.speaker import bearer


def client_of(
    user: User,
    base_url: str | Callable[[], str],
    *,
    on_state: Callable[[str], None] = lambda _: None,
    open_: Callable[[], Awaitable[Transport]] | None = None,
) -> Client:
    """Made outside of a running loop: signing in asks the database."""
    token = bearer(user)
    chosen = base_url if isinstance(base_url, str) else ""

    def choose() -> str:
        """Each attempt goes to one instance, with its ticket and its socket."""
        nonlocal chosen
        chosen = base_url if isinstance(base_url, str) else base_url()
        return chosen

    return Client(
        lambda: chosen.replace("http", "ws") + "/ws",
        ticket_from(choose, lambda: token),
        name="test/1",
        on_state=on_state,
        open_=open_,
    )
