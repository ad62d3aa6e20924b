"""Who is there, in the sidebar and among the people of a conversation."""

import pytest
from playwright.sync_api import expect

from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.services import start_conversation
from tests.web.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture
def ward(ward: Conversation, alice: User, bob: User) -> Conversation:
    """With a direct conversation beside it."""
    start_conversation(creator=alice, kind="direct", members=[bob.pk])
    return ward


def test_who_is_there_is_shown_until_they_have_gone(visit: Visit, ward: Conversation) -> None:
    alice, bob = visit("alice"), visit("bob")
    alice.get_by_role("link", name="ward-4").click()
    direct = alice.get_by_role("link", name="Bob")
    row = alice.locator(".person").filter(has_text="Bob")
    for place in (direct, row):
        expect(place.get_by_title("active")).to_be_attached(timeout=15_000)
    bob.close()
    for place in (direct, row):
        expect(place.get_by_title("active")).to_have_count(0, timeout=30_000)
