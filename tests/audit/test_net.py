"""django-auditlog's traps, each shown shut: leaks, bad actors, forged addresses, deletions."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from auditlog.registry import auditlog
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.test import override_settings

from app.accounts.models import Organization, User
from app.audit import net
from app.audit.checks import check_net
from app.audit.context import Origin, acting_as, acting_from
from app.audit.models import Entry
from app.audit.services import OutsideTransaction
from tests.audit.trail import ALICE, BOB
from tests.live import LiveDatabase

CANARY = "canary-9f3a"


@pytest.fixture
def acme(db: None) -> Organization:
    with acting_as(ALICE), acting_from(Origin(address="203.0.113.9", method="session")):
        return Organization.objects.create(slug="acme", name=f"Acme {CANARY}")


def entries(row: models.Model) -> list[Entry]:
    return list(Entry.objects.filter(target_id=str(row.pk)).order_by("pk"))


def test_the_entry_model_is_ours_and_the_stock_table_does_not_exist(db: None) -> None:
    tables = connection.introspection.table_names()
    assert "audit_entry" in tables
    assert "auditlog_logentry" not in tables


def test_nothing_that_is_deleted_takes_entries_along() -> None:
    assert [f.name for f in Entry._meta.get_fields() if f.is_relation] == []


def test_a_new_row_is_noticed_with_its_actor_and_origin(acme: Organization) -> None:
    (entry,) = entries(acme)
    document = entry.document
    assert document["action"] == "row:created"
    assert document["target"] == {
        "type": "accounts.organization", "id": str(acme.pk), "parent": "",
    }  # fmt: skip
    assert document["after"] == {"slug": "acme"}
    assert document["before"] == {}
    assert document["actor"]["id"] == str(ALICE.id)
    assert document["origin"]["address"] == "203.0.113.9"
    assert entry.organization_id == acme.pk


def test_a_changed_row_is_noticed_with_both_values(acme: Organization) -> None:
    with acting_as(BOB):
        acme.slug = "acme-inc"
        acme.save()
    entry = entries(acme)[-1]
    assert entry.action_name == "row:updated"
    assert (entry.document["before"], entry.document["after"]) == (
        {"slug": "acme"},
        {"slug": "acme-inc"},
    )
    assert entry.actor_id == BOB.id


def test_a_deleted_row_is_noticed(acme: Organization) -> None:
    pk = acme.pk
    Organization(pk=pk, slug="acme").delete()
    entry = Entry.objects.filter(target_id=str(pk)).latest()
    assert entry.action_name == "row:deleted"
    assert entry.document["before"] == {"slug": "acme"}
    assert entry.document["actor"]["kind"] == "system"


def test_no_content_of_a_sealed_field_reaches_an_entry(acme: Organization) -> None:
    acme.name = f"Other {CANARY}"
    acme.save()
    for entry in Entry.objects.all():
        assert CANARY.encode() not in bytes(entry.body)
        assert b"name" not in bytes(entry.body)


def test_a_row_saved_without_a_change_leaves_no_entry(acme: Organization) -> None:
    acme.save()
    assert len(entries(acme)) == 1


def test_a_watched_row_is_not_written_outside_a_transaction(live_db: LiveDatabase) -> None:
    with pytest.raises(OutsideTransaction, match=r"accounts\.Organization"):
        Organization.objects.create(slug="acme", name="Acme")
    assert not Organization.objects.exists()


@pytest.mark.parametrize("names", [["name"], ["slug", "name"]])
def test_a_sealed_field_cannot_be_watched(names: list[str]) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Organization\.name is sealed"):
        net.register(Organization, names)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["password"], "sealed"),
        (["email"], "sealed"),
        (["email_index"], "of a kind"),  # django-auditlog crashes on bytes that are not UTF-8
        ([], "none means all"),
    ],
)
def test_unfit_fields_are_refused(names: list[str], says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        net.register(User, names)


def test_looking_is_not_recorded_by_the_net(acme: Organization) -> None:
    with pytest.raises(ImproperlyConfigured):
        Entry.objects.log_create(acme, force_log=True, action=3)


def test_many_to_many_changes_are_refused(acme: Organization) -> None:
    with pytest.raises(ImproperlyConfigured):
        Entry.objects.log_m2m_changes([acme], acme, "add", "x")


def said() -> set[str]:
    return {message.msg for message in check_net(None)}


@pytest.fixture
def leaky() -> Iterator[type[models.Model]]:
    yield ContentType
    auditlog.unregister(ContentType)


def test_the_project_as_it_is_passes_the_checks() -> None:
    assert check_net(None) == []
    assert auditlog.get_models()


def test_a_model_registered_past_the_net_fails_the_checks(leaky: type[models.Model]) -> None:
    auditlog.register(leaky)
    assert {
        "contenttypes.ContentType: name the fields to watch, none means all",
        "contenttypes.ContentType: register it with app.audit.net.register",
    } <= said()


def test_masks_and_whole_rows_fail_the_checks(leaky: type[models.Model]) -> None:
    auditlog.register(leaky, include_fields=["model"], mask_fields=["model"], serialize_data=True)
    assert {
        "contenttypes.ContentType: a mask shows half of what it masks",
        "contenttypes.ContentType: serialize_data would copy whole rows into the trail",
    } <= said()


def test_every_watched_field_of_the_project_is_fit() -> None:
    for model in auditlog.get_models():
        assert apps.get_model(model._meta.label) is model
        assert net.unfit(model, auditlog.get_model_fields(model)["include_fields"]) == []


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"AUDITLOG_LOGENTRY_MODEL": "auditlog.LogEntry"}, "AUDITLOG_LOGENTRY_MODEL"),
        ({"AUDITLOG_INCLUDE_ALL_MODELS": True}, "settings name no fields"),
        ({"MIDDLEWARE": ["auditlog.middleware.AuditlogMiddleware"]}, "X-Forwarded-For"),
        ({"MIGRATION_MODULES": {}}, "MIGRATION_MODULES"),
    ],
)
def test_dangerous_settings_fail_the_checks(setting: dict[str, object], says: str) -> None:
    with override_settings(**setting):
        assert any(says in message for message in said())


def test_an_unknown_organization_fails_the_change(db: None) -> None:
    row = Organization(pk=None, slug="x", name="x")
    with pytest.raises(ImproperlyConfigured, match="no organization"):
        Entry.objects.log_create(row, action=0, changes={"slug": (None, "x")}, id=uuid4())
