"""A log that stands still is seen: by its state, by the command, and on the officer's page."""

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client

from app.accounts.models import User
from app.audit import access
from app.audit.tasks import heartbeat
from tests.audit.trail import ACME, write
from tests.cast import sign_in_browser

pytestmark = pytest.mark.django_db


def status() -> str:
    output = io.StringIO()
    call_command("audit_status", stdout=output)
    return output.getvalue()


def test_a_log_without_a_recent_heartbeat_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    write(1)
    young = access.verification_state(ACME)
    assert (young.heartbeat_at, young.stands_still) == (None, False)
    assert "last heartbeat: none yet\n" in status()
    monkeypatch.setattr(access, "HEARTBEAT_LATE", timedelta(0))
    assert access.verification_state(ACME).stands_still, "old, and never a heartbeat"
    assert "last heartbeat: none yet; THE LOG STANDS STILL" in status()
    monkeypatch.undo()
    heartbeat()
    beating = access.verification_state(ACME)
    assert beating.heartbeat_at is not None
    assert not beating.stands_still
    assert f"last heartbeat: {beating.heartbeat_at:%Y-%m-%d %H:%M:%S}Z\n" in status()
    monkeypatch.setattr(access, "HEARTBEAT_LATE", timedelta(0))
    assert access.verification_state(ACME).stands_still


def test_the_officer_is_told(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    page = sign_in_browser(Client(), olga)
    heartbeat()
    assert "stands still" not in page.get("/trail").content.decode()
    monkeypatch.setattr(access, "HEARTBEAT_LATE", timedelta(0))
    assert "The log stands still" in page.get("/trail").content.decode()
