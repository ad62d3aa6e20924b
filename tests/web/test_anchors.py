"""The officer sees where checkpoints are kept outside, and whether that can be relied on."""

from datetime import UTC, datetime

from django.test import Client
from pytest_django import Settings

from app.accounts.models import User
from app.audit.access import organizations
from app.audit.models import Anchor
from app.audit.tasks import heartbeat
from tests.cast import sign_in_browser

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def page(client: Client, olga: User) -> str:
    answer = sign_in_browser(client, olga).get("/trail")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())  # narrow spaces become spaces too


def stand(olga: User, settings: Settings, **columns: object) -> None:
    settings.ANCHOR_BUCKET = ["s3://kept/logs"]
    anchor = {"name": "s3://kept/logs", "next_at": AT, **columns}
    Anchor.objects.create(organization_id=olga.organization_id, **anchor)


def test_without_an_anchor_the_page_says_what_that_means(client: Client, olga: User) -> None:
    assert "could rewrite this log and sign it again unnoticed" in page(client, olga)


def test_the_last_anchoring_is_shown(client: Client, olga: User, settings: Settings) -> None:
    stand(olga, settings, size=3210, kept_at=AT)
    shown = page(client, olga)
    assert "s3://kept/logs" in shown
    assert "keeps <b>3 210</b> entries" in shown
    assert 'datetime="2026-11-21T08:00:00+00:00"' in shown
    assert "unnoticed" not in shown


def test_an_anchor_that_fails_and_one_that_disagrees_are_told_apart(
    client: Client, olga: User, settings: Settings
) -> None:
    stand(olga, settings, failing_since=AT, failures=3, problem="AccessDenied: no")
    assert "AccessDenied: no. It is tried again." in page(client, olga)
    Anchor.objects.update(disagrees=True, problem="it has signed another root for 7 leaves")
    shown = page(client, olga)
    assert "It keeps another history than the log shows" in shown
    assert "It is tried again" not in shown


def test_another_organization_s_anchoring_is_not_shown(
    client: Client, olga: User, eve: User, settings: Settings
) -> None:
    heartbeat()
    assert eve.organization_id in organizations()
    stand(eve, settings, size=3210, kept_at=AT)
    shown = page(client, olga)
    assert "3 210" not in shown
    assert "keeps nothing yet" in shown
