"""Erasure: two officers, never under a hold, for good; the proofs and the record stay."""

from collections.abc import Callable
from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, transaction
from django.utils import timezone

from app.accounts.models import Organization, Role, User
from app.audit.models import Entry
from app.chat.models import MessageVersion
from app.compliance import services
from app.compliance.access import erasures as erasure_reads
from app.compliance.models import Erasure, ErasureState
from app.compliance.services import erasures
from app.encryption.fields import SealError, opened
from app.encryption.models import DataKey
from app.errors import Conflict, Denied, Invalid, NotFound, Unavailable, UnderHold
from tests.cast import join
from tests.chat.talk import room, say
from tests.compliance.conftest import Ward
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("erasure_list")

REASON = "Asked for by the patient, GDPR article 17."


def this_month() -> date:
    return timezone.now().date().replace(day=1)


def ask(officer: User, ward: Ward) -> Erasure:
    return services.request_erasure(
        officer, ward.ward.pk, first=None, last=this_month(), reason=REASON
    )


@pytest.fixture
def asked(olga: User, ward: Ward) -> Erasure:
    return ask(olga, ward)


def entries(action: str) -> list[Entry]:
    return list(Entry.objects.filter(action_name=action).order_by("id"))


def hold(officer: User, ward: Ward) -> None:
    services.place_hold(officer, conversations=[ward.ward.pk], matter="M", reason="R")


def readable(ward: Ward) -> int:
    """How many versions of the ward's messages can still be read."""
    number = 0
    for version in MessageVersion.objects.filter(conversation_id=ward.ward.pk, body__isnull=False):
        try:
            number += version.body is not None
        except SealError as error:
            if not error.erased:
                raise
    return number


def test_what_two_officers_agreed_on_is_erased_and_nothing_else(
    asked: Erasure, oscar: User, ward: Ward
) -> None:
    assert readable(ward) == 6
    services.approve_erasure(oscar, asked.pk)
    assert erasures.carry_out(asked.pk)
    assert readable(ward) == 0
    asked.refresh_from_db()
    assert (asked.state, asked.keys_destroyed) == (ErasureState.DONE, 1)
    elsewhere = MessageVersion.objects.get(conversation_id=ward.pharmacy.pk)
    assert elsewhere.body == "Nothing of the ward here."


def test_what_is_said_after_an_erasure_is_kept(
    live_db: LiveDatabase, asked: Erasure, oscar: User, alice: User, ward: Ward
) -> None:
    services.approve_erasure(oscar, asked.pk)
    assert erasures.carry_out(asked.pk)
    say(alice, ward.ward, "Life goes on.")
    assert readable(ward) == 1


def test_every_step_is_an_entry_that_names_the_request(
    asked: Erasure, olga: User, oscar: User, ward: Ward
) -> None:
    services.approve_erasure(oscar, asked.pk)
    erasures.carry_out(asked.pk)
    (first,), (second,), (third,) = (
        entries("erasure:requested"),
        entries("erasure:approved"),
        entries("erasure:done"),
    )
    assert (first.actor_id, second.actor_id) == (olga.pk, oscar.pk)
    assert {entry.scope_id for entry in (first, second, third)} == {ward.ward.pk}
    assert first.document["after"]["reason"] == opened(asked, "reason").commitment.hex()
    assert third.document["after"] == {"state": "done", "keys": 1}
    (destroyed,) = entries("data_key:destroyed")
    assert destroyed.document["parameters"]["request"] == str(asked.pk)
    assert destroyed.actor_id == oscar.pk


def test_carrying_out_twice_or_before_approval_does_nothing(asked: Erasure, oscar: User) -> None:
    assert not erasures.carry_out(asked.pk)
    assert erasures.resume_erasures() == 0
    services.approve_erasure(oscar, asked.pk)
    assert erasures.resume_erasures() == 1
    assert not erasures.carry_out(asked.pk)
    assert len(entries("erasure:done")) == len(entries("data_key:destroyed")) == 1


