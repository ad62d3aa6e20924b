"""The officer's page of the trail: who did what, and whether the log agrees."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from app.accounts import access as accounts
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.audit import access as audit
from app.audit.access import VerificationState
from app.audit.services import Entry
from app.compliance import services
from app.compliance.access import NamedConversation, TrailFilter, TrailPage
from app.errors import NotFound
from app.web.officer_forms import TrailForm
from app.web.trail_words import Names, action_in_words, method_in_words
from app.web.views.page import page

LATE = timedelta(seconds=30)
_BIGGEST_ID = 2**63 - 1


@page(requires=Permission.TRAIL_READ)
def trail(request: HttpRequest, user: User) -> HttpResponse:
    """The table, its filters, the state of the log, and one entry beside it when chosen."""
    people, conversations = accounts.people(user), services.conversation_names(user)
    form = TrailForm(request.GET, people=people, conversations=conversations)
    names = named(people, conversations)
    found = TrailPage([], {}, False)
    valid = form.is_valid()
    if valid:  # an address with a filter that does not exist shows nothing, not everything
        found = services.look_at_trail(user, form.filter(), before_id=number_in(request, "before"))
    kept = _kept(request)
    shown = {
        "form": form,
        "state": state_of_log(user),
        "anchors": audit.anchor_states(user.organization_id),
        "rows": [row(entry, found.indexes.get(entry.pk), names) for entry in found.entries],
        "entry": _chosen(request, user, names),
        "narrowed": valid and form.filter() not in {TrailFilter(), TrailFilter(rows=False)},
        "query": urlencode(kept),
        "older": urlencode([*kept, ("before", found.last_id)]) if found.more else None,
        "newest": "before" in request.GET,
    }
    return render(request, "web/trail.html", shown, status=200 if valid else 400)


def named(people: list[User], conversations: list[NamedConversation]) -> Names:
    return Names(
        {person.pk: person for person in people}, {item.id: item.label for item in conversations}
    )


def number_in(request: HttpRequest, name: str) -> int | None:
    """An id from the address; a wrong one is no page of ours. Raises NotFound."""
    given = request.GET.get(name, "")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and 0 < int(given[:20]) <= _BIGGEST_ID):
        raise NotFound
    return int(given)


def _kept(request: HttpRequest) -> list[tuple[str, str]]:
    """The filters in the address, without place and choice."""
    names = ("who", "what", "where", "since", "until", "target")
    return [(name, request.GET[name]) for name in names if request.GET.get(name)]


@dataclass(frozen=True, slots=True)
class LogState:
    """The state of verification in one word, with what stands behind it."""

    log: VerificationState
    word: str  # good | late | still | unverified | bad

    @property
    def silence(self) -> int | None:
        """Seconds since the last heartbeat."""
        beat = self.log.heartbeat_at
        return None if beat is None else max(0, round((timezone.now() - beat).total_seconds()))

    @property
    def lag(self) -> int | None:
        """Seconds that the oldest entry waits for its leaf."""
        since = self.log.waiting_since
        return None if since is None else max(0, round((timezone.now() - since).total_seconds()))


def state_of_log(user: User) -> LogState:
    log = audit.verification_state(user.organization_id)
    now = timezone.now()
    if log.ok is False:
        word = "bad"
    elif log.waiting_since is not None and now - log.waiting_since > LATE:
        word = "late"
    elif log.stands_still:
        word = "still"
    elif log.ok is None:
        word = "unverified"
    else:
        word = "good"
    return LogState(log, word)


def row(entry: Entry, index: int | None, names: Names) -> dict[str, Any]:
    """One line of the table."""
    body = entry.document
    return {
        "id": entry.pk,
        "at": entry.at,
        "actor": names.actor(body["actor"]),
        "person": names.user(body["actor"]["id"]),
        "role": body["actor"]["role"],
        "words": action_in_words(body["action"]),
        "failed": body["outcome"] != "success",
        "outcome": body["outcome"],
        "action": body["action"],
        "target": names.target(body["target"]),
        "conversation": names.conversation(entry.scope_id),
        "address": body["origin"]["address"],
        "method": method_in_words(body["origin"]["method"]),
        "index": index,
    }


def _chosen(request: HttpRequest, user: User, names: Names) -> dict[str, Any] | None:
    number = number_in(request, "entry")
    if number is None:
        return None
    entry = services.look_at_entry(user, number)
    receipt = audit.receipt(entry.pk)
    body = entry.document
    return row(entry, receipt.index, names) | {
        "body": body,
        "exact": _at(entry.at),
        "states": _states(body),
        "parameters": [(name, _shown(value)) for name, value in body["parameters"].items()],
        "receipt": receipt,
        "leaf": receipt.leaf.decode(),
        "leaf_hash": receipt.leaf_hash.hex(),
        "proof": [node.hex() for node in receipt.proof],
        "source": json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True),
    }


def _at(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="microseconds").removesuffix("+00:00")


def _states(body: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Name, before, after, and whether it changed; content appears as its commitment."""
    before, after = body["before"], body["after"]
    return [
        (
            name,
            _shown(before.get(name)),
            _shown(after.get(name)),
            before.get(name) != after.get(name),
        )
        for name in sorted({*before, *after})
    ]


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
