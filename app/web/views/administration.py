"""The administrator's pages: people and invitations. Each action says first what it does."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from app.accounts import access, services
from app.accounts.models import Invitation, Role, User
from app.accounts.permissions import Permission
from app.errors import Conflict, Denied, Invalid
from app.web.english import with_article
from app.web.forms import InvitationForm, RoleForm
from app.web.views.page import page

ROLES = [
    (Role.MEMBER, "Reads and writes in the conversations that they belong to."),
    (
        Role.OFFICER,
        "A member who also reads the trail, and asks for and approves exports. "
        "Cannot manage people.",
    ),
    (
        Role.ADMINISTRATOR,
        "A member who also manages people and invitations. "
        "Cannot read conversations that they are not in, nor export.",
    ),
]


@page(requires=Permission.PEOPLE_MANAGE)
def people(request: HttpRequest, user: User, person_id: UUID | None = None) -> HttpResponse:
    """Everybody; with an id, what may be done about that person beside it."""
    person = access.person(user, person_id) if person_id else None
    everybody = access.people(user)
    shown = {
        "people": everybody,
        "active": sum(one.is_active for one in everybody),
        "person": person,
        "is_me": person == user,
        "roles": ROLES,
    }
    return render(request, "web/people.html", shown)


@require_POST
@page(requires=Permission.PEOPLE_MANAGE)
def change_role(request: HttpRequest, user: User, person_id: UUID) -> HttpResponse:
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise Invalid
    role = Role(form.cleaned_data["role"])
    return _changed(request, user, person_id, role=role)


@require_POST
@page(requires=Permission.PEOPLE_MANAGE)
def disable(request: HttpRequest, user: User, person_id: UUID) -> HttpResponse:
    return _changed(request, user, person_id, active=False)


@require_POST
@page(requires=Permission.PEOPLE_MANAGE)
def enable(request: HttpRequest, user: User, person_id: UUID) -> HttpResponse:
    return _changed(request, user, person_id, active=True)


def _changed(request: HttpRequest, user: User, person_id: UUID, **change: Any) -> HttpResponse:
    try:
        person = services.change_person(by=user, person_id=person_id, **change)
    except (Conflict, Denied) as error:
        messages.error(request, error.message)
    else:
        state = with_article(person.role) if person.is_active else "disabled"
        messages.success(request, f"{person.display_name} is now {state}.")
    return HttpResponseRedirect(f"/people/{person_id}")


@require_http_methods(["GET", "HEAD", "POST"])
@page(requires=Permission.INVITATIONS_MANAGE)
def invitations(request: HttpRequest, user: User) -> HttpResponse:
    """The list, and a form for a new one.

    A new link is in the answer to the form itself: sending the browser to another page would
    mean keeping the code somewhere until it arrives there.
    """
    form = InvitationForm(request.POST if request.method == "POST" else None)
    made: dict[str, Any] = {}
    if form.is_valid():
        made, form = _invite(request, user, form), InvitationForm()
    shown = {
        "form": form,
        "roles": ROLES,
        "invitations": [_state(one) for one in access.invitations(user)],
        **made,
    }
    status = 201 if made else 400 if form.is_bound else 200
    return render(request, "web/invitations.html", shown, status=status)


def _invite(request: HttpRequest, user: User, form: InvitationForm) -> dict[str, Any]:
    given = form.cleaned_data
    invitation, code = services.invite(
        by=user,
        role=Role(given["role"]),
        uses=given["uses"],
        lifetime=given["lifetime"],
        label=given["label"] or None,
    )
    return {"new": invitation, "link": request.build_absolute_uri(f"/invitation/{code}")}


@require_POST
@page(requires=Permission.INVITATIONS_MANAGE)
def revoke_invitation(request: HttpRequest, user: User, invitation_id: UUID) -> HttpResponse:
    services.revoke_invitation(by=user, invitation_id=invitation_id)
    messages.success(request, "The invitation was withdrawn: its link opens nothing any more.")
    return HttpResponseRedirect("/invitations")


def _state(invitation: Invitation) -> dict[str, Any]:
    if invitation.revoked_at is not None:
        state = "withdrawn"
    elif invitation.uses_left == 0:
        state = "used up"
    elif invitation.expires_at <= timezone.now():
        state = "expired"
    else:
        state = "open"
    return {"invitation": invitation, "state": state}
