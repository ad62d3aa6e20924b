"""What everybody in a call has to be told, and the organization's policy that is one reason for it.

Parley itself records no sound: the policy says what the organization does by other means.
"""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.context import Actor
from app.audit.services import Target, record
from app.voice import access
from app.voice.models import Call, CallPolicy
from app.voice.services.entries import Act
from app.voice.services.writing import Writer, lock


@transaction.atomic
def set_policy(*, by: User, recording: bool, monitoring: bool) -> CallPolicy:
    """Say whether calls are recorded or monitored; who is in one is told at once. Raises Denied.

    The same again changes nothing.
    """
    require(by, Permission.SETTINGS_MANAGE)
    CallPolicy.objects.bulk_create(
        [CallPolicy(pk=by.organization_id, changed_at=timezone.now())], ignore_conflicts=True
    )
    policy = CallPolicy.objects.select_for_update().get(pk=by.organization_id)
    before = {"recording": policy.recording, "monitoring": policy.monitoring}
    after = {"recording": recording, "monitoring": monitoring}
    if before == after:
        return policy
    policy.recording, policy.monitoring, policy.changed_at = recording, monitoring, timezone.now()
    policy.save()
    record(
        Action.ORGANIZATION_CALL_POLICY_CHANGED,
        organization=by.organization_id,
        actor=by.actor,
        target=Target("organization", str(by.organization_id)),
        before=before,
        after=after,
    )
    announce(by.organization_id, by.actor)
    return policy


@transaction.atomic
def announce(organization: UUID, actor: Actor) -> None:
    """Tell everybody in calls of the organization what `actor` changed, where something did."""
    on = Call.objects.filter(conversation__organization=organization, ended_at=None)
    conversations = list(on.values_list("conversation_id", flat=True))
    lock(conversations)
    act, calls = Act(organization, actor), access.calls_on(conversations)
    notices = access.notices_of(dict.fromkeys(calls, organization))
    writer = Writer(calls=calls, notices=notices)
    for conversation in sorted(calls):
        writer.tell(act, conversation)
    writer.write()
