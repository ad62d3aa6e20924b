"""Short ways to search, for tests."""

from datetime import UTC

from app.accounts.models import User
from app.chat.search import access
from app.chat.search.finding import LATEST, Place
from app.chat.search.query import parse


def texts(user: User, query: str, limit: int = 50) -> list[str]:
    """What the user finds for what they typed, page by page to the end."""
    wanted = access.wanted_by(user, parse(query), UTC)
    found: list[str] = []
    place: Place | None = LATEST
    while place is not None:
        page = access.search(user, wanted, before=place, limit=limit)
        found += [text for _, text in page.messages]
        place = page.next
    return found