def test_a_job_that_died_after_the_keys_were_gone_is_finished_by_the_next(
    asked: Erasure, oscar: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object) -> None:
        raise SystemExit

    services.approve_erasure(oscar, asked.pk)
    with monkeypatch.context() as patch:
        patch.setattr(erasures, "_end", die)
        with pytest.raises(SystemExit):
            erasures.carry_out(asked.pk)
    assert erasures.resume_erasures() == 1
    asked.refresh_from_db()
    assert (asked.state, asked.keys_destroyed) == (ErasureState.DONE, 1)


def test_what_was_said_after_the_keys_were_gone_is_kept_by_the_attempt_that_finishes(
    live_db: LiveDatabase,
    asked: Erasure,
    oscar: User,
    alice: User,
    ward: Ward,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker dies between the keys and the record; the month goes on with a new key."""

    def die(*args: object) -> None:
        raise SystemExit

    services.approve_erasure(oscar, asked.pk)
    with monkeypatch.context() as patch:
        patch.setattr(erasures, "_end", die)
        with pytest.raises(SystemExit):
            erasures.carry_out(asked.pk)
    say(alice, ward.ward, "Said when the worker was dead.")
    assert erasures.resume_erasures() == 1
    assert readable(ward) == 1
    asked.refresh_from_db()
    assert (asked.state, asked.keys_destroyed) == (ErasureState.DONE, 1)


def test_only_the_months_that_were_asked_for_are_erased(
    olga: User, oscar: User, ward: Ward
) -> None:
    before = this_month() - timedelta(days=1)
    with pytest.raises(Invalid) as refusal:
        services.request_erasure(
            olga, ward.ward.pk, first=None, last=before.replace(day=1), reason=REASON
        )
    assert refusal.value.fields == {"first": ["Nothing is left to erase in these months."]}
    found = erasure_reads.erasable(olga, ward.ward.pk, last=before.replace(day=1))
    assert (found.months, found.messages, found.first_at) == ([], 0, None)
    found = erasure_reads.erasable(olga, ward.ward.pk, first=this_month())
    assert (found.months, found.messages, found.versions) == ([this_month()], 5, 7)
    assert found.authors == 2


def test_under_a_hold_it_is_neither_asked_for_nor_approved(
    asked: Erasure, olga: User, oscar: User, ward: Ward
) -> None:
    hold(olga, ward)
    with pytest.raises(UnderHold):
        ask(olga, ward)
    with pytest.raises(UnderHold):
        services.approve_erasure(oscar, asked.pk)
    asked.refresh_from_db()
    assert asked.state == ErasureState.REQUESTED
    assert [held.in_force for held in erasure_reads.erasable(olga, ward.ward.pk).holds] == [True]


def test_a_hold_that_comes_after_the_approval_stops_it(
    asked: Erasure, olga: User, oscar: User, ward: Ward
) -> None:
    services.approve_erasure(oscar, asked.pk)
    hold(olga, ward)
    assert not erasures.carry_out(asked.pk)
    assert readable(ward) == 6
    asked.refresh_from_db()
    assert asked.state == ErasureState.STOPPED
    assert "legal hold" in asked.failure
    (stopped,) = entries("erasure:stopped")
    assert stopped.document["outcome"] == "failure"
    assert erasures.resume_erasures() == 0


def test_what_is_out_of_order_leaves_it_for_the_next_attempt(
    asked: Erasure, oscar: User, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**more: object) -> None:
        raise Unavailable("The list of erasures cannot be written.")

    services.approve_erasure(oscar, asked.pk)
    with monkeypatch.context() as patch:
        patch.setattr(erasures, "destroy_data_keys", away)
        assert not erasures.carry_out(asked.pk)
    asked.refresh_from_db()
    assert (asked.state, asked.failure) == (
        ErasureState.APPROVED,
        "The list of erasures cannot be written.",
    )
    assert erasures.resume_erasures() == 1
    asked.refresh_from_db()
    assert (asked.state, asked.failure) == (ErasureState.DONE, "")


def test_who_asked_never_approves_and_a_decision_is_made_once(
    asked: Erasure, olga: User, oscar: User
) -> None:
    for mine in (services.approve_erasure, services.refuse_erasure):
        with pytest.raises(Denied):
            mine(olga, asked.pk)
    with pytest.raises(Denied):
        services.withdraw_erasure(oscar, asked.pk)
    services.refuse_erasure(oscar, asked.pk)
    for decide, officer in (
        (services.approve_erasure, oscar),
        (services.refuse_erasure, oscar),
        (services.withdraw_erasure, olga),
    ):
        with pytest.raises(Conflict):
            decide(officer, asked.pk)
    assert not erasures.carry_out(asked.pk)


def test_a_request_is_withdrawn_by_who_made_it(asked: Erasure, olga: User) -> None:
    services.withdraw_erasure(olga, asked.pk)
    assert entries("erasure:withdrawn")[0].actor_id == olga.pk


@pytest.mark.parametrize("name", ["alice", "ada"])
def test_only_officers_see_or_touch_erasures(
    name: str, asked: Erasure, ward: Ward, request: pytest.FixtureRequest
) -> None:
    person: User = request.getfixturevalue(name)
    attempts: list[Callable[[], object]] = [
        lambda: ask(person, ward),
        lambda: services.preview_erasure(person, ward.ward.pk, first=None, last=None),
        lambda: services.approve_erasure(person, asked.pk),
        lambda: services.refuse_erasure(person, asked.pk),
        lambda: services.withdraw_erasure(person, asked.pk),
        lambda: erasure_reads.erasures(person),
        lambda: erasure_reads.erasure(person, asked.pk),
        lambda: erasure_reads.erasable(person, ward.ward.pk),
    ]
    for attempt in attempts:
        with pytest.raises(Denied):
            attempt()


def test_an_officer_of_another_organization_finds_nothing_to_erase(
    asked: Erasure, ward: Ward, other_organization: Organization
) -> None:
    erin = join(other_organization, "erin", Role.OFFICER)
    attempts: list[Callable[[], object]] = [
        lambda: ask(erin, ward),
        lambda: services.preview_erasure(erin, uuid4(), first=None, last=None),
        lambda: services.approve_erasure(erin, asked.pk),
        lambda: services.refuse_erasure(erin, asked.pk),
        lambda: services.withdraw_erasure(erin, asked.pk),
        lambda: erasure_reads.erasure(erin, asked.pk),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert erasure_reads.erasures(erin) == []


@pytest.mark.parametrize(
    ("first", "last", "reason", "field"),
    [
        (date(2026, 1, 2), date(2026, 2, 1), REASON, "first"),
        (None, date(2026, 2, 2), REASON, "last"),
        (date(2026, 3, 1), date(2026, 2, 1), REASON, "last"),
        (None, date(2999, 1, 1), REASON, "last"),
        (None, None, " ", "reason"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    first: date | None, last: date | None, reason: str, field: str, olga: User, ward: Ward
) -> None:
    with pytest.raises(Invalid) as refusal:
        services.request_erasure(
            olga, ward.ward.pk, first=first, last=last or this_month(), reason=reason
        )
    assert field in refusal.value.fields
    assert not entries("erasure:requested")


def test_the_database_wants_two_people_and_keeps_the_record(
    asked: Erasure, olga: User, oscar: User
) -> None:
    mine = Erasure.objects.filter(pk=asked.pk)
    for decider in (None, olga):
        with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
            mine.update(state=ErasureState.APPROVED, decider=decider)
    with pytest.raises(ProgrammingError, match="refused"), transaction.atomic():
        mine._raw_delete("default")


def test_looking_at_what_would_be_erased_is_recorded(olga: User, ward: Ward) -> None:
    services.preview_erasure(olga, ward.ward.pk, first=None, last=this_month())
    (look,) = entries("trail:read")
    assert look.scope_id == ward.ward.pk
    assert look.document["parameters"]["counted"]["conversation"] == str(ward.ward.pk)


def test_a_conversation_without_a_word_has_nothing_to_erase(olga: User, alice: User) -> None:
    empty = room(alice, name="empty")
    assert not DataKey.objects.filter(conversation_id=empty.pk).exists()
    with pytest.raises(Invalid):
        services.request_erasure(olga, empty.pk, first=None, last=this_month(), reason=REASON)
