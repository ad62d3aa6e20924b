"""What people are called, where they are written to and whom an invitation is for: sealed.

A canary in each, then searched for in every table that accounts, sessions and tokens use.
"""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client

from app.accounts import services
from app.accounts.models import Role, User
from tests.accounts.conftest import tokens
from tests.cast import PASSWORD

CANARY = "canary7f3a"


def every_row() -> str:
    """The whole database as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        found = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def test_no_name_address_note_or_password_is_readable_in_the_database(
    ada: User, client: Client
) -> None:
    services.found_organization(slug="sealed", name=f"{CANARY} organization")
    _, code = services.invite(
        by=ada, role=Role.MEMBER, uses=1, lifetime=timedelta(days=1), label=f"{CANARY} note"
    )
    email = f"{CANARY}@example.org"
    given: dict[str, Any] = {"email": email, "password": f"{CANARY} password"}
    services.register(code=code, display_name=f"{CANARY} name", **given)
    user = User.objects.with_email(email)
    assert user is not None
    services.rename(user=user, display_name=f"{CANARY} renamed")
    client.post("/sign-in", given)
    client.post("/sign-in", {"email": f"unknown-{CANARY}@example.org", "password": PASSWORD})
    services.issue_tokens(**given)
    client.post("/api/auth/token", given | {"password": CANARY}, content_type="application/json")
    dump = every_row()
    assert str(user.pk) in dump  # the search looks where the rows are
    for known in (CANARY, CANARY.upper(), CANARY.encode().hex(), code):
        assert known not in dump


def test_no_credential_is_readable_in_the_database(alice: User, client: Client) -> None:
    client.post("/sign-in", {"email": alice.email, "password": PASSWORD})
    pair = tokens(alice)
    dump = every_row()
    for credential in (client.cookies["sessionid"].value, pair.access, pair.refresh):
        assert credential not in dump
        assert credential.rpartition(".")[2] not in dump


def test_a_user_prints_as_an_id(alice: User) -> None:
    assert str(alice) == f"user {alice.pk}"
    assert "Alice" not in repr(alice)
