"""Roles and what they allow: the table, its refusals, and who may change whom."""

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from app.accounts import access, services
from app.accounts.models import Role, User
from app.accounts.permissions import PERMISSIONS, Permission, allows, require
from app.encryption.fields import opened
from app.errors import Conflict, Denied, DomainError, NotFound
from tests.accounts.conftest import Trail
from tests.cast import join

Change = Callable[[], User]
EVERYONE = set(Role)
ALLOWED = {
    Permission.PEOPLE_READ: EVERYONE,
    Permission.PEOPLE_MANAGE: {Role.ADMINISTRATOR},
    Permission.INVITATIONS_MANAGE: {Role.ADMINISTRATOR},
    Permission.CONVERSATIONS_CREATE: EVERYONE,
    Permission.CONVERSATIONS_JOIN: EVERYONE,
    Permission.MESSAGES_SEND: EVERYONE,
    Permission.CALLS_JOIN: EVERYONE,
    Permission.TRAIL_READ: {Role.OFFICER},
    Permission.EXPORTS_READ: {Role.OFFICER},
    Permission.EXPORTS_REQUEST: {Role.OFFICER},
    Permission.EXPORTS_APPROVE: {Role.OFFICER},
    Permission.CONVERSATIONS_DISCLOSE: {Role.OFFICER},
    Permission.HOLDS_MANAGE: {Role.OFFICER},
    Permission.ERASURES_MANAGE: {Role.OFFICER},
    Permission.SETTINGS_MANAGE: {Role.ADMINISTRATOR},
}


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(Role))
def test_a_role_allows_what_the_table_says_and_nothing_else(
    role: Role, permission: Permission
) -> None:
    user = User(role=role)
    if role in ALLOWED[permission]:
        require(user, permission)
    else:
        with pytest.raises(Denied):
            require(user, permission)


@pytest.mark.parametrize("role", list(Role))
def test_a_disabled_user_may_nothing(role: Role) -> None:
    assert not any(allows(User(role=role, is_active=False), one) for one in Permission)


def test_who_manages_does_not_look_and_who_looks_does_not_manage() -> None:
    looks = {one for one, roles in ALLOWED.items() if roles == {Role.OFFICER}}
    manages = {one for one, roles in ALLOWED.items() if roles == {Role.ADMINISTRATOR}}
    for permissions in PERMISSIONS.values():
        assert not (permissions & looks and permissions & manages)


@pytest.mark.parametrize("asker", ["mallory", "olga"])
def test_only_administrators_change_people(
    request: pytest.FixtureRequest, asker: str, alice: User, trail: Trail
) -> None:
    by = request.getfixturevalue(asker)
    changes: list[Change] = [
        lambda: services.change_role(by=by, person_id=alice.pk, role=Role.ADMINISTRATOR),
        lambda: services.change_role(by=by, person_id=by.pk, role=Role.ADMINISTRATOR),
        lambda: services.set_active(by=by, person_id=alice.pk, active=False),
    ]
    for change in changes:
        with pytest.raises(Denied):
            change()
    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == (Role.MEMBER, True)
    assert trail("user:role_changed") == []


def test_a_change_of_role_is_in_the_trail_with_both_roles(
    ada: User, alice: User, trail: Trail
) -> None:
    services.change_role(by=ada, person_id=alice.pk, role=Role.OFFICER)
    [entry] = trail("user:role_changed")
    assert (entry["before"], entry["after"]) == ({"role": "member"}, {"role": "officer"})
    assert entry["actor"] == {"kind": "user", "id": str(ada.pk), "role": "administrator"}
    assert entry["target"]["id"] == str(alice.pk)


def test_the_net_notices_a_change_of_role_as_well(ada: User, alice: User, trail: Trail) -> None:
    services.change_role(by=ada, person_id=alice.pk, role=Role.OFFICER)
    rows = [entry for entry in trail("row:updated") if entry["target"]["id"] == str(alice.pk)]
    assert [row["after"] for row in rows] == [{"role": "officer"}]


def test_a_change_to_what_already_is_records_nothing(ada: User, alice: User, trail: Trail) -> None:
    services.change_role(by=ada, person_id=alice.pk, role=Role.MEMBER)
    services.set_active(by=ada, person_id=alice.pk, active=True)
    assert trail("user:role_changed") == trail("user:enabled") == []


def test_disabling_and_enabling_are_in_the_trail(ada: User, alice: User, trail: Trail) -> None:
    services.set_active(by=ada, person_id=alice.pk, active=False)
    services.set_active(by=ada, person_id=alice.pk, active=True)
    assert len(trail("user:disabled")) == len(trail("user:enabled")) == 1


def test_an_administrator_cannot_change_themselves(ada: User) -> None:
    with pytest.raises(Denied, match="Another administrator"):
        services.change_role(by=ada, person_id=ada.pk, role=Role.OFFICER)
    with pytest.raises(Denied, match="Another administrator"):
        services.set_active(by=ada, person_id=ada.pk, active=False)


def test_the_last_active_administrator_stays(ada: User) -> None:
    second = join(ada.organization, "second", Role.ADMINISTRATOR)
    services.set_active(by=ada, person_id=second.pk, active=False)
    # `second` acts with a stale object, as a long request would.
    with pytest.raises(Denied):
        services.set_active(by=second, person_id=ada.pk, active=False)
    services.set_active(by=ada, person_id=second.pk, active=True)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    with pytest.raises(DomainError):
        services.change_role(by=ada, person_id=second.pk, role=Role.MEMBER)
    assert User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exists()


def test_two_administrators_who_demote_each_other_at_once_leave_one(
    live_db: Any, ada: User
) -> None:
    second = join(ada.organization, "second", Role.ADMINISTRATOR)
    start, outcomes = Barrier(2), []

    def demote(by: User, whom: User) -> None:
        try:
            start.wait()
            services.change_role(by=by, person_id=whom.pk, role=Role.MEMBER)
            outcomes.append("done")
        except (Denied, Conflict) as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [Thread(target=demote, args=pair) for pair in ((ada, second), (second, ada))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["denied", "done"]
    assert User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).count() == 1


def test_people_of_another_organization_do_not_exist(ada: User, eve: User, alice: User) -> None:
    changes: list[Change] = [
        lambda: services.change_role(by=ada, person_id=eve.pk, role=Role.OFFICER),
        lambda: services.set_active(by=ada, person_id=eve.pk, active=False),
        lambda: access.person(alice, eve.pk),
        lambda: access.person(alice, uuid4()),
    ]
    for change in changes:
        with pytest.raises(NotFound):
            change()
    assert eve not in access.people(alice)


def test_a_name_in_the_trail_is_a_commitment_that_its_owner_can_open(
    alice: User, trail: Trail
) -> None:
    before = opened(User.objects.get(pk=alice.pk), "display_name").commitment.hex()
    services.rename(user=alice, display_name="  Alice   Liddell ")
    [entry] = trail("user:changed")
    now = User.objects.get(pk=alice.pk)
    assert now.display_name == "Alice Liddell"
    assert entry["before"] == {"display_name": before}
    assert entry["after"] == {"display_name": opened(now, "display_name").commitment.hex()}
    assert "Liddell" not in str(entry)


def test_renaming_to_the_same_name_records_nothing(alice: User, trail: Trail) -> None:
    services.rename(user=alice, display_name=alice.display_name)
    assert trail("user:changed") == []
