"""An officer searches conversations that are not theirs: with a reason, each page on record.

What is looked for is sealed, and in the trail as a commitment: an entry must not say what
somebody may have written. The filters beside it are in the clear: they are what ran.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.leaves import timestamp
from app.audit.services import Target, record
from app.chat.search.access import Wanted
from app.chat.search.finding import LATEST, Place
from app.compliance.access import searches
from app.compliance.access.searches import SearchPage
from app.compliance.models import OfficerSearch
from app.compliance.services.readings import OPEN_FOR
from app.compliance.services.reasons import LONGEST_MATTER, LONGEST_REASON, stated
from app.encryption.fields import seal_now
from app.errors import Invalid


@transaction.atomic
def begin_search(officer: User, *, query: str, matter: str, reason: str) -> OfficerSearch:
    """Say what to look for and why; nothing is shown yet. Raises Denied, Invalid."""
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    found = searches.wanted(officer, query)
    if not query.strip() or found == Wanted(type(found.criteria)()):
        raise Invalid(fields={"query": ["Say what to look for."]})
    search = OfficerSearch(
        pk=uuid4(),
        organization=officer.organization,
        officer=officer,
        query=query.strip(),
        matter=stated(matter, "matter", LONGEST_MATTER),
        reason=stated(reason, "reason", LONGEST_REASON),
        closes_at=timezone.now() + OPEN_FOR,
    )
    search.save(force_insert=True)
    return search


@transaction.atomic
def search_page(officer: User, search_id: UUID, *, before: Place = LATEST) -> SearchPage:
    """A page of what was found, recorded with the filter that ran and what it shows.

    Raises Denied, NotFound, Conflict (its time is over), Unavailable.
    """
    shown = searches.page(officer, search_id, before=before)
    search = shown.search
    record(
        Action.SEARCH_PERFORMED,
        organization=officer.organization_id,
        actor=officer.actor,
        target=Target("search", str(search.pk), str(officer.organization_id)),
        after={
            "query": seal_now(search, "query").commitment.hex(),
            "matter": seal_now(search, "matter").commitment.hex(),
            "reason": seal_now(search, "reason").commitment.hex(),
        },
        parameters={
            "filter": _filter(shown.wanted),
            "messages": [str(message.pk) for message, _ in shown.page.messages],
            "complete": shown.page.next is None,
        },
    )
    return shown


def _filter(wanted: Wanted) -> dict[str, Any]:
    """What narrows, but for the words: of those, how many phrases there are."""
    criteria = wanted.criteria
    shown = {
        "phrases": len(criteria.phrases),
        "people": _ids(criteria.authors),
        "conversations": _ids(wanted.conversations),
        "since": _moment(criteria.since),
        "until": _moment(criteria.until),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _ids(ids: frozenset[UUID] | None) -> list[str] | None:
    return None if ids is None else sorted(map(str, ids))


def _moment(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)
