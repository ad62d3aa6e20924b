"""Bringing checkpoints to the anchors: each anchor and log by itself, when it is due.

No transaction is open while an anchor is asked: one that had written something would hold back
all sealing. Whoever takes a task moves its time on first, so a worker that dies leaves it to the
next. What is sealed after an anchoring holds the entry of the anchoring itself; that alone is
nothing new to keep, or the log would never rest.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from app.audit import disclosure, models
from app.audit.access import organizations
from app.audit.actions import Action
from app.audit.anchors.anchor import (
    Anchor,
    AnchorDisagrees,
    AnchorFailed,
    Kept,
    NotForThisLog,
    Submission,
)
from app.audit.anchors.configured import MAIL, configured, names
from app.audit.rows import rows, value
from app.audit.services import SYSTEM, Target, record
from app.outside import Service

LEASE = timedelta(minutes=10)
"""A worker that has not come back after this long is taken for dead."""
_LONGEST_WAIT = timedelta(hours=6)
log = structlog.get_logger(__name__)

_SERVICE = Service("anchor", fine=(NotForThisLog,))  # each has its own times, in its row

_CLAIM = """
UPDATE audit_anchor SET next_at = %s WHERE next_at <= %s AND name = ANY(%s) RETURNING id
"""
# Asked and said by whoever is at it now: another worker may have been, and was given up.
_HAS = "SELECT EXISTS (SELECT FROM audit_anchor WHERE told ? %s AND id = %s AND round = %s)"
_NOTE_HAS = """
UPDATE audit_anchor SET told = told || %s::jsonb WHERE id = %s AND round = %s RETURNING id
"""
_SOMETHING_NEW = """
SELECT EXISTS (
    SELECT FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id
    WHERE l.organization_id = %s AND l.index >= %s AND e.action_name <> %s
)
"""


def claim_due() -> list[int]:
    """The ids of what is due now; nobody else is given them until LEASE is over."""
    found, now = names(), datetime.now(UTC)
    if not found:
        return []
    with transaction.atomic():
        _enrol(found, now)
        return [pk for (pk,) in rows(_CLAIM, [now + LEASE, now, found])]


def enrolled(organization: UUID, only: str | None = None) -> list[int]:
    """The ids of the organization's log at every configured anchor, due or not."""
    wanted = [name for name in names() if only in {None, name}]
    with transaction.atomic():
        _enrol(wanted, datetime.now(UTC))
    found = models.Anchor.objects.filter(organization_id=organization, name__in=wanted)
    return list(found.order_by("name").values_list("pk", flat=True))


def _enrol(anchors: Sequence[str], now: datetime) -> None:
    known = set(models.Anchor.objects.values_list("organization_id", "name"))
    models.Anchor.objects.bulk_create(
        [
            models.Anchor(organization_id=organization, name=name, next_at=now)
            for organization in organizations()
            for name in anchors
            if (organization, name) not in known
        ],
        ignore_conflicts=True,
    )


def bring(anchor_id: int, *, although_nothing_is_new: bool = False) -> bool:
    """Bring the log's last checkpoint to its anchor, if there is anything new in it.

    False: it failed; why stands in the anchor's row, in the trail (once), and in the log.
    """
    state = models.Anchor.objects.get(pk=anchor_id)
    anchor = next((each for each in configured() if each.name == state.name), None)
    tree = disclosure.latest_tree(state.organization_id)
    if anchor is None or tree is None:
        return True
    if not (although_nothing_is_new or _is_something_new(state, tree.size)):
        _change(state, next_at=datetime.now(UTC) + anchor.every)
        return True
    submission = _in_rounds(state, tree, anchor.every)
    try:
        with _SERVICE.asked():
            kept = anchor.keep(submission, state.size)
    except NotForThisLog:
        _change(state, next_at=datetime.now(UTC) + anchor.every)
        return True
    except AnchorFailed as error:
        _failed(state, submission, error)
        return False
    _succeeded(state, submission, anchor, kept)
    return True


