"""Names and addresses of people: an old one that is put back by hand does not open."""

import pytest
from django.db import DatabaseError, connection, transaction

from app.accounts import services
from app.accounts.models import User
from app.encryption import envelope
from app.encryption.fields import SealError
from tests.encryption.rows import column, overwrite

pytestmark = pytest.mark.django_db
SEALED = ("display_name", "email")


def renamed(user: User) -> dict[str, str]:
    """Gives the user another name; returns the tokens from before."""
    old = {name: column(user, name) for name in SEALED}
    services.rename(user=user, display_name="Another Name")
    return old


def test_a_rename_is_another_revision_and_the_address_stays_readable(alice: User) -> None:
    name, email = alice.display_name, alice.email
    renamed(alice)
    now = User.objects.get(pk=alice.pk)
    assert (now.display_name, now.email, now.revision) == ("Another Name", email, 1)
    services.rename(user=now, display_name=name)
    services.rename(user=now, display_name=name)
    now = User.objects.get(pk=alice.pk)
    assert (now.display_name, now.email, now.revision) == (name, email, 2)


@pytest.mark.parametrize("name", SEALED)
def test_an_old_name_or_address_that_is_put_back_does_not_open(alice: User, name: str) -> None:
    overwrite(alice, name, renamed(alice)[name])
    with pytest.raises(SealError, match=f"accounts_user.{name} of row {alice.pk}") as raised:
        getattr(User.objects.get(pk=alice.pk), name)
    assert not raised.value.erased


def test_without_its_place_an_old_name_would_be_shown(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = alice.display_name
    monkeypatch.setattr(envelope, "place_in", lambda *_: b"anywhere")
    with transaction.atomic():
        alice.email, alice.display_name = str(alice.email), str(before)
        alice.save(update_fields=SEALED)
    overwrite(alice, "display_name", renamed(alice)["display_name"])
    assert User.objects.get(pk=alice.pk).display_name == before


def test_a_revision_never_goes_back(alice: User) -> None:
    renamed(alice)
    with pytest.raises(DatabaseError, match="goes forward"), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_user SET revision = 0 WHERE id = %s", [alice.pk])
