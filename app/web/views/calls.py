"""The officer's pages of calls: who talked with whom, when, how well, and who was put out."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from app.accounts import access as accounts
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.audit.actions import Action
from app.audit.services import Entry
from app.compliance import services
from app.compliance.access.calls import CallFilter, CallPage
from app.errors import NotFound
from app.voice import access as rooms
from app.voice import services as voice
from app.voice.models import Call, Connection, Participant
from app.web.officer_forms import CallsForm
from app.web.trail_words import Names, action_in_words
from app.web.views.holds import names_for
from app.web.views.officer import named
from app.web.views.page import page

_REASONS = {
    "": "is there now",
    "left": "left by themselves",
    "timeout": "was not heard of any more",
    "kicked": "put out",
    "moved": "went on to another call",
    "replaced": "joined again with the same device",
    "revoked": "could not stay: no member any more, or signed out",
    "room_closed": "the room was closed",
    "sfu_handover": "the call went on through a server",
}
_PATHS = {"relay": "relayed", "host": "direct", "srflx": "direct", "prflx": "direct"}


@page(requires=Permission.TRAIL_READ)
def calls(request: HttpRequest, user: User) -> HttpResponse:
    """Calls with who took part. Showing them is an entry."""
    people, conversations = accounts.people(user), services.conversation_names(user)
    form = CallsForm(request.GET, people=people, conversations=conversations)
    names, valid, found = named(people, conversations), form.is_valid(), CallPage([], False)
    if valid:  # an address with a filter that does not exist shows nothing, not everything
        found = services.look_at_calls(user, form.filter(), before=_id_in(request, "before"))
    kept = [(name, request.GET[name]) for name in CallsForm.base_fields if request.GET.get(name)]
    shown = {
        "form": form,
        "rows": [_row(call, names) for call in found.calls],
        "narrowed": valid and form.filter() != CallFilter(),
        "query": urlencode(kept),
        "older": urlencode([*kept, ("before", str(found.last))]) if found.more else None,
        "newest": "before" in request.GET,
    }
    return render(request, "web/calls.html", shown, status=200 if valid else 400)


@page(requires=Permission.TRAIL_READ)
def call(request: HttpRequest, user: User, call_id: UUID) -> HttpResponse:
    """One call: who was there from when to when, and what happened. Showing it is an entry."""
    found = services.look_at_call(user, call_id)
    names = names_for(user)
    stays = list(found.call.participants.all())
    of_place = {str(stay.pid): names.person(str(stay.user_id)) for stay in stays}
    shown = {
        **_row(found.call, names),
        "stays": [_stay(stay, names, of_place) for stay in stays],
        "events": [_event(entry, names, of_place) for entry in found.events],
    }
    return render(request, "web/call.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.SETTINGS_MANAGE)
def policy(request: HttpRequest, user: User) -> HttpResponse:
    """What the organization does with calls: everybody in one is told."""
    if request.method == "POST":
        chosen = {name: name in request.POST for name in ("recording", "monitoring")}
        voice.set_policy(by=user, **chosen)
        messages.success(request, "Saved. Whoever is in a call has been told.")
        return HttpResponseRedirect("/call-policy")
    return render(request, "web/call_policy.html", {"policy": rooms.policy(user)})


def _id_in(request: HttpRequest, name: str) -> UUID | None:
    try:
        return UUID(request.GET[name]) if request.GET.get(name) else None
    except ValueError:
        raise NotFound from None


def _row(call: Call, names: Names) -> dict[str, Any]:
    stays = list(call.participants.all())
    found = [connection for stay in stays for connection in stay.connections.all()]
    people = dict.fromkeys(names.person(str(stay.user_id)) for stay in stays)
    return {
        "call": call,
        "where": names.conversation(call.conversation_id),
        "people": list(people),
        "seconds": _seconds(call.started_at, call.ended_at),
        "put_out": sum(stay.reason == "kicked" for stay in stays),
        "relayed": any(connection.candidate == "relay" for connection in found),
        "worst_loss": _percent(connection.loss_worst for connection in found),
    }


def _stay(stay: Participant, names: Names, of_place: dict[str, str]) -> dict[str, Any]:
    return {
        "stay": stay,
        "person": names.person(str(stay.user_id)),
        "seconds": _seconds(stay.joined_at, stay.left_at),
        "why": _REASONS.get(stay.reason, stay.reason),
        "by": names.person(str(stay.by_id)) if stay.by_id else "",
        "connections": [_connection(row, of_place) for row in stay.connections.all()],
    }


def _connection(row: Connection, of_place: dict[str, str]) -> dict[str, Any]:
    """Percent and milliseconds, as people read them."""
    reports = max(1, row.reports)
    return {
        "peer": of_place.get(str(row.peer), "somebody"),
        "path": _PATHS[row.candidate],
        "loss": _percent([row.loss_sum // reports]),
        "worst_loss": _percent([row.loss_worst]),
        "jitter": round(row.jitter_sum / reports / 1000),
        "rtt": round(row.rtt_sum / reports / 1000),
    }


def _event(entry: Entry, names: Names, of_place: dict[str, str]) -> dict[str, Any]:
    body = entry.document
    target = body["target"]
    whose = of_place.get(target["id"], "") if target["type"] == "participant" else ""
    actor, words = names.actor(body["actor"]), action_in_words(body["action"])
    if body["action"] == Action.CALL_LEFT:  # its actor may be who put them out
        reason = body["parameters"]["reason"]
        actor = whose
        words = "left the call" if reason == "left" else f"left the call: {_REASONS[reason]}"
    told = "" if whose == actor else whose
    return {"id": entry.pk, "at": entry.at, "actor": actor, "words": words, "whose": told}


def _seconds(start: datetime, end: datetime | None) -> int:
    return max(0, round(((end or timezone.now()) - start) / timedelta(seconds=1)))


def _percent(parts_per_million: Iterable[int]) -> str | None:
    """The largest, such as "0.2 %"; None where there is none."""
    worst = max(parts_per_million, default=None)
    return None if worst is None else f"{worst / 10_000:.1f} %"
