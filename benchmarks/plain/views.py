"""Sends a message: a member of the room, one transaction, and an entry of django-auditlog's."""

import json
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from benchmarks.plain.models import Message, Room


def send(request: HttpRequest, room: int) -> HttpResponse:
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    asked = json.loads(request.body)
    with transaction.atomic():
        found = get_object_or_404(Room, pk=room, members=request.user)
        message = Message.objects.create(  # type: ignore[attr-defined]  # see models
            id=UUID(asked["id"]), room=found, author=request.user, body=asked["body"]
        )
    return JsonResponse({"id": str(message.pk), "at": message.at.isoformat()}, status=201)


urlpatterns = [path("rooms/<int:room>/messages", send)]
