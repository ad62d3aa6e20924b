"""What a batch of sends asks of the database: a number of statements that nothing makes larger,
and of each table about as many rows as there are messages."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from app.accounts.models import User
from app.audit.context import Origin
from app.chat.models import Conversation
from app.realtime.protocol import Ack, SendData
from app.realtime.services import Principal
from app.routing import gateway
from tests.accounts.conftest import bearer, tokens
from tests.cast import join
from tests.chat.talk import room

STATEMENTS = 6  # those of decision 17


@pytest.fixture
def many(alice: User) -> list[User]:
    return [alice, *(join(alice.organization, f"member{number}") for number in range(5))]


def _send(authors: list[User], conversation: Conversation, count: int) -> list[str]:
    """Send so many messages as the gateway does; the statements that it took."""
    sends = [
        (
            Principal(author.pk, author.organization_id, uuid4(), Origin()),
            SendData(conversation=str(conversation.pk), id=str(uuid4()), body=f"message {number}"),
        )
        for number, author in ((number, authors[number % len(authors)]) for number in range(count))
    ]
    with CaptureQueriesContext(connection) as queries:
        outcomes = gateway._backend.send_many(sends)
    assert all(isinstance(outcome, Ack) for outcome in outcomes)
    said = [query["sql"] for query in queries.captured_queries]
    return [one for one in said if "SAVEPOINT" not in one]


@pytest.mark.usefixtures("db")
def test_statements_grow_neither_with_authors_nor_with_messages(many: list[User]) -> None:
    conversation = room(*many)
    _send(many[:1], conversation, 1)  # its key is made
    for authors, count in ((1, 1), (1, 20), (6, 20)):
        assert len(_send(many[:authors], conversation, count)) == STATEMENTS, (authors, count)


@pytest.mark.usefixtures("db")
def test_a_message_by_rest_asks_no_more_than_whose_session_it_is(alice: User) -> None:
    conversation = room(alice)
    client, headers = Client(), bearer(tokens(alice))

    def post(body: str) -> None:
        path = f"/api/conversations/{conversation.pk}/messages"
        asked = {"id": str(uuid4()), "body": body}
        answer = client.post(path, asked, content_type="application/json", headers=headers)
        assert answer.status_code == 201

    post("the conversation's key is made")
    with CaptureQueriesContext(connection) as queries:
        post("hello")
    said = [query["sql"] for query in queries.captured_queries]
    assert len([one for one in said if "SAVEPOINT" not in one]) == 1 + 6


@pytest.mark.usefixtures("db")
def test_the_guard_of_a_version_looks_at_its_own_entry_alone(many: list[User]) -> None:
    conversation = room(*many)
    _send(many, conversation, 1)
    looked_at = []
    for count in (20, 100):
        _send(many, conversation, count)
        before = _entries_read()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        looked_at.append((_entries_read() - before) / count)
    few, more = looked_at
    assert 1 <= more <= few * 1.1


def _entries_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) "
            "FROM pg_stat_xact_user_tables WHERE relname = 'audit_entry'"
        )
        return int(cursor.fetchone()[0])
