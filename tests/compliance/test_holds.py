"""Legal holds: what they keep, who may place and release them, and that nothing overtakes them."""

import threading
from collections.abc import Callable
from datetime import date
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.utils import timezone

from app.accounts.models import Organization, Role, User
from app.audit.models import Entry
from app.chat.models import Conversation
from app.chat.services import join as join_conversation
from app.chat.services import leave
from app.compliance import services
from app.compliance.access import holds
from app.compliance.models import HeldConversation, LegalHold
from app.encryption.fields import opened
from app.encryption.holds import is_held, refuse_if_held, told_of_holds
from app.encryption.models import DataKey
from app.errors import Conflict, Denied, Invalid, NotFound, UnderHold
from tests.cast import join
from tests.chat.talk import room, say
from tests.compliance.conftest import Ward
from tests.live import LiveDatabase

MATTER, REASON = "Matter 2026-114", "A patient's complaint about a discharge."


def place(officer: User, *conversations: Conversation, people: tuple[User, ...] = ()) -> LegalHold:
    return services.place_hold(
        officer,
        conversations=[item.pk for item in conversations],
        people=[person.pk for person in people],
        matter=MATTER,
        reason=REASON,
    )


def entries(action: str) -> list[Entry]:
    return list(Entry.objects.filter(action_name=action).order_by("id"))


def destroy_keys(conversation: UUID | None) -> int:
    """As somebody would who reaches the table: an erasure without asking anybody."""
    with transaction.atomic():
        keys = DataKey.objects.filter(conversation_id=conversation, destroyed_at=None)
        return keys.update(wrapped=None, destroyed_at=timezone.now())


def refused(conversation: UUID | None) -> None:
    with pytest.raises(IntegrityError, match="under a legal hold") as refusal:
        destroy_keys(conversation)
    diagnostics = refusal.value.__cause__.diag  # type: ignore[union-attr]
    assert diagnostics.constraint_name == "data_key_under_legal_hold"


def test_the_keys_of_a_held_conversation_are_not_destroyed(olga: User, ward: Ward) -> None:
    place(olga, ward.ward)
    refused(ward.ward.pk)
    assert destroy_keys(ward.pharmacy.pk) == 1


def test_a_person_s_hold_keeps_every_conversation_that_they_were_ever_in(
    olga: User, alice: User, bob: User, mallory: User
) -> None:
    left = room(alice, mallory, kind="public", name="left")
    say(mallory, left, "I was here.")
    leave(user=mallory, conversation_id=left.pk)
    other = room(alice, bob, name="other")
    say(bob, other, "Mallory never was here.")
    place(olga, people=(mallory,))
    refused(left.pk)
    assert destroy_keys(other.pk) == 1


def test_who_joins_under_a_hold_brings_it_along(olga: User, alice: User, mallory: User) -> None:
    place(olga, people=(mallory,))
    talk = room(alice, kind="public", name="later")
    say(alice, talk, "Before.")
    assert not is_held(olga.organization_id, talk.pk)
    join_conversation(user=mallory, conversation_id=talk.pk)
    refused(talk.pk)


def test_under_any_hold_the_organization_keeps_its_names(
    olga: User, ward: Ward, other_organization: Organization
) -> None:
    place(olga, ward.ward)
    refused(None)
    assert is_held(olga.organization_id, None)
    assert not is_held(other_organization.pk, None)


def test_a_key_is_not_moved_away_from_under_a_hold(olga: User, ward: Ward) -> None:
    place(olga, ward.ward)
    mine = DataKey.objects.filter(conversation_id=ward.ward.pk)
    for change in (
        {"conversation_id": uuid4()},
        {"conversation_id": None, "month": date(1999, 1, 1)},
        {"organization_id": uuid4()},
        {"month": date(1999, 1, 1)},
    ):
        with pytest.raises(IntegrityError, match="under a legal hold"), transaction.atomic():
            mine.update(**change)


def test_a_held_key_may_be_wrapped_anew_and_counted(olga: User, ward: Ward) -> None:
    place(olga, ward.ward)
    key = DataKey.objects.get(conversation_id=ward.ward.pk)
    key.wrapped, key.uses = "c29tZXRoaW5nIGVsc2U=", key.uses + 1
    with transaction.atomic():
        key.save(update_fields=["wrapped", "uses"])
        transaction.set_rollback(True)