def _is_something_new(state: models.Anchor, size: int) -> bool:
    if size < state.size:
        return True  # the log has shrunk: the anchor is to say so
    return bool(value(_SOMETHING_NEW, [state.organization_id, state.size, Action.LOG_ANCHORED]))


def _in_rounds(state: models.Anchor, tree: disclosure.SignedTree, every: timedelta) -> Submission:
    """What is brought to an anchor that is several: all get the same, until they have it.

    Some may never take it, such as an address that is gone: then the others get the next one
    when it is due.
    """
    if state.name != MAIL:
        return submission_of(state.organization_id, tree)
    now, begun = datetime.now(UTC), None
    if state.round is not None and state.round_at and now - state.round_at < every:
        begun = disclosure.tree_of(state.organization_id, state.round)
    if begun is None:
        _change(state, round=tree.size, round_at=now, told=[])
    return replace(
        submission_of(state.organization_id, begun or tree),
        has=lambda who: bool(value(_HAS, [who, state.pk, state.round])),
        note_has=lambda who: _note_has(state, who),
    )


def _note_has(state: models.Anchor, who: str) -> None:
    rows(_NOTE_HAS, [json.dumps([who]), state.pk, state.round])


def submission_of(organization: UUID, tree: disclosure.SignedTree) -> Submission:
    """The checkpoint with what an anchor may ask of it."""
    return Submission(
        organization,
        tree.size,
        tree.root,
        tree.note,
        lambda old: disclosure.consistency_proof(organization, old, tree.size),
    )


def _succeeded(state: models.Anchor, submission: Submission, anchor: Anchor, kept: Kept) -> None:
    now = datetime.now(UTC)
    with transaction.atomic():
        if kept.cosigned:
            cosignature = models.Cosignature(
                organization_id=state.organization_id,
                witness=state.name,
                size=submission.size,
                note=kept.cosigned,
                at=now,
            )
            models.Cosignature.objects.bulk_create([cosignature], ignore_conflicts=True)
        _change(
            state,
            size=submission.size,
            kept_at=now,
            next_at=now + anchor.every,
            failures=0,
            failing_since=None,
            problem="",
            disagrees=False,
            warning=kept.warning[:500],
            round=None,
            told=[],
        )
        record(
            Action.LOG_ANCHORED,
            organization=state.organization_id,
            actor=SYSTEM,
            target=Target("anchor", state.name),
            parameters={"size": submission.size, "root": submission.root.hex()},
            after={"warning": kept.warning},
        )


def _failed(state: models.Anchor, submission: Submission, error: AnchorFailed) -> None:
    """Note it, and try again later: after a minute, then two, then four, up to six hours."""
    now, problem = datetime.now(UTC), str(error)[:500]
    alarm = isinstance(error, AnchorDisagrees) and not _was_overtaken(submission, error)
    told = log.critical if alarm else log.warning
    told(
        "anchor_disagrees" if alarm else "anchor_failed",
        organization=str(state.organization_id),
        anchor=state.name,
        size=submission.size,
        reason=problem,
    )
    is_news = not state.failures or (alarm and not state.disagrees)
    wait = min(timedelta(minutes=1) * 2 ** min(state.failures, 10), _LONGEST_WAIT)
    with transaction.atomic():
        _change(
            state,
            failures=state.failures + 1,
            failing_since=state.failing_since or now,
            problem=problem,
            disagrees=alarm,
            next_at=now + wait,
        )
        if is_news:
            record(
                Action.LOG_ANCHOR_FAILED,
                organization=state.organization_id,
                actor=SYSTEM,
                target=Target("anchor", state.name),
                parameters={"size": submission.size, "root": submission.root.hex()},
                after={"problem": problem, "disagrees": alarm},
                outcome="failure",
            )


def _was_overtaken(submission: Submission, error: AnchorDisagrees) -> bool:
    """Whether another process brought a later checkpoint while we brought ours."""
    tree = disclosure.latest_tree(submission.organization)
    return error.size > submission.size and tree is not None and tree.size >= error.size


def _change(state: models.Anchor, **columns: object) -> None:
    for name, new in columns.items():
        setattr(state, name, new)
    state.save(update_fields=list(columns))
