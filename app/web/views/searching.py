"""Pages of searching: the administrator's switch of the index, and officers' searches."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from app.accounts.models import User
from app.accounts.permissions import Permission
from app.chat.search import switch
from app.chat.search.finding import LATEST, Place
from app.chat.search.words import excerpt
from app.compliance.services.readings import OPEN_FOR
from app.compliance.services.searches import begin_search, search_page
from app.errors import Invalid, NotFound
from app.web.oversight_forms import SearchForm
from app.web.views.holds import names_for
from app.web.views.page import page


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.SETTINGS_MANAGE)
def search_index(request: HttpRequest, user: User) -> HttpResponse:
    """How the index stands, what it gives away, and the switch."""
    if request.method == "POST":
        wanted = request.POST.get("index")
        if wanted not in {"on", "off"}:
            raise Invalid
        switch.switch_index(by=user, on=wanted == "on")
        told = "The index is being built." if wanted == "on" else "The index is being deleted."
        messages.success(request, f"{told} Searching works meanwhile.")
        return HttpResponseRedirect("/search-index")
    return render(request, "web/search_index.html", {"index": switch.progress(user)})


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.CONVERSATIONS_DISCLOSE)
def begin(request: HttpRequest, user: User) -> HttpResponse:
    """An officer says what to look for in all conversations, and why."""
    form = SearchForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            search = begin_search(user, **form.cleaned_data)
        except Invalid as error:
            form.blame(error, "query")
        else:
            return HttpResponseRedirect(f"/officer/search/{search.pk}")
    shown = {"form": form, "minutes": OPEN_FOR.seconds // 60}
    return render(request, "web/officer_search.html", shown, status=400 if form.errors else 200)


@page(requires=Permission.CONVERSATIONS_DISCLOSE)
def found(request: HttpRequest, user: User, search_id: UUID) -> HttpResponse:
    """A page of what was found. Showing it is an entry."""
    try:
        before = Place.parse(request.GET["next"]) if "next" in request.GET else LATEST
    except (ValueError, OverflowError):
        raise NotFound from None
    shown = search_page(user, search_id, before=before)
    names = names_for(user)
    results = [
        {
            "message": message,
            "author": names.person(str(message.author_id)),
            "conversation": names.conversation(message.conversation_id),
            "pieces": excerpt(text, shown.wanted.criteria.phrases),
        }
        for message, text in shown.page.messages
    ]
    context = {"search": shown.search, "results": results, "next": shown.page.next}
    return render(request, "web/officer_search_found.html", context)
