"""The end of an organization, by command."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from app.accounts.models import Session, SessionKind, User
from app.accounts.services import sign_in
from app.audit.actions import Action
from app.audit.models import Entry
from app.chat import access
from app.encryption.keyring import keyring
from app.errors import Denied, Unauthenticated
from tests.cast import PASSWORD
from tests.chat.talk import room, say
from tests.encryption.test_destruction import hold_everything
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def _list(tmp_path: Path, settings: Settings) -> None:
    settings.ERASURE_LIST = tmp_path / "erasures.list"


def offboard(*words: str) -> str:
    said = StringIO()
    try:
        call_command("offboard", *words, stdout=said)
    except CommandError as error:
        return f"{said.getvalue()}FAILED: {error}"
    return said.getvalue()


def test_nobody_is_let_in_any_more_and_nothing_opens(alice: User, bob: User, eve: User) -> None:
    ward = room(alice, bob)
    say(alice, ward, "a last word")
    sign_in(email=alice.email, password=PASSWORD, kind=SessionKind.BROWSER)
    slug = alice.organization.slug
    assert "Then say --yes" in offboard(slug, "--erase")
    assert User.objects.filter(organization=alice.organization, is_active=True).exists()

    told = offboard(slug, "--erase", "--yes")
    assert "FAILED" not in told, told
    assert "people are shut out" in told
    with pytest.raises((Denied, Unauthenticated)):
        sign_in(email=alice.email, password=PASSWORD, kind=SessionKind.BROWSER)
    mine = Session.objects.filter(user__organization=alice.organization)
    assert not mine.filter(ended_at=None).exists()
    keyring.forget()
    assert [one.body for one in access.timeline(alice, ward.pk).messages] == [None]
    actions = set(
        Entry.objects.filter(organization_id=alice.organization_id).values_list(
            "action_name", flat=True
        )
    )
    assert {Action.USER_DISABLED, Action.SESSION_ENDED, Action.DATA_KEY_DESTROYED} <= actions
    # Others are let in as before.
    sign_in(email=eve.email, password=PASSWORD, kind=SessionKind.BROWSER)
    assert "0 people" in offboard(slug, "--yes")


def test_what_is_under_a_hold_stays_and_is_said(
    live_db: LiveDatabase, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    say(alice, ward, "is asked for")
    hold_everything(live_db)
    told = offboard(alice.organization.slug, "--erase", "--yes")
    assert "legal hold" in told
    assert "1 conversations were not erased" in told
    assert [one.body for one in access.timeline(alice, ward.pk).messages] == ["is asked for"]


def test_an_organization_that_is_not_there_is_said_so(alice: User) -> None:
    assert "no organization 'nobody'" in offboard("nobody", "--yes")
