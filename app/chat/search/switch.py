"""Turning an organization's index on and off, and the job that builds or clears it.

Small batches, each a transaction of its own: killed at any moment, the job goes on where it
was. Searching works all the while (see `finding`): what is not indexed yet is opened.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from celery import current_app
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.services import Target, record
from app.chat.models import Conversation, Message
from app.chat.search.indexing import index_again
from app.chat.search.models import IndexState, SearchIndex, SearchTokens

WORK = "chat.work_on_search_indexes"
log = structlog.get_logger(__name__)
BATCH = 500  # messages
WAITS = 100  # tenths of a second
_UNDER_WAY = (IndexState.BUILDING, IndexState.CLEARING)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of an organization's index; `done` of `total` messages while it changes."""

    state: IndexState
    done: int = 0
    total: int = 0

    @property
    def on(self) -> bool:
        return self.state in {IndexState.COMPLETE, IndexState.BUILDING}


def progress(user: User) -> Progress:
    """How the index of the user's organization stands (administrators)."""
    require(user, Permission.SETTINGS_MANAGE)
    index = SearchIndex.objects.filter(pk=user.organization_id).first()
    if index is None:
        return Progress(IndexState.COMPLETE)
    return Progress(IndexState(index.state), index.done, index.total)


@transaction.atomic
def switch_index(*, by: User, on: bool) -> None:
    """Keep blind words of messages, or delete them and keep none. Raises Denied.

    Building or clearing is left to `work_on_indexes`. Doing so again changes nothing.
    """
    require(by, Permission.SETTINGS_MANAGE)
    now = timezone.now()
    SearchIndex.objects.bulk_create(
        [SearchIndex(pk=by.organization_id, state=IndexState.COMPLETE, changed_at=now)],
        ignore_conflicts=True,
    )
    index = SearchIndex.objects.select_for_update().get(pk=by.organization_id)
    was = index.state in {IndexState.COMPLETE, IndexState.BUILDING}
    if was == on:
        return
    index.state = IndexState.BUILDING if on else IndexState.CLEARING
    index.reached_at = index.reached_id = None
    index.total, index.done = _messages(by.organization_id).count(), 0
    index.changed_at = now
    index.save()
    record(
        Action.ORGANIZATION_CHANGED,
        organization=by.organization_id,
        actor=by.actor,
        target=Target("organization", str(by.organization_id)),
        before={"search_index": was},
        after={"search_index": on},
    )
    transaction.on_commit(_begin_now)


def _begin_now() -> None:
    try:
        current_app.send_task(WORK)
    except OperationalError:  # the schedule begins within a minute
        log.warning("search_index_waits_for_its_schedule")


def work_on_indexes(*, batches: int | None = None) -> None:
    """Build and clear what waits for it, in at most so many batches for each organization."""
    waiting = SearchIndex.objects.filter(state__in=_UNDER_WAY).order_by("changed_at")
    for index in list(waiting):
        if index.done == 0 and not _everybody_knows():
            continue
        done = 0
        while (batches is None or done < batches) and _work_on(index.pk):
            done += 1


def _work_on(organization: UUID) -> bool:
    """One batch. False when nothing is left to do, or another worker does it."""
    with transaction.atomic():
        index = (
            SearchIndex.objects.select_for_update(skip_locked=True)
            .filter(pk=organization, state__in=_UNDER_WAY)
            .first()
        )
        if index is None:
            return False
        number = _build(index) if index.state == IndexState.BUILDING else _clear(index)
        index.done += number
        if number < BATCH:
            building = index.state == IndexState.BUILDING
            index.state = IndexState.COMPLETE if building else IndexState.OFF
            index.reached_at = index.reached_id = None
            index.total = index.done
        index.save()
        return number == BATCH


def _build(index: SearchIndex) -> int:
    """Index the next messages, the latest first; returns how many there were."""
    rows = list(
        _messages(index.pk)
        .filter(_before(index.reached_at, index.reached_id))
        .order_by("-created_at", "-pk")
        .values_list("created_at", "pk")[:BATCH]
    )
    index_again([pk for _, pk in rows])
    if rows:
        index.reached_at, index.reached_id = rows[-1]
    return len(rows)


def _before(at: datetime | None, pk: UUID | None) -> Q:
    return Q() if at is None else Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk)


def _clear(index: SearchIndex) -> int:
    conversations = Conversation.objects.filter(organization=index.pk).values("pk")
    some = SearchTokens.objects.filter(conversation_id__in=conversations).values("pk")[:BATCH]
    return SearchTokens.objects.filter(pk__in=list(some.values_list("pk", flat=True))).delete()[0]


def _everybody_knows() -> bool:
    """Wait, for some seconds, until every transaction is over that may have read the switch
    before it was turned: a sender reads it after its first write, and so has its number by now.
    """
    with connection.cursor() as cursor:
        # A number of our own: all that were given before are less. A snapshot's xmax will not
        # do, it is what follows the last that *ended*, and who has a later number is not waited
        # for (PostgreSQL, "Transaction ID and Snapshot Information Functions").
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (ours,) = cursor.fetchone()
        for _ in range(WAITS):
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            (oldest,) = cursor.fetchone()
            if oldest >= ours:
                return True
            time.sleep(0.1)
    return False


def _messages(organization: UUID) -> QuerySet[Message]:
    return Message.objects.filter(conversation__organization=organization, deleted_at=None)
