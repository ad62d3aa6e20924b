"""The conversation page: a shell that the browser client fills over REST and the socket."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from app.accounts.models import User
from app.web.views.page import page


@require_safe
@page()
def conversation(
    request: HttpRequest, user: User, conversation_id: UUID | None = None
) -> HttpResponse:
    """The same shell for every conversation: which one, the client reads from the address.

    So a conversation that does not exist looks like one of somebody else's.
    """
    me = {
        "id": str(user.pk),
        "display_name": user.display_name,
        "role": user.role,
        "organization": {"id": str(user.organization_id), "name": user.organization.name},
    }
    return render(request, "web/conversation.html", {"boot": {"me": me}, "user": user})
