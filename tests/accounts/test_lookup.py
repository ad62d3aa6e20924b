"""The prepared question for a session says what the rule says, and brings what the ORM brings."""

from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from app.accounts.access import IDLE, OLDEST, live
from app.accounts.lookup import Seen, alive, live_session
from app.accounts.models import Session, SessionKind, User

SECOND = timedelta(seconds=1)


@pytest.mark.usefixtures("db")
def test_it_finds_the_sessions_that_are_alive_and_no_other(alice: User, bob: User) -> None:
    bob.is_active = False
    bob.save(update_fields=["is_active"])
    ages = [
        age for limit in (*IDLE.values(), OLDEST) for age in (limit - 9 * SECOND, limit + SECOND)
    ]
    lives = 0
    for user, kind, ended, created, seen in product(
        (alice, bob), SessionKind, (False, True), ages, ages
    ):
        now = timezone.now()
        session = Session.objects.create(user=user, kind=kind)
        end = {"ended_at": now, "ended_reason": "signed_out"} if ended else {}
        times = {"created_at": now - created, "last_seen_at": now - seen}
        Session.objects.filter(pk=session.pk).update(**times, **end)
        found = live_session(session.pk, user.pk)
        assert (found is not None) == live().filter(pk=session.pk).exists()
        assert (found is not None) == (session.pk in alive([session.pk, uuid4()]))
        lives += found is not None
    assert lives == 5 * 1 + 5 * 3  # alice's: created since, and seen since, by browser and API


@pytest.mark.usefixtures("db")
def test_it_brings_user_and_organization_with_it(alice: User, bob: User) -> None:
    session = Session.objects.create(user=alice, kind=SessionKind.API, agent="curl")
    Session.objects.create(user=bob, kind=SessionKind.API)
    found = live_session(session.pk, alice.pk)
    assert found is not None
    with CaptureQueriesContext(connection) as queries:
        assert found == session
        assert (found.agent, found.kind, found.ended_at) == ("curl", SessionKind.API, None)
        assert (found.user, found.user.display_name) == (alice, alice.display_name)
        assert found.user.organization.name == alice.organization.name
    assert len(queries) == 0
    assert alive([session.pk]) == {session.pk: Seen(alice.pk, session.last_seen_at)}
    assert live_session(session.pk, bob.pk) is None
    assert live_session(uuid4(), alice.pk) is None
