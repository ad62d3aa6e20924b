"""People as rows: found by address, sealed, constrained."""

import pytest
from django.db import IntegrityError, connection, transaction

from app.accounts.models import User


def test_a_user_is_found_by_any_spelling_of_their_address(alice: User) -> None:
    assert User.objects.with_email("  ALICE@Example.ORG ") == alice


def test_a_role_that_does_not_exist_is_refused_by_the_database(alice: User) -> None:
    with (
        pytest.raises(IntegrityError, match="accounts_user_role"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE accounts_user SET role = 'owner'")
