"""Every page that is not the conversation: no serious fault of access, in light and dark, wide
and narrow, and nothing that has to be scrolled sideways."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from app.accounts.models import User
from app.audit.models import Entry
from app.chat.models import Conversation
from app.compliance.scope import Scope
from app.compliance.services import (
    ask_release,
    open_conversation,
    place_hold,
    request_erasure,
    request_export,
)
from app.compliance.services.searches import begin_search
from tests.chat.talk import say
from tests.shared_server import live_db, sealer, server, shared
from tests.voice.history import talked
from tests.web.axe import EXAMINED, bring_axe, put_in_theme, serious_faults
from tests.web.conftest import Visit

__all__ = ["live_db", "sealer", "server", "shared"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
PAGES = {
    "alice": ["/who-may-read", "/settings", "/no-such-page", "/trail"],
    "ada": ["/people", "/people/{bob}", "/invitations", "/search-index", "/call-policy"],
    "olga": [
        "/trail",
        "/trail?entry={entry}#entry",
        "/exports",
        "/exports/new",
        "/exports/{export}",
    ],
    "oscar": [
        "/conversations",
        "/conversations/{ward}",
        "/readings/{reading}",
        "/officer/search",
        "/officer/search/{found}",
        "/officer/search/{nothing}",
        "/calls",
        "/calls/{call}",
        "/holds",
        "/holds/new",
        "/holds/{hold}",
        "/erasures",
        "/erasures/new",
        "/erasures/{erasure}",
    ],
}


@pytest.fixture
def names(
    alice: User, bob: User, ada: User, olga: User, oscar: User, ward: Conversation
) -> dict[str, str]:
    say(bob, ward, "Bed 12 moved.")
    month = timezone.now().date().replace(day=1)
    why = {"matter": "2026-114", "reason": "A complaint."}
    made = {
        "export": request_export(officer=olga, scope=Scope(), reason="A complaint."),
        "erasure": request_erasure(olga, ward.pk, first=None, last=month, reason="Asked for."),
        "reading": open_conversation(oscar, ward.pk, **why),
        "hold": place_hold(olga, conversations=[ward.pk], people=[bob.pk], **why),
    }
    for name, query in {"found": "bed", "nothing": "zeppelin"}.items():
        made[name] = begin_search(oscar, query=query, **why)
    ask_release(olga, made["hold"].pk, reason="Settled.")
    ids = {name: str(thing.pk) for name, thing in made.items()}
    ids["entry"] = str(Entry.objects.filter(organization_id=olga.organization_id).earliest("id").pk)
    call = str(talked(ward, alice, bob).id)
    return ids | {"bob": str(bob.pk), "ward": str(ward.pk), "call": call}


def examine(page: Page, path: str) -> dict[str, list[str]]:
    page.goto(path)
    bring_axe(page)
    found: dict[str, list[str]] = {}
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            put_in_theme(page, theme)
            faults = serious_faults(page)
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                faults.append("has to be scrolled sideways")
            if faults:
                found[f"{path} {size} {theme}"] = faults
    return found


@pytest.mark.parametrize("person", PAGES)
def test_no_page_has_a_serious_fault_of_access(
    person: str, names: dict[str, str], visit: Visit
) -> None:
    page = visit(person, **EXAMINED)
    for path in PAGES[person]:
        assert examine(page, path.format(**names)) == {}


def test_signing_in_has_no_serious_fault_of_access(names: dict[str, str], visit: Visit) -> None:
    page = visit("alice", **EXAMINED)
    page.context.clear_cookies()
    assert examine(page, "/sign-in") == {}
    assert examine(page, "/invitation/no-such-code") == {}
