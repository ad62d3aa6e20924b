"""Reads of officers' searches: the officer first, loading authorises."""

from dataclasses import dataclass
from datetime import UTC
from uuid import UUID

from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.chat.search.access import Page, Wanted, search_in, understood
from app.chat.search.finding import LATEST, Place
from app.chat.search.query import parse
from app.compliance import access
from app.compliance.models import OfficerSearch
from app.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What one page of a search shows, and what was looked for."""

    search: OfficerSearch
    wanted: Wanted
    page: Page


def wanted(officer: User, query: str) -> Wanted:
    """The query with its names looked up in the whole organization; days are days of UTC.

    Raises Denied, Invalid.
    """
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    return understood(
        officer,
        parse(query),
        UTC,
        lambda: ((item.id, item.label) for item in access.named_conversations(officer)),
    )


def search(officer: User, search_id: UUID) -> OfficerSearch:
    """One of the officer's own. Raises NotFound, and Conflict when its time is over."""
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    found = OfficerSearch.objects.filter(officer=officer, pk=search_id).first()
    if found is None:
        raise NotFound
    if found.closes_at <= timezone.now():
        raise Conflict("This search is over: begin another, and say why.")
    return found


def page(officer: User, search_id: UUID, *, before: Place = LATEST) -> SearchPage:
    """Use `services.search_page`, which records what it shows."""
    found = search(officer, search_id)
    looked_for = wanted(officer, found.query)
    everywhere = {item.id for item in access.named_conversations(officer)}
    conversations = looked_for.conversations or everywhere
    result = search_in(officer.organization_id, conversations, looked_for.criteria, before=before)
    return SearchPage(found, looked_for, result)
