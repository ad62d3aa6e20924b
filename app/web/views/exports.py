"""The officer's pages of exports: ask in two steps, decide, watch, take the package."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from app.accounts import access as accounts
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.audit import access as audit
from app.compliance import access, services
from app.compliance.downloading import file_answer
from app.compliance.models import ExportRequest, Format, State
from app.compliance.program import program
from app.compliance.scope import Scope
from app.errors import Conflict, Denied, Invalid
from app.web.officer_forms import ReasonForm, ScopeForm
from app.web.trail_words import Names
from app.web.views.officer import named, row
from app.web.views.page import page

_FEW = 12


@page(requires=Permission.EXPORTS_READ)
def exports(request: HttpRequest, user: User) -> HttpResponse:
    """What waits for me first, then everything."""
    names = _names(user)
    shown = {
        "waiting": [_summary(asked, names) for asked in access.awaiting(user)],
        "exports": [_summary(asked, names) for asked in access.exports(user)],
    }
    return render(request, "web/exports.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.EXPORTS_REQUEST)
def ask(request: HttpRequest, user: User) -> HttpResponse:
    """First what it should cover, then what will be in it, then the request itself."""
    people, conversations = accounts.people(user), services.conversation_names(user)
    step = request.POST.get("step", "")
    given = request.POST if request.method == "POST" else request.GET
    form = ScopeForm(given or None, people=people, conversations=conversations)
    if step not in {"preview", "request"} or not form.is_valid():
        return _scope_page(request, form, people, conversations)
    key = {"recipient": access.last_recipient(user)}
    reason = ReasonForm(request.POST if step == "request" else None, initial=key)
    if reason.is_valid():
        try:
            asked = services.request_export(user, scope=form.scope(), **reason.cleaned_data)
        except Invalid as error:
            reason.blame(error, "reason")
        else:
            messages.success(request, "Asked for. Another officer must approve it now.")
            return HttpResponseRedirect(f"/exports/{asked.pk}")
    try:
        preview = services.preview_export(user, form.scope())
    except Invalid as error:
        form.blame(error, "until")
        return _scope_page(request, form, people, conversations)
    shown = {
        "form": form,
        "reason": reason,
        "preview": preview,
        "scope": _scope(form.scope(), named(people, conversations)),
    }
    return render(request, "web/export_preview.html", shown, status=400 if reason.errors else 200)


def _scope_page(
    request: HttpRequest,
    form: ScopeForm,
    people: list[User],
    conversations: list[access.NamedConversation],
) -> HttpResponse:
    shown = {"form": form, "people": len(people), "conversations": len(conversations)}
    status = 400 if form.is_bound and form.errors else 200
    return render(request, "web/export_new.html", shown, status=status)


@page(requires=Permission.EXPORTS_READ)
def export(request: HttpRequest, user: User, export_id: UUID) -> HttpResponse:
    """One export: what, who, how far, what came of it."""
    asked = access.export(user, export_id)
    names = _names(user)
    history = access.export_history(user, asked)
    indexes = audit.leaf_indexes([entry.pk for entry in history])
    mine = asked.requester_id == user.pk
    open_ = asked.state == State.REQUESTED
    shown = {
        "export": asked,
        **_summary(asked, names),
        "history": [row(entry, indexes.get(entry.pk), names) for entry in history],
        "may_decide": open_ and not mine,
        "may_withdraw": open_ and mine,
        "again": _again(asked),
        "commands": _commands(asked, access.verifier_key(user)),
        "program_sha256": program().sha256,
        "counts": _counts(asked.counts),
        "formats": [Format(name).label for name in asked.formats],
        "partial": [_item(item, names) for item in asked.partial_items],
    }
    return render(request, "web/export.html", shown)


@require_safe
def verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks packages, for whoever has to, signed in or not."""
    found = program()
    response = HttpResponse(found.text, content_type="text/x-python; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="verify.py"'
    response["Cache-Control"] = "public, max-age=300"
    response["ETag"] = f'"{found.sha256}"'
    response["X-Content-SHA256"] = found.sha256
    return response


@require_POST
@page(requires=Permission.EXPORTS_READ)
def decide(request: HttpRequest, user: User, export_id: UUID, decision: str) -> HttpResponse:
    try:
        if decision == "approve":
            services.approve_export(user, export_id)
            messages.success(request, "Approved. The package is being built.")
        elif decision == "refuse":
            services.refuse_export(user, export_id)
            messages.success(request, "Refused.")
        else:
            services.withdraw_export(user, export_id)
            messages.success(request, "Withdrawn.")
    except (Conflict, Denied) as error:
        messages.error(request, error.message)
    return HttpResponseRedirect(f"/exports/{export_id}")


@require_POST
@page(requires=Permission.EXPORTS_READ)
def download(request: HttpRequest, user: User, export_id: UUID) -> HttpResponse:
    """A POST, so that no browser fetches it ahead of anybody's will: it is recorded."""
    try:
        services.open_download(user, export_id)
    except Conflict as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(f"/exports/{export_id}")
    return HttpResponseRedirect(f"/exports/{export_id}/package")


@require_safe
@page(requires=Permission.EXPORTS_READ)
def package(request: HttpRequest, user: User, export_id: UUID) -> HttpResponse:
    """What was asked for by `download`; a browser that was cut off goes on here."""
    try:
        found = services.go_on_with_download(user, export_id)
    except Conflict as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(f"/exports/{export_id}")
    return cast(HttpResponse, file_answer(request, found))  # it streams; to `page` it is the same


def _names(user: User) -> Names:
    return named(accounts.people(user), services.conversation_names(user))


def _summary(asked: ExportRequest, names: Names) -> dict[str, Any]:
    return {"export": asked, "scope": _scope(access.scope_of(asked), names)}


def _scope(scope: Scope, names: Names) -> dict[str, Any]:
    """The scope in words."""
    where = [names.conversation(item) for item in scope.conversations]
    who = [names.person(str(item)) for item in scope.people]
    return {
        "where": _listed(where) or "Everything, in and outside of conversations",
        "who": _listed(who) or "Everybody",
        "since": scope.since,
        "until": scope.until,
    }


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _again(asked: ExportRequest) -> list[tuple[str, str]]:
    """The fields of a new request like this one."""
    fields = [("conversations", item) for item in asked.conversations]
    fields += [("people", item) for item in asked.people]
    if asked.since:
        fields.append(("since", f"{asked.since:%Y-%m-%d}"))
    if asked.until:
        fields.append(("until", f"{asked.until - timedelta(days=1):%Y-%m-%d}"))
    return fields


def _counts(counts: dict[str, int]) -> list[tuple[str, int]]:
    words = {
        "messages": "Messages sent",
        "versions": "Versions of messages",
        "membership": "Changes of membership",
        "reactions": "Reactions",
        "attachments": "Files",
        "calls": "Events of voice calls",
        "holds": "Legal holds",
        "reads": "Privileged looks",
        "entries": "Entries of the trail",
        "conversations": "Conversations",
        "people": "People",
        "leaves": "Leaves of the log",
        "texts_erased": "Texts erased on purpose",
        "texts_missing": "Texts that could not be opened",
        "files_missing": "Files that could not be put in",
    }
    return [(label, counts[name]) for name, label in words.items() if counts.get(name)]


def _commands(asked: ExportRequest, key: str | None) -> str:
    """What to type to check the package."""
    name = f"parley-export-{asked.pk}.zip"
    opened = [f"age -d -i YOUR-KEY-FILE {name}.age > {name}"] if asked.recipient else []
    return "\n".join([*opened, f"python verify.py {name} --key '{key}'"])


def _item(item: dict[str, Any], names: Names) -> dict[str, Any]:
    """A conversation that is not complete, in words."""
    where = item["conversation"]
    name = names.conversation(UUID(where)) if where else "Outside of conversations"
    return {**item, "name": name}