def test_whoever_deletes_elsewhere_asks_and_is_told(olga: User, ward: Ward) -> None:
    place(olga, ward.ward)
    with pytest.raises(UnderHold), transaction.atomic():
        refuse_if_held(olga.organization_id, ward.ward.pk, "attachment")
    with pytest.raises(UnderHold), told_of_holds():
        destroy_keys(ward.ward.pk)
    refuse_if_held(olga.organization_id, ward.pharmacy.pk, "attachment")
    with pytest.raises(IntegrityError, match="two_people"), told_of_holds(), transaction.atomic():
        LegalHold.objects.update(released_at=timezone.now())


def test_the_officer_s_page_and_the_database_agree_on_what_is_held(
    olga: User, alice: User, bob: User, ward: Ward
) -> None:
    first, second = place(olga, ward.ward), place(olga, people=(alice, bob))
    assert holds.holds_on(olga, ward.ward.pk) == [first, second] or holds.holds_on(
        olga, ward.ward.pk
    ) == [second, first]
    assert holds.holds_on(olga, ward.pharmacy.pk) == [second]
    assert is_held(olga.organization_id, ward.pharmacy.pk)


def test_placing_is_recorded_without_a_word_of_why(olga: User, ward: Ward, alice: User) -> None:
    hold = place(olga, ward.ward, people=(alice,))
    (entry,) = entries("hold:placed")
    assert entry.pk == hold.place_entry
    assert entry.document["parameters"] == {
        "conversations": [str(ward.ward.pk)],
        "people": [str(alice.pk)],
    }
    assert entry.document["after"] == {
        "matter": opened(hold, "matter").commitment.hex(),
        "reason": opened(hold, "reason").commitment.hex(),
    }
    assert b"complaint" not in bytes(entry.body)
    assert (hold.matter, hold.reason) == (MATTER, REASON)


def test_a_release_takes_two_officers_and_a_reason(olga: User, oscar: User, ward: Ward) -> None:
    hold = place(olga, ward.ward)
    with pytest.raises(Conflict):
        services.release_hold(oscar, hold.pk)
    services.ask_release(oscar, hold.pk, reason="Settled.")
    refused(ward.ward.pk)
    with pytest.raises(Denied, match="Another officer"):
        services.release_hold(oscar, hold.pk)
    with pytest.raises(Conflict):
        services.ask_release(olga, hold.pk, reason="Me too.")
    services.release_hold(olga, hold.pk)
    assert destroy_keys(ward.ward.pk) == 1
    for again in (services.release_hold, services.keep_hold):
        with pytest.raises(Conflict):
            again(olga, hold.pk)
    (asked,), (released,) = entries("hold:release_requested"), entries("hold:released")
    assert asked.actor_id == oscar.pk
    assert (released.actor_id, released.target_id) == (olga.pk, str(hold.pk))


def test_a_release_that_is_refused_leaves_the_hold(olga: User, oscar: User, ward: Ward) -> None:
    hold = place(olga, ward.ward)
    services.ask_release(olga, hold.pk, reason="Settled?")
    services.keep_hold(oscar, hold.pk)
    refused(ward.ward.pk)
    with pytest.raises(Conflict):
        services.release_hold(oscar, hold.pk)
    services.ask_release(oscar, hold.pk, reason="Settled now.")
    assert holds.hold(olga, hold.pk).release_reason == "Settled now."
    assert len(entries("hold:release_refused")) == 1


