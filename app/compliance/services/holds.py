"""Placing legal holds and releasing them: one officer asks for the release, another agrees.

What is held is decided by the database (`parley_is_held`); a hold is in force when its
transaction commits, for every deletion that has not committed before.
"""

from collections.abc import Collection
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.services import Entry, Target, record
from app.compliance import access
from app.compliance.models import HeldConversation, HeldPerson, LegalHold
from app.compliance.services.reasons import LONGEST_MATTER, LONGEST_REASON, stated
from app.encryption.fields import seal_now
from app.errors import Conflict, Denied, Invalid, NotFound
from app.voice.services import announce

MOST_HELD = 500


@transaction.atomic
def place_hold(
    officer: User,
    *,
    conversations: Collection[UUID] = (),
    people: Collection[UUID] = (),
    matter: str,
    reason: str,
) -> LegalHold:
    """Hold these conversations, and all that these people were ever in. Raises Denied, Invalid."""
    require(officer, Permission.HOLDS_MANAGE)
    _check(officer, conversations, people)
    hold = LegalHold(
        pk=uuid4(),
        organization=officer.organization,
        matter=stated(matter, "matter", LONGEST_MATTER),
        reason=stated(reason, "reason", LONGEST_REASON),
        placed_by=officer,
    )
    entry = _record(
        Action.HOLD_PLACED,
        officer,
        hold,
        parameters={
            "conversations": sorted(str(item) for item in set(conversations)),
            "people": sorted(str(item) for item in set(people)),
        },
        after={
            "matter": seal_now(hold, "matter").commitment.hex(),
            "reason": seal_now(hold, "reason").commitment.hex(),
        },
    )
    hold.place_entry = entry.pk
    hold.save(force_insert=True)
    HeldConversation.objects.bulk_create(
        [HeldConversation(hold=hold, conversation_id=item) for item in sorted(set(conversations))]
    )
    HeldPerson.objects.bulk_create(
        [HeldPerson(hold=hold, person_id=item) for item in sorted(set(people))]
    )
    announce(officer.organization_id, officer.actor)
    return hold


@transaction.atomic
def ask_release(officer: User, hold_id: UUID, *, reason: str) -> LegalHold:
    """Ask to release a hold; it stays in force. Raises NotFound, Invalid, Conflict."""
    require(officer, Permission.HOLDS_MANAGE)
    hold = _in_force(officer, hold_id)
    if hold.release_is_asked:
        raise Conflict("Somebody has asked for this release already.")
    hold.release_reason = stated(reason, "reason", LONGEST_REASON)
    hold.release_asked_by = officer
    hold.release_asked_at = timezone.now()
    _record(
        Action.HOLD_RELEASE_REQUESTED,
        officer,
        hold,
        after={"reason": seal_now(hold, "release_reason").commitment.hex()},
    )
    hold.save(update_fields=["release_reason", "release_asked_by", "release_asked_at"])
    return hold


@transaction.atomic
def keep_hold(officer: User, hold_id: UUID) -> LegalHold:
    """Refuse the release that was asked for, or take one's own request back."""
    require(officer, Permission.HOLDS_MANAGE)
    hold = _asked(officer, hold_id)
    _record(
        Action.HOLD_RELEASE_REFUSED,
        officer,
        hold,
        parameters={"requester": str(hold.release_asked_by_id)},
    )
    hold.release_asked_at = None
    hold.save(update_fields=["release_asked_at"])
    return hold


@transaction.atomic
def release_hold(officer: User, hold_id: UUID) -> LegalHold:
    """Agree to the release that another officer asked for. Raises Denied, Conflict."""
    require(officer, Permission.HOLDS_MANAGE)
    hold = _asked(officer, hold_id)
    if hold.release_asked_by_id == officer.pk:
        raise Denied("Another officer must agree to the release that you asked for.")
    _record(
        Action.HOLD_RELEASED,
        officer,
        hold,
        parameters={"requester": str(hold.release_asked_by_id)},
    )
    hold.released_by = officer
    hold.released_at = timezone.now()
    hold.save(update_fields=["released_by", "released_at"])
    announce(officer.organization_id, officer.actor)
    return hold


def _check(officer: User, conversations: Collection[UUID], people: Collection[UUID]) -> None:
    problems: dict[str, list[str]] = {}
    for name, ids in (("conversations", conversations), ("people", people)):
        if len(ids) > MOST_HELD:
            problems[name] = [f"Choose at most {MOST_HELD}; place another hold for the others."]
    if not conversations and not people:
        problems["conversations"] = ["Choose a conversation or a person."]
    if access.unknown_conversations(officer, conversations):
        problems["conversations"] = ["One of these conversations does not exist."]
    if access.unknown_people(officer, people):
        problems["people"] = ["One of these people does not exist."]
    if problems:
        raise Invalid(fields=problems)


def _in_force(officer: User, hold_id: UUID) -> LegalHold:
    found = (
        LegalHold.objects.select_for_update(of=("self",))
        .filter(organization=officer.organization_id, pk=hold_id)
        .first()
    )
    if found is None:
        raise NotFound
    if not found.in_force:
        raise Conflict("This hold was released already.")
    return found


def _asked(officer: User, hold_id: UUID) -> LegalHold:
    found = _in_force(officer, hold_id)
    if not found.release_is_asked:
        raise Conflict("Nobody asks for this release any more.")
    return found


def _record(action: Action, officer: User, hold: LegalHold, **more: object) -> Entry:
    return record(
        action,
        organization=officer.organization_id,
        actor=officer.actor,
        target=Target("hold", str(hold.pk)),
        **more,  # type: ignore[arg-type]
    )
