"""The log handed to a SIEM: sealed entries in the log's own order, none left out, from a cursor.

A cursor moves when the receiver has taken a page: what it is given twice has the same
`metadata.uid`. What is handed over is recorded first, and signed before anything is told.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from app.audit import body as bodies
from app.audit import disclosure, ocsf, signing
from app.audit.actions import Action
from app.audit.models import Feed
from app.audit.rows import rows
from app.audit.services import SYSTEM, Target, record

PAGE = 500
Take = Callable[[Sequence[dict[str, Any]]], None]
"""Hands events to the receiver; returns once it has them, or raises."""

_PAGE = """
SELECT l.index, e.body, e.leaf
FROM audit_leaf l LEFT JOIN audit_entry e ON e.id = l.entry_id
WHERE l.organization_id = %s AND l.index >= %s ORDER BY l.index LIMIT %s
"""


Page = list[tuple[int, dict[str, Any]]]
"""Places in the log, one after the other, and the events there."""


class Gap(RuntimeError):
    """The log lacks an entry that it has signed: the feed stops before it."""


def cursor(name: str, organization: UUID) -> int:
    """The place in the log from which the receiver called `name` has nothing yet."""
    found = Feed.objects.filter(name=name, organization_id=organization).first()
    return found.next_index if found else 0


def feed(name: str, organization: UUID, take: Take, *, start: int | None = None) -> int:
    """Hand over all that is sealed, page by page; returns how many entries.

    From the cursor of `name`, which moves; with `start` from there, and it stays. Raises Gap,
    NotSigned, and what `take` raises.
    """
    at, total = cursor(name, organization) if start is None else start, 0
    for page in _pages(organization, at):
        _note(name, organization, page)
        take([event for _, event in page])
        total += len(page)
        if start is None:
            _move(name, organization, page[-1][0] + 1)
    return total


def _pages(organization: UUID, at: int) -> Iterator[Page]:
    # Not beyond what is there now: each page's own entry would make another one.
    tree = disclosure.latest_tree(organization)
    size = tree.size if tree else 0
    while at < size:
        page = _page(organization, at, min(PAGE, size - at))
        yield page
        at += len(page)


def _page(organization: UUID, at: int, limit: int) -> Page:
    log = f"{settings.CHECKPOINT_ORIGIN}/{organization}"
    page: Page = []
    for index, body, leaf in rows(_PAGE, [organization, at, limit]):
        if index != at + len(page) or body is None:
            break
        raw = bytes(body)
        page.append((index, ocsf.event(bodies.parse(raw), raw, bytes(leaf), index, log=log)))
    if len(page) < limit:
        raise Gap(f"the log of {organization} lacks entry {at + len(page)}")
    return page


def _move(name: str, organization: UUID, to: int) -> None:
    Feed.objects.get_or_create(name=name, organization_id=organization)
    # Never back: of two that run at the same time the slower one ends last.
    Feed.objects.filter(name=name, organization_id=organization, next_index__lt=to).update(
        next_index=to
    )


def _note(name: str, organization: UUID, page: Page) -> None:
    """Record it, unless it is nothing but records of this: they would never end."""
    codes = {event["metadata"]["event_code"] for _, event in page}
    if codes == {Action.TRAIL_FED.value}:
        return
    with signing.signed(), transaction.atomic():
        record(
            Action.TRAIL_FED,
            organization=organization,
            actor=SYSTEM,
            target=Target("feed", name),
            parameters={"first": page[0][0], "last": page[-1][0]},
        )
