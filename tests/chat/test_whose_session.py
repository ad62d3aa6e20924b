"""A message by REST is refused as everything else is where its session is over: the session is
asked for with the batch, and before anybody is told what else is wrong."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from app.accounts import permissions
from app.accounts.identity import Bearer
from app.accounts.models import Role, Session, User
from app.audit.models import Entry
from app.chat.models import Conversation, Message
from app.chat.services import Author, Draft, send_together
from app.errors import Unauthenticated
from app.realtime.protocol import Ack
from tests.accounts.conftest import Trail, bearer, tokens, trail  # noqa: F401 - a fixture
from tests.chat.talk import room, send_beside_a_commit

JSON = "application/json"


def _post(user_headers: dict[str, str], conversation: UUID, body: Any = None) -> Any:
    asked = {"id": str(uuid4()), "body": "hello"} if body is None else body
    path = f"/api/conversations/{conversation}/messages"
    return Client().post(path, asked, content_type=JSON, headers=user_headers)


def _end(user: User) -> None:
    Session.objects.filter(user=user).update(ended_at=timezone.now(), ended_reason="signed_out")


def _idle(user: User) -> None:
    Session.objects.update(last_seen_at=timezone.now() - timedelta(days=8))


def _disable(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize("over", [_end, _idle, _disable])
@pytest.mark.parametrize(
    "body", [None, b"{", {"body": 7}, b'"' + b"x" * 1_100_000 + b'"', {"id": "no", "x": 1}]
)
def test_whoever_may_not_come_in_is_told_nothing_else(
    alice: User, over: Callable[[User], None], body: Any
) -> None:
    ward, headers = room(alice), bearer(tokens(alice))
    assert _post(headers, ward.pk).status_code == 201
    over(alice)
    answer, other = _post(headers, ward.pk, body), Client().get("/api/me", headers=headers)
    assert answer.status_code == other.status_code == 401
    shown, expected = answer.json()["error"], other.json()["error"]
    assert shown | {"request_id": ""} == expected | {"request_id": ""}
    assert answer["WWW-Authenticate"] == other["WWW-Authenticate"]
    assert _post(headers, uuid4()).status_code == 401  # nor whether there is such a conversation
    assert Message.objects.count() == 1


def test_the_entry_says_which_session_it_was_and_the_session_was_in_use(
    alice: User,
    trail: Trail,  # noqa: F811
) -> None:
    ward, headers = room(alice), bearer(tokens(alice))
    Session.objects.update(last_seen_at=timezone.now() - timedelta(hours=1))
    answer = _post(headers, ward.pk)
    session = Session.objects.get()
    [entry] = trail("message:sent")
    assert entry["origin"]["session"] == str(session.pk)
    assert entry["origin"]["method"] == "jwt"
    assert entry["origin"]["request_id"] == answer["X-Request-ID"]
    assert entry["actor"]["id"] == str(alice.pk)
    assert timezone.now() - session.last_seen_at < timedelta(minutes=5)


def test_a_refusal_by_role_is_noted_as_everywhere(
    alice: User,
    trail: Trail,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ward, headers = room(alice), bearer(tokens(alice))
    monkeypatch.setattr(permissions, "PERMISSIONS", dict.fromkeys(Role, frozenset()))
    assert _post(headers, ward.pk).status_code == 403
    [entry] = trail("access:denied")
    assert entry["actor"]["id"] == str(alice.pk)
    assert entry["origin"]["method"] == "jwt"


@pytest.mark.usefixtures("live_db")
def test_of_a_batch_only_those_are_refused_whose_sessions_are_over(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    for user in (alice, bob):
        tokens(user)
    sessions = {session.user_id: session.pk for session in Session.objects.all()}
    _end(bob)
    bearers = [
        Bearer(sessions[alice.pk], alice.pk, alice.organization_id),
        Bearer(sessions[bob.pk], bob.pk, bob.organization_id),
        Bearer(sessions[alice.pk], bob.pk, bob.organization_id),  # somebody else's
    ]
    outcomes = _together(ward, bearers)
    kinds = [type(outcomes[one]) for one in bearers]
    assert kinds == [Ack, Unauthenticated, Unauthenticated]
    assert Message.objects.count() == 1
    assert Entry.objects.filter(action_name="message:sent").count() == 1
    assert [type(one) for one in _together(ward, bearers[1:]).values()] == [Unauthenticated] * 2


def _together(ward: Conversation, bearers: list[Bearer]) -> dict[Bearer, Ack | Exception]:
    """Each sends while a commit is under way."""
    outcomes: dict[Bearer, Ack | Exception] = {}

    def send(mine: Bearer) -> None:
        try:
            author = Author(mine.user, mine.organization)
            outcomes[mine] = send_together(Draft(author, ward.pk, str(uuid4()), "hello"), mine)
        except Exception as error:
            outcomes[mine] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[one]) for one in bearers]
    send_beside_a_commit(threads)
    for thread in threads:
        thread.join(20)
    return outcomes
