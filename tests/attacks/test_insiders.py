"""A malicious member, a malicious officer, and whoever stole a session: each meets a check, and
gets what they came for once it is taken out.

What the same people meet at every address and over sockets: `tests/authorization`,
`tests/realtime/test_gateway.py`.
"""

from unittest.mock import patch
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from app.accounts import access as accounts
from app.accounts import lookup
from app.accounts.models import Session, SessionKind, User
from app.accounts.services import issue_tokens, refresh, sign_in, sign_out
from app.accounts.tokens import SessionRefreshToken
from app.chat import access
from app.chat.access import memberships
from app.chat.services import remove_member
from app.compliance import verify
from app.compliance.models import ExportRequest, State
from app.compliance.scope import Scope
from app.compliance.services import approve_export, building, request_export
from app.compliance.services.downloads import package_path
from app.errors import Denied, NotFound, Unauthenticated
from tests.attacks.scene import sql
from tests.cast import PASSWORD
from tests.chat.talk import room, say
from tests.compliance.conftest import REASON, QuickSealer, Ward, export_dir, sealer, ward
from tests.live import LiveDatabase

__all__ = ["export_dir", "sealer", "ward"]

# --- A member who was put out ---------------------------------------------------------------------


def test_a_member_who_was_put_out_reads_nothing_any_more(alice: User, mallory: User) -> None:
    talk = room(alice, mallory)
    message = UUID(say(alice, talk, "Mallory is leaving.").id)
    remove_member(by=alice, conversation_id=talk.pk, user_id=mallory.pk)
    for look in (
        lambda: access.timeline(mallory, talk.pk),
        lambda: access.message(mallory, message),
        lambda: access.versions(mallory, message),
        lambda: access.receipt(mallory, message),
        lambda: access.members(mallory, talk.pk),
        lambda: access.conversation(mallory, talk.pk),
    ):
        with pytest.raises(NotFound):
            look()
    assert access.may_listen([(mallory, talk.pk)]) == set()


def test_if_former_members_counted_they_would_read_on(alice: User, mallory: User) -> None:
    talk = room(alice, mallory)
    say(alice, talk, "Mallory is leaving.")
    remove_member(by=alice, conversation_id=talk.pk, user_id=mallory.pk)
    with patch.object(memberships, "present", lambda found: found):
        said = [view.body for view in access.timeline(mallory, talk.pk).messages]
        assert said == ["Mallory is leaving."]
        assert access.may_listen([(mallory, talk.pk)])


# --- An officer alone -----------------------------------------------------------------------------


def test_an_officer_does_not_approve_their_own_request(olga: User) -> None:
    asked = request_export(olga, scope=Scope(), reason=REASON)
    with pytest.raises(Denied):
        approve_export(olga, asked.pk)


def approve_it_oneself(asked: ExportRequest) -> int:
    """With SQL: the officer decides, and the request's own entry stands for the approval."""
    return sql(
        "UPDATE compliance_exportrequest SET state = 'approved', decider_id = requester_id, "
        "decided_at = now(), decision_entry = request_entry WHERE id = %s",
        asked.pk,
    )


def test_the_database_refuses_it_too(olga: User) -> None:
    asked = request_export(olga, scope=Scope(), reason=REASON)
    with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
        approve_it_oneself(asked)


@pytest.fixture
def forged(live_db: LiveDatabase, olga: User, ward: Ward, sealer: QuickSealer) -> ExportRequest:
    """The constraint and the trigger that asks for an entry are gone: the owner helped."""
    asked = request_export(olga, scope=Scope(), reason=REASON)
    with live_db.acting_as("owner"):
        sql("ALTER TABLE compliance_exportrequest DROP CONSTRAINT compliance_export_two_people")
        sql("ALTER TABLE compliance_exportrequest DISABLE TRIGGER USER")
        assert approve_it_oneself(asked) == 1
    return asked


@pytest.mark.usefixtures("export_dir")
def test_a_package_without_an_approval_in_the_log_is_not_handed_out(forged: ExportRequest) -> None:
    assert not building.build_export(forged.pk)
    left = ExportRequest.objects.get(pk=forged.pk)
    assert left.state == State.FAILED
    assert "refused by its own check: approval" in left.failure


@pytest.mark.usefixtures("export_dir")
def test_were_it_handed_out_the_outsider_would_name_it(forged: ExportRequest) -> None:
    with patch.object(building._Build, "_check"):
        assert building.build_export(forged.pk)
    package = str(package_path(ExportRequest.objects.get(pk=forged.pk)))
    assert {problem.code for problem in verify.verify(package).problems} == {"approval"}
    with patch.object(verify, "check_approval"):
        assert verify.verify(package).problems == []


# --- Whoever stole a session ----------------------------------------------------------------------


def me(access_token: str) -> int:
    return Client(headers={"Authorization": f"Bearer {access_token}"}).get("/api/me").status_code


def test_a_stolen_token_ends_with_its_session(alice: User) -> None:
    session = sign_in(email=alice.email, password=PASSWORD, kind=SessionKind.API)
    stolen = SessionRefreshToken.for_session(session).pair()
    assert me(stolen.access) == 200
    sign_out(session=session)
    assert me(stolen.access) == 401
    with pytest.raises(Unauthenticated):
        refresh(token=stolen.refresh)


def test_if_sessions_were_not_asked_the_thief_would_stay(alice: User) -> None:
    session = sign_in(email=alice.email, password=PASSWORD, kind=SessionKind.API)
    stolen = SessionRefreshToken.for_session(session).pair()
    sign_out(session=session)
    lookup._lookup.cache_clear()
    try:
        with patch.object(accounts, "live", lambda _: Session.objects.all()):
            assert me(stolen.access) == 200
    finally:
        lookup._lookup.cache_clear()


def test_a_refresh_token_that_was_copied_ends_it_for_both(alice: User) -> None:
    copied = issue_tokens(email=alice.email, password=PASSWORD)
    hers = refresh(token=copied.refresh)
    with pytest.raises(Unauthenticated):
        refresh(token=copied.refresh)
    assert me(hers.access) == 401
    with pytest.raises(Unauthenticated):
        refresh(token=hers.refresh)


def test_if_used_tokens_were_not_known_the_thief_would_renew_for_ever(alice: User) -> None:
    copied = issue_tokens(email=alice.email, password=PASSWORD)
    refresh(token=copied.refresh)
    with patch.object(SessionRefreshToken, "is_used", lambda _: False):
        thief = refresh(token=copied.refresh)
    assert me(thief.access) == 200
