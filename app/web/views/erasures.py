"""The officer's pages of erasures: choose, see what would go, ask, decide."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from app.accounts.models import User
from app.accounts.permissions import Permission
from app.compliance import services
from app.compliance.access import erasures as erasure_reads
from app.compliance.models import Erasure, ErasureState
from app.errors import Conflict, Denied, Invalid
from app.web.oversight_forms import ErasureForm, ErasureReasonForm
from app.web.trail_words import Names
from app.web.views.holds import history_rows, names_for, summary
from app.web.views.page import page


@page(requires=Permission.ERASURES_MANAGE)
def erasures(request: HttpRequest, user: User) -> HttpResponse:
    """What waits for me first, then everything."""
    names = names_for(user)
    found = [_summary(erasure, names) for erasure in erasure_reads.erasures(user)]
    waiting = [
        item
        for item in found
        if item["erasure"].state == ErasureState.REQUESTED and item["erasure"].requester != user
    ]
    return render(request, "web/erasures.html", {"erasures": found, "waiting": waiting})


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.ERASURES_MANAGE)
def ask(request: HttpRequest, user: User) -> HttpResponse:
    """First what, then how much that is and that it is for good, then the request itself."""
    step = request.POST.get("step", "")
    form = ErasureForm(
        request.POST if request.method == "POST" else None,
        initial={"conversation": request.GET.get("conversation", "")},
        conversations=services.conversation_names(user),
    )
    reason = ErasureReasonForm(request.POST if step == "request" else None)
    if step not in {"preview", "request"} or not form.is_valid():
        return _choose(request, form)
    conversation = UUID(form.cleaned_data["conversation"])
    first, last = form.months()
    try:
        if reason.is_valid():
            asked = services.request_erasure(
                user, conversation, first=first, last=last, reason=reason.cleaned_data["reason"]
            )
            messages.success(request, "Asked for. Another officer must approve it now.")
            return HttpResponseRedirect(f"/erasures/{asked.pk}")
        found = services.preview_erasure(user, conversation, first=first, last=last)
    except Conflict as error:
        form.add_error("conversation", error.message)
        return _choose(request, form)
    except Invalid as error:
        if "reason" not in error.fields:
            form.blame(error, "last")
            return _choose(request, form)
        reason.blame(error, "reason")
        found = services.preview_erasure(user, conversation, first=first, last=last)
    names = names_for(user)
    shown = {
        "form": form,
        "reason": reason,
        "found": found,
        "name": names.conversation(conversation),
        "holds": [summary(hold, names) for hold in found.holds],
    }
    return render(request, "web/erasure_preview.html", shown, status=400 if reason.errors else 200)


@page(requires=Permission.ERASURES_MANAGE)
def erasure(request: HttpRequest, user: User, erasure_id: UUID) -> HttpResponse:
    """One erasure: what, who, why, what came of it."""
    asked = erasure_reads.erasure(user, erasure_id)
    names = names_for(user)
    open_ = asked.state == ErasureState.REQUESTED
    found = None
    if open_:
        found = services.preview_erasure(
            user, asked.conversation_id, first=asked.first_month, last=asked.last_month
        )
    shown = {
        **_summary(asked, names),
        "found": found,
        "holds": [summary(hold, names) for hold in found.holds] if found else [],
        "may_decide": open_ and asked.requester != user,
        "may_withdraw": open_ and asked.requester == user,
        "history": history_rows(user, "erasure", erasure_id, names),
    }
    return render(request, "web/erasure.html", shown)


@require_POST
@page(requires=Permission.ERASURES_MANAGE)
def decide(request: HttpRequest, user: User, erasure_id: UUID, decision: str) -> HttpResponse:
    steps = {
        "approve": (services.approve_erasure, "Approved. It is being erased."),
        "refuse": (services.refuse_erasure, "Refused. Nothing is erased."),
        "withdraw": (services.withdraw_erasure, "Withdrawn. Nothing is erased."),
    }
    step, words = steps[decision]
    try:
        step(user, erasure_id)
        messages.success(request, words)
    except (Conflict, Denied) as error:
        messages.error(request, error.message)
    return HttpResponseRedirect(f"/erasures/{erasure_id}")


def _choose(request: HttpRequest, form: ErasureForm) -> HttpResponse:
    status = 400 if form.is_bound and form.errors else 200
    return render(request, "web/erasure_new.html", {"form": form}, status=status)


def _summary(erasure: Erasure, names: Names) -> dict[str, Any]:
    return {"erasure": erasure, "name": names.conversation(erasure.conversation_id)}
