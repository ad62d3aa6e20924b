"""The officer's pages of legal holds: place one, ask for its release, agree or keep it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from app.accounts import access as accounts
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.audit import access as audit
from app.compliance import services
from app.compliance.access import holds as hold_reads
from app.compliance.access.told import history as told_history
from app.compliance.models import LegalHold
from app.errors import Conflict, Denied, Invalid
from app.web.oversight_forms import HoldForm, ReleaseForm
from app.web.trail_words import Names
from app.web.views.officer import named, row
from app.web.views.page import page


@page(requires=Permission.HOLDS_MANAGE)
def holds(request: HttpRequest, user: User) -> HttpResponse:
    names = names_for(user)
    found = [summary(hold, names) for hold in hold_reads.holds(user)]
    asked = [
        item
        for item in found
        if item["hold"].release_is_asked and item["hold"].release_asked_by != user
    ]
    return render(request, "web/holds.html", {"holds": found, "waiting": asked})


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.HOLDS_MANAGE)
def place(request: HttpRequest, user: User) -> HttpResponse:
    people, conversations = accounts.people(user), services.conversation_names(user)
    form = HoldForm(
        request.POST if request.method == "POST" else None,
        initial={"conversations": request.GET.getlist("conversation")},
        people=people,
        conversations=conversations,
    )
    if form.is_valid():
        try:
            hold = services.place_hold(user, **form.chosen())
        except Invalid as error:
            form.blame(error, "reason")
        else:
            messages.success(request, "The hold is in force.")
            return HttpResponseRedirect(f"/holds/{hold.pk}")
    status = 400 if form.errors else 200
    return render(request, "web/hold_new.html", {"form": form}, status=status)


@page(requires=Permission.HOLDS_MANAGE)
def hold(request: HttpRequest, user: User, hold_id: UUID) -> HttpResponse:
    return _page(request, user, hold_id, ReleaseForm())


@require_POST
@page(requires=Permission.HOLDS_MANAGE)
def ask_release(request: HttpRequest, user: User, hold_id: UUID) -> HttpResponse:
    form = ReleaseForm(request.POST)
    if form.is_valid():
        try:
            services.ask_release(user, hold_id, reason=form.cleaned_data["reason"])
            messages.success(request, "Asked for. The hold stays until another officer agrees.")
            return HttpResponseRedirect(f"/holds/{hold_id}")
        except Invalid as error:
            form.blame(error, "reason")
        except Conflict as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(f"/holds/{hold_id}")
    return _page(request, user, hold_id, form, status=400)


@require_POST
@page(requires=Permission.HOLDS_MANAGE)
def decide(request: HttpRequest, user: User, hold_id: UUID, decision: str) -> HttpResponse:
    try:
        if decision == "release":
            services.release_hold(user, hold_id)
            messages.success(request, "Released.")
        else:
            services.keep_hold(user, hold_id)
            messages.success(request, "The hold stays in force.")
    except (Conflict, Denied) as error:
        messages.error(request, error.message)
    return HttpResponseRedirect(f"/holds/{hold_id}")


def names_for(user: User) -> Names:
    return named(accounts.people(user), services.conversation_names(user))


def summary(hold: LegalHold, names: Names) -> dict[str, Any]:
    """A hold with the names of what it covers."""
    return {
        "hold": hold,
        "where": [
            names.conversation(item.conversation_id) for item in hold.held_conversations.all()
        ],
        "who": [names.person(str(item.person_id)) for item in hold.held_people.all()],
    }


def _page(
    request: HttpRequest, user: User, hold_id: UUID, form: ReleaseForm, *, status: int = 200
) -> HttpResponse:
    found = hold_reads.hold(user, hold_id)
    names = names_for(user)
    shown = {
        **summary(found, names),
        "form": form,
        "mine": found.release_asked_by == user,
        "history": history_rows(user, "hold", hold_id, names),
    }
    return render(request, "web/hold.html", shown, status=status)


def history_rows(user: User, kind: str, target: UUID, names: Names) -> list[dict[str, Any]]:
    """What the trail says about one thing, as lines."""
    history = told_history(user, kind, target)
    indexes = audit.leaf_indexes([entry.pk for entry in history])
    return [row(entry, indexes.get(entry.pk), names) for entry in history]
