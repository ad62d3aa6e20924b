"""What the tests of accounts share."""

from collections.abc import Callable
from typing import Any

import pytest

from app.accounts.models import SessionKind, User
from app.accounts.services import issue_tokens, sign_in
from app.accounts.tokens import TokenPair
from app.audit.models import Entry
from tests.cast import PASSWORD

Trail = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def trail() -> Trail:
    """`trail("user:disabled")`: the bodies of the entries with that action, oldest first."""

    def bodies(action: str) -> list[dict[str, Any]]:
        import json

        found = Entry.objects.filter(action_name=action).order_by("id")
        return [json.loads(bytes(entry.body)) for entry in found]

    return bodies


def browser_session(user: User) -> Any:
    return sign_in(email=user.email, password=PASSWORD, kind=SessionKind.BROWSER)


def tokens(user: User) -> TokenPair:
    return issue_tokens(email=user.email, password=PASSWORD)


def bearer(pair: TokenPair) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair.access}"}
