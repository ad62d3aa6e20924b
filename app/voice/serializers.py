"""What the REST API of voice gives."""

from typing import Any

import msgspec
from rest_framework import serializers

from app.accounts.rest import StrictSerializer
from app.audit.leaves import timestamp
from app.chat.serializers import PositionOut
from app.voice import rooms
from app.voice.access import RoomView
from app.voice.models import Call, CallPolicy, Participant
from app.voice.services.writing import limits


class PolicyIn(StrictSerializer):
    """What the organization does by means of its own: Parley records no sound."""

    recording = serializers.BooleanField()
    monitoring = serializers.BooleanField()


class PolicyOut(serializers.Serializer[CallPolicy]):
    recording = serializers.BooleanField()
    monitoring = serializers.BooleanField()


class ParticipantOut(serializers.Serializer[Any]):
    pid = serializers.UUIDField()
    gen = serializers.IntegerField()
    user = serializers.UUIDField()
    device = serializers.UUIDField()
    at = serializers.CharField()
    muted = serializers.BooleanField()
    muted_by = serializers.UUIDField(allow_null=True)
    screen = serializers.BooleanField()
    video = serializers.BooleanField()
    key = serializers.CharField()
    fingerprint = serializers.CharField()
    signature = serializers.CharField()


class RoomOut(serializers.Serializer[Any]):
    """Who is in the room, at `position` of its stream `voice:<conversation>`."""

    call = serializers.UUIDField(allow_null=True)
    participants = ParticipantOut(many=True)
    position = PositionOut()
    capacity = serializers.IntegerField()
    host = serializers.BooleanField()
    notice = serializers.ListField(child=serializers.CharField())

    def to_representation(self, view: RoomView) -> dict[str, Any]:
        return {
            "call": str(view.on.pk) if view.on else None,
            "participants": [msgspec.to_builtins(rooms.participant(one)) for one in view.places],
            "position": view.position._asdict(),
            "capacity": limits().capacity,
            "host": view.host,
            "notice": view.notice,
        }


class StayOut(serializers.Serializer[Any]):
    pid = serializers.UUIDField()
    user = serializers.UUIDField()
    joined_at = serializers.CharField()
    left_at = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    by = serializers.UUIDField(allow_null=True, help_text="Who else made them leave.")

    def to_representation(self, row: Participant) -> dict[str, Any]:
        return {
            "pid": str(row.pid),
            "user": str(row.user_id),
            "joined_at": timestamp(row.joined_at),
            "left_at": timestamp(row.left_at) if row.left_at else None,
            "reason": row.reason or None,
            "by": str(row.by_id) if row.by_id else None,
        }


class CallOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    started_at = serializers.CharField()
    ended_at = serializers.CharField(allow_null=True)
    participants = StayOut(many=True)

    def to_representation(self, call: Call) -> dict[str, Any]:
        stays = sorted(call.participants.all(), key=lambda row: (row.joined_at, row.pid))
        return {
            "id": str(call.pk),
            "started_at": timestamp(call.started_at),
            "ended_at": timestamp(call.ended_at) if call.ended_at else None,
            "participants": StayOut(stays, many=True).data,
        }


class CallsOut(serializers.Serializer[Any]):
    calls = CallOut(many=True)
