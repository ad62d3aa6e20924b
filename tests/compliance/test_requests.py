"""Asking for exports and deciding about them: two officers, one organization, all recorded."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from app.accounts.models import Organization, Role, User
from app.audit.models import Entry
from app.compliance import access, services
from app.compliance.models import ExportRequest, State
from app.compliance.scope import Scope
from app.encryption.fields import opened
from app.errors import Conflict, Denied, Invalid, NotFound
from tests.cast import join
from tests.compliance.conftest import REASON, Ward


def entries(action: str) -> list[Entry]:
    return list(Entry.objects.filter(action_name=action).order_by("id"))


@pytest.fixture
def asked(olga: User) -> ExportRequest:
    return services.request_export(olga, scope=Scope(), reason=REASON)


@pytest.fixture
def other_officer(other_organization: Organization) -> User:
    return join(other_organization, "erin", Role.OFFICER)


def test_a_request_is_recorded_with_its_scope_and_without_its_reason(
    olga: User, ward: Ward
) -> None:
    scope = Scope(conversations=(ward.ward.pk,), since=timezone.now() - timedelta(days=1))
    asked = services.request_export(olga, scope=scope, reason=REASON)
    (entry,) = entries("export:requested")
    assert entry.pk == asked.request_entry
    asked_for = {"scope": scope.document(), "formats": ["csv"], "recipient": None}
    assert entry.document["parameters"] == asked_for
    assert entry.document["after"]["reason"] == opened(asked, "reason").commitment.hex()
    assert b"complaint" not in bytes(entry.body)


def test_another_officer_approves_and_that_is_recorded(asked: ExportRequest, oscar: User) -> None:
    services.approve_export(oscar, asked.pk)
    (entry,) = entries("export:approved")
    found = ExportRequest.objects.get(pk=asked.pk)
    assert (found.state, found.decider, found.decision_entry) == (State.APPROVED, oscar, entry.pk)
    assert entry.document["actor"]["id"] == str(oscar.pk)


def test_who_asked_never_approves(asked: ExportRequest, olga: User) -> None:
    with pytest.raises(Denied, match="Another officer"):
        services.approve_export(olga, asked.pk)
    assert ExportRequest.objects.get(pk=asked.pk).state == State.REQUESTED
    assert not entries("export:approved")


def test_the_database_refuses_an_approval_by_the_requester(asked: ExportRequest) -> None:
    mine = ExportRequest.objects.filter(pk=asked.pk)
    for state in (State.APPROVED, State.BUILDING, State.FAILED):
        with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
            mine.update(state=state, decider=asked.requester)
        with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
            mine.update(state=state)


def test_the_database_refuses_a_decision_without_its_entry(
    asked: ExportRequest, oscar: User
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    mine = ExportRequest.objects.filter(pk=asked.pk)
    # An entry of this transaction exists (the request's), so look with another export's row.
    assert mine.update(state=State.APPROVED, decider=oscar) == 1
    with pytest.raises(IntegrityError, match="no entry"), transaction.atomic():
        ExportRequest(
            organization=oscar.organization, reason="x", requester=oscar, request_entry=1
        ).save(force_insert=True)


def test_the_application_cannot_delete_an_export(asked: ExportRequest) -> None:
    with pytest.raises(Exception, match="requests for exports are kept"), transaction.atomic():
        ExportRequest.objects.filter(pk=asked.pk).delete()


def test_a_decision_is_made_once(asked: ExportRequest, olga: User, oscar: User) -> None:
    services.refuse_export(oscar, asked.pk)
    for decide, officer in (
        (services.approve_export, oscar),
        (services.refuse_export, oscar),
        (services.withdraw_export, olga),
    ):
        with pytest.raises(Conflict):
            decide(officer, asked.pk)
    assert len(entries("export:refused")) == 1


def test_a_request_is_withdrawn_by_who_made_it(
    asked: ExportRequest, olga: User, oscar: User
) -> None:
    with pytest.raises(Denied):
        services.withdraw_export(oscar, asked.pk)
    with pytest.raises(Denied):
        services.refuse_export(olga, asked.pk)
    services.withdraw_export(olga, asked.pk)
    assert entries("export:withdrawn")[0].actor_id == olga.pk


@pytest.mark.parametrize("name", ["alice", "ada"])
def test_only_officers_see_or_touch_exports(
    name: str, asked: ExportRequest, request: pytest.FixtureRequest
) -> None:
    person: User = request.getfixturevalue(name)
    attempts: list[Callable[[], object]] = [
        lambda: services.request_export(person, scope=Scope(), reason=REASON),
        lambda: services.preview_export(person, Scope()),
        lambda: services.approve_export(person, asked.pk),
        lambda: services.refuse_export(person, asked.pk),
        lambda: services.withdraw_export(person, asked.pk),
        lambda: services.open_download(person, asked.pk),
        lambda: services.look_at_trail(person, access.TrailFilter()),
        lambda: services.look_at_entry(person, asked.request_entry),
        lambda: services.conversation_names(person),
        lambda: access.exports(person),
        lambda: access.export(person, asked.pk),
        lambda: access.awaiting(person),
    ]
    for attempt in attempts:
        with pytest.raises(Denied):
            attempt()


def test_an_officer_of_another_organization_finds_nothing(
    asked: ExportRequest, other_officer: User, ward: Ward, alice: User
) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: services.approve_export(other_officer, asked.pk),
        lambda: services.refuse_export(other_officer, asked.pk),
        lambda: services.withdraw_export(other_officer, asked.pk),
        lambda: services.open_download(other_officer, asked.pk),
        lambda: services.look_at_entry(other_officer, asked.request_entry),
        lambda: access.export(other_officer, asked.pk),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert access.exports(other_officer) == []
    assert access.awaiting(other_officer) == []
    assert services.conversation_names(other_officer) == []
    foreign = access.TrailFilter(conversation=ward.ward.pk)
    assert services.look_at_trail(other_officer, foreign).entries == []
    for scope in (Scope(conversations=(ward.ward.pk,)), Scope(people=(alice.pk,))):
        with pytest.raises(Invalid):
            services.request_export(other_officer, scope=scope, reason=REASON)


@pytest.mark.parametrize(
    ("scope", "reason", "field"),
    [
        (Scope(conversations=(uuid4(),)), REASON, "conversations"),
        (Scope(people=(uuid4(),)), REASON, "people"),
        (Scope(people=tuple(uuid4() for _ in range(501))), REASON, "people"),
        (Scope(until=timezone.now() + timedelta(days=2)), REASON, "until"),
        (
            Scope(since=timezone.now(), until=timezone.now() - timedelta(days=2)),
            REASON,
            "until",
        ),
        (Scope(), "   ", "reason"),
        (Scope(), "x" * 1001, "reason"),
        (Scope(), "a\0b", "reason"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    scope: Scope, reason: str, field: str, olga: User
) -> None:
    with pytest.raises(Invalid) as refusal:
        services.request_export(olga, scope=scope, reason=reason)
    assert field in refusal.value.fields
    assert not entries("export:requested")


def test_the_preview_counts_what_will_be_in_the_package(olga: User, ward: Ward) -> None:
    preview = services.preview_export(olga, Scope(conversations=(ward.ward.pk,)))
    assert (preview.sent, preview.edited, preview.deleted) == (5, 1, 1)
    assert preview.reactions == 1
    assert preview.versions == 7
    everything = services.preview_export(olga, Scope())
    assert everything.sent == 6
    assert everything.entries > preview.entries
    assert len(entries("trail:read")) == 2


def test_each_look_is_recorded_once_with_the_filter_that_ran(olga: User, ward: Ward) -> None:
    narrowed = access.TrailFilter(conversation=ward.ward.pk, action="message")
    page = services.look_at_trail(olga, narrowed, limit=3)
    assert page.more
    assert {entry.scope_id for entry in page.entries} == {ward.ward.pk}
    services.look_at_trail(olga, narrowed, before_id=page.last_id, limit=3)
    services.look_at_trail(olga, access.TrailFilter())
    first, second = entries("trail:read")
    assert first.scope_id == ward.ward.pk
    assert first.document["parameters"]["filter"] == narrowed.document()
    assert second.document["parameters"]["filter"] == {}


def test_seeing_the_names_of_conversations_is_recorded(olga: User, ward: Ward) -> None:
    names = {item.label for item in services.conversation_names(olga)}
    assert names == {"ward-4", "pharmacy"}
    services.conversation_names(olga)
    assert len(entries("names:read")) == 1


def test_paging_through_the_trail_gives_every_entry_once(olga: User, ward: Ward) -> None:
    services.look_at_trail(olga, access.TrailFilter())
    expected = list(
        Entry.objects.filter(organization_id=olga.organization_id)
        .order_by("-id")
        .values_list("pk", flat=True)
    )
    seen: list[int] = []
    before: int | None = None
    while True:
        page = services.look_at_trail(olga, access.TrailFilter(), before_id=before, limit=4)
        seen += [entry.pk for entry in page.entries]
        before = page.last_id
        if not page.more:
            break
    assert seen == expected


def test_nothing_can_be_downloaded_before_there_is_a_package(
    asked: ExportRequest, olga: User
) -> None:
    with pytest.raises(Conflict):
        services.open_download(olga, asked.pk)
    assert not entries("export:downloaded")
