"""What has run out is dropped; where somebody was signed in stays known."""

from datetime import timedelta

from django.contrib.sessions.models import Session as Cookie
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from app.accounts.limits import Limited, spend
from app.accounts.models import Limit, Session, User
from app.accounts.tasks import tidy
from tests.accounts.conftest import tokens
from tests.cast import sign_in_browser


def test_what_has_run_out_is_dropped_and_nothing_else(alice: User, client: Client) -> None:
    sign_in_browser(client, alice)
    tokens(alice)
    spend(Limited.PASSWORD_BY_ACCOUNT, "x")
    tidy()
    assert (Cookie.objects.count(), OutstandingToken.objects.count()) == (1, 1)
    assert client.get("/api/me").status_code == 200
    past = timezone.now() - timedelta(seconds=1)
    Cookie.objects.update(expire_date=past)
    OutstandingToken.objects.update(expires_at=past)
    Limit.objects.update(arrival=past)
    tidy()
    assert not Cookie.objects.exists()
    assert not OutstandingToken.objects.exists()
    assert not Limit.objects.exists()
    assert Session.objects.count() == 2
