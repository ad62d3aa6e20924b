"""The officer's pages for reading conversations that are not theirs: which, why, and the text."""

from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from app.accounts import access as accounts
from app.accounts.models import User
from app.accounts.permissions import Permission, allows
from app.compliance import services
from app.compliance.access.holds import holds_on
from app.compliance.access.readings import DisclosedMessage
from app.compliance.access.told import looks
from app.compliance.disclosed_file import opened_file
from app.compliance.services.readings import OPEN_FOR
from app.errors import Invalid, NotFound
from app.web.oversight_forms import ReadingForm
from app.web.trail_words import Names
from app.web.views.holds import names_for, summary
from app.web.views.officer import number_in
from app.web.views.page import page


@page(requires=Permission.CONVERSATIONS_DISCLOSE)
def conversations(request: HttpRequest, user: User) -> HttpResponse:
    """All conversations, to read, hold or erase."""
    found = services.conversation_list(user)
    return render(request, "web/officer_conversations.html", {"conversations": found})


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.CONVERSATIONS_DISCLOSE)
def conversation(request: HttpRequest, user: User, conversation_id: UUID) -> HttpResponse:
    """What an officer can do with one of them; to read it, they say why."""
    found = next(
        (item for item in services.conversation_list(user) if item.id == conversation_id), None
    )
    if found is None:
        raise NotFound
    form = ReadingForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            reading = services.open_conversation(user, conversation_id, **form.cleaned_data)
        except Invalid as error:
            form.blame(error, "reason")
        else:
            return HttpResponseRedirect(f"/readings/{reading.pk}")
    names = names_for(user)
    shown = {
        "conversation": found,
        "form": form,
        "minutes": OPEN_FOR.seconds // 60,
        "holds": [summary(hold, names) for hold in holds_on(user, conversation_id)],
    }
    status = 400 if form.errors else 200
    return render(request, "web/officer_conversation.html", shown, status=status)


@page(requires=Permission.CONVERSATIONS_DISCLOSE)
def reading(request: HttpRequest, user: User, reading_id: UUID) -> HttpResponse:
    """A page of messages in every version. Showing it is an entry."""
    shown = services.read_page(user, reading_id, before=number_in(request, "before"))
    names = names_for(user)
    people = {person.pk: person for person in accounts.people(user)}
    context = {
        "reading": shown.reading,
        "name": names.conversation(shown.reading.conversation_id),
        "messages_shown": [_message(message, names, people) for message in shown.messages],
        "page": shown,
        "newest": "before" in request.GET,
    }
    return render(request, "web/reading.html", context)


@require_POST
@page(requires=Permission.CONVERSATIONS_DISCLOSE)
def file(request: HttpRequest, user: User, reading_id: UUID, attachment: UUID) -> HttpResponse:
    """A POST, so that no browser fetches it ahead of anybody's will: it is recorded."""
    found = services.open_file(user, reading_id, attachment)
    return cast(HttpResponse, opened_file(request, found))  # it streams; to `page` it is the same


def _message(message: DisclosedMessage, names: Names, people: dict[UUID, User]) -> dict[str, Any]:
    return {
        "message": message,
        "author": names.person(str(message.author)),
        "person": people.get(message.author),
        "versions": [
            {"version": version, "editor": names.person(str(version.editor))}
            for version in message.versions
        ],
    }


@page()
def who_may_read(request: HttpRequest, user: User) -> HttpResponse:
    """For everybody: who can read what they write, and how often officers did."""
    officers = [
        person.display_name
        for person in accounts.people(user)
        if person.is_active and allows(person, Permission.CONVERSATIONS_DISCLOSE)
    ]
    shown = {"numbers": looks(user), "officers": officers}
    return render(request, "web/who_may_read.html", shown)