def test_two_holds_both_keep(olga: User, oscar: User, ward: Ward) -> None:
    first = place(olga, ward.ward)
    place(olga, ward.ward)
    services.ask_release(olga, first.pk, reason="Settled.")
    services.release_hold(oscar, first.pk)
    refused(ward.ward.pk)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"matter": " "}, "matter"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"conversations": []}, "conversations"),
        ({"conversations": [uuid4()]}, "conversations"),
        ({"people": [uuid4()]}, "people"),
        ({"people": [uuid4() for _ in range(501)]}, "people"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(
    wrong: dict[str, object], field: str, olga: User, ward: Ward
) -> None:
    right = {"matter": MATTER, "reason": REASON, "conversations": [ward.ward.pk]}
    with pytest.raises(Invalid) as refusal:
        services.place_hold(olga, **(right | wrong))  # type: ignore[arg-type]
    assert field in refusal.value.fields
    assert not entries("hold:placed")


@pytest.mark.parametrize("name", ["alice", "ada"])
def test_only_officers_see_or_touch_holds(
    name: str, olga: User, ward: Ward, request: pytest.FixtureRequest
) -> None:
    hold = place(olga, ward.ward)
    person: User = request.getfixturevalue(name)
    attempts: list[Callable[[], object]] = [
        lambda: place(person, ward.ward),
        lambda: services.ask_release(person, hold.pk, reason="x"),
        lambda: services.keep_hold(person, hold.pk),
        lambda: services.release_hold(person, hold.pk),
        lambda: holds.holds(person),
        lambda: holds.hold(person, hold.pk),
        lambda: holds.holds_on(person, ward.ward.pk),
    ]
    for attempt in attempts:
        with pytest.raises(Denied):
            attempt()


def test_an_officer_of_another_organization_finds_no_hold(
    olga: User, ward: Ward, alice: User, other_organization: Organization
) -> None:
    hold = place(olga, ward.ward)
    erin = join(other_organization, "erin", Role.OFFICER)
    attempts: list[Callable[[], object]] = [
        lambda: services.ask_release(erin, hold.pk, reason="x"),
        lambda: services.keep_hold(erin, hold.pk),
        lambda: services.release_hold(erin, hold.pk),
        lambda: holds.hold(erin, hold.pk),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert holds.holds(erin) == []
    for foreign in ({"conversations": [ward.ward.pk]}, {"people": [alice.pk]}):
        with pytest.raises(Invalid):
            services.place_hold(erin, matter=MATTER, reason=REASON, **foreign)


def test_the_database_lets_nobody_release_alone_or_change_a_hold(
    olga: User, oscar: User, ward: Ward
) -> None:
    hold = place(olga, ward.ward)
    services.ask_release(olga, hold.pk, reason="Settled.")
    mine = LegalHold.objects.filter(pk=hold.pk)
    with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
        mine.update(released_at=timezone.now(), released_by=olga)
    changes: list[Callable[[], object]] = [
        lambda: mine.update(placed_by=oscar),
        lambda: HeldConversation.objects.update(conversation=ward.pharmacy),
        lambda: HeldConversation.objects.all()._raw_delete("default"),
        lambda: mine._raw_delete("default"),
    ]
    for change in changes:
        with pytest.raises(ProgrammingError, match="refused"), transaction.atomic():
            change()
    services.release_hold(oscar, hold.pk)
    with pytest.raises(ProgrammingError, match="refused"), transaction.atomic():
        mine.update(released_at=None, released_by=None)


def test_the_database_refuses_a_release_without_its_entry(
    live_db: LiveDatabase, olga: User, oscar: User, alice: User
) -> None:
    hold = place(olga, room(alice))
    services.ask_release(olga, hold.pk, reason="Settled.")
    with pytest.raises(IntegrityError, match="no entry"), transaction.atomic():
        LegalHold.objects.filter(pk=hold.pk).update(released_at=timezone.now(), released_by=oscar)
    assert holds.hold(olga, hold.pk).in_force


def test_no_deletion_that_waited_for_a_hold_slips_past_it(
    live_db: LiveDatabase, olga: User, alice: User
) -> None:
    """The hold is placed but not committed when the deletion begins: it must wait, and see it."""
    talk = room(alice)
    say(alice, talk, "Evidence.")
    begun = threading.Event()
    outcome: list[object] = []

    def destroy() -> None:
        begun.set()
        try:
            outcome.append(destroy_keys(talk.pk))
        except IntegrityError as error:
            outcome.append(error)
        finally:
            connection.close()

    deletion = threading.Thread(target=destroy)
    with transaction.atomic():
        place(olga, talk)
        deletion.start()
        begun.wait()
        _until_somebody_waits_for_a_lock()
    deletion.join()
    assert isinstance(outcome[0], IntegrityError)
    assert DataKey.objects.get(conversation_id=talk.pk).wrapped is not None


def _until_somebody_waits_for_a_lock() -> None:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
            )
            if cursor.fetchone()[0]:
                return


def test_the_owner_too_is_refused_while_a_trigger_s_role_is_set(
    live_db: LiveDatabase, olga: User, alice: User
) -> None:
    talk = room(alice)
    say(alice, talk, "Evidence.")
    place(olga, talk)
    with live_db.acting_as("superuser"), connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        refused(talk.pk)


def test_a_table_of_the_same_name_does_not_hide_a_hold(
    live_db: LiveDatabase, olga: User, alice: User
) -> None:
    talk = room(alice)
    say(alice, talk, "Evidence.")
    place(olga, talk)
    with live_db.acting_as("owner"), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE compliance_legalhold (LIKE compliance_legalhold)")
        refused(talk.pk)
