"""Joining by invitation: what a code opens, for how long, and what the others learn."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from app.accounts import services
from app.accounts.models import Invitation, Role, User
from app.accounts.services.invitations import TAKEN
from app.errors import DomainError, Invalid, NotFound
from tests.accounts.conftest import Trail
from tests.cast import PASSWORD, address

DAY = timedelta(days=1)


def invited(by: User, **options: Any) -> tuple[Invitation, str]:
    return services.invite(**{"by": by, "role": Role.MEMBER, "uses": 1, "lifetime": DAY, **options})


def joined(code: str, name: str = "newcomer", **options: Any) -> User:
    given = {"email": address(name), "display_name": name.title(), "password": PASSWORD}
    return services.register(code=code, **{**given, **options})


@pytest.mark.parametrize("role", list(Role))
def test_a_newcomer_has_the_invitations_role_and_organization(
    ada: User, trail: Trail, role: Role
) -> None:
    invitation, code = invited(ada, role=role)
    user = joined(code)
    assert (user.role, user.organization) == (role, ada.organization)
    assert User.objects.with_email(address("newcomer")) == user
    made = [entry for entry in trail("user:created") if entry["target"]["id"] == str(user.pk)]
    assert made[0]["after"]["role"] == role
    [accepted] = trail("invitation:accepted")
    assert accepted["actor"]["id"] == str(user.pk)
    assert accepted["target"]["id"] == str(invitation.pk)
    assert (accepted["before"], accepted["after"]) == ({"uses": 1}, {"uses": 0})


def test_a_code_is_good_for_as_many_as_it_says(ada: User) -> None:
    _, code = invited(ada, uses=2)
    joined(code, "first")
    joined(code, "second")
    with pytest.raises(NotFound):
        joined(code, "third")


def test_codes_that_open_nothing_are_answered_alike(ada: User, trail: Trail) -> None:
    used = invited(ada)[1]
    joined(used, "first")
    expired, withdrawn = invited(ada), invited(ada)
    Invitation.objects.filter(pk=expired[0].pk).update(expires_at=timezone.now())
    services.revoke_invitation(by=ada, invitation_id=withdrawn[0].pk)
    answers = set()
    for code in (used, expired[1], withdrawn[1], "wrong", "", "\ud800"):
        with pytest.raises(NotFound) as refusal:
            # Whatever else is wrong with the request shows to the holder of a code alone.
            joined(code, "late", password="short", display_name="")
        answers.add(refusal.value.message)
    assert len(answers) == 1
    refused = trail("invitation:refused")
    assert [entry["outcome"] for entry in refused] == ["failure"] * 6
    assert refused[0]["organization"] == str(ada.organization_id)
    assert refused[3]["target"]["id"] == "unknown"


def test_a_taken_address_is_refused_and_uses_nothing_up(ada: User, alice: User) -> None:
    invitation, code = invited(ada)
    with pytest.raises(Invalid) as refusal:
        joined(code, email=" ALICE@example.org")
    assert refusal.value.fields == {"email": [TAKEN]}
    invitation.refresh_from_db()
    assert invitation.uses_left == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": "123456789012345"}, "password"),
        ({"password": "password1234"}, "password"),
        ({"password": address("newcomer")}, "password"),
        ({"password": "x" * 300}, "password"),
        ({"display_name": " "}, "display_name"),
        ({"display_name": "x" * 81}, "display_name"),
        ({"display_name": "Ada\u202eAda"}, "display_name"),
        ({"display_name": "Ada\u200b"}, "display_name"),
    ],
)
def test_a_weak_password_or_a_deceptive_name_is_refused_beside_its_field(
    ada: User, given: dict[str, str], field: str
) -> None:
    _, code = invited(ada)
    with pytest.raises(Invalid) as refusal:
        joined(code, **given)
    assert set(refusal.value.fields) == {field}


@pytest.mark.parametrize(
    "options",
    [
        {"uses": 0},
        {"uses": 101},
        {"lifetime": timedelta()},
        {"lifetime": timedelta(days=31)},
    ],
)
def test_an_invitation_has_bounds(ada: User, options: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        invited(ada, **options)


def test_the_code_is_not_in_the_database(ada: User) -> None:
    invitation, code = invited(ada)
    assert code.encode() not in bytes(invitation.code_hash)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(i)::text FROM accounts_invitation i")
        assert code not in cursor.fetchone()[0]


def test_making_and_withdrawing_are_in_the_trail(ada: User, trail: Trail) -> None:
    invitation, _ = invited(ada, label="For the new nurse")
    services.revoke_invitation(by=ada, invitation_id=invitation.pk)
    services.revoke_invitation(by=ada, invitation_id=invitation.pk)
    [made], [withdrawn] = trail("invitation:created"), trail("invitation:revoked")
    assert made["actor"]["id"] == withdrawn["actor"]["id"] == str(ada.pk)
    assert (made["after"]["uses"], made["after"]["role"]) == (1, "member")
    assert len(made["after"]["label"]) == 64
    assert "nurse" not in str(made)


def test_one_organization_cannot_withdraw_anothers_invitation(ada: User, eve: User) -> None:
    User.objects.filter(pk=eve.pk).update(role=Role.ADMINISTRATOR)
    eve.refresh_from_db()
    invitation, _ = invited(ada)
    with pytest.raises(NotFound):
        services.revoke_invitation(by=eve, invitation_id=invitation.pk)


def test_two_who_use_the_last_use_at_once_do_not_both_join(live_db: Any, ada: User) -> None:
    _, code = invited(ada)
    outcomes: list[str] = []

    def run(name: str) -> None:
        try:
            joined(code, name)
            outcomes.append("joined")
        except DomainError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [Thread(target=run, args=(name,)) for name in ("first", "second", "third")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["joined", "not_found", "not_found"]
