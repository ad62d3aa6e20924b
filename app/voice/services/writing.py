"""Turns the changes of a room into rows, events and entries of the trail: all or nothing."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from app.audit.actions import Action
from app.audit.context import Actor
from app.audit.leaves import timestamp
from app.audit.services import Target, record
from app.realtime import services as realtime
from app.realtime.log import ensure_streams
from app.realtime.protocol import VoiceNotice
from app.realtime.services import user_stream, voice_stream
from app.voice import access, leases, rooms, sfu
from app.voice.models import Call, Connection, Participant
from app.voice.rooms import Change, Identity, Limits, Place
from app.voice.services import following


def limits() -> Limits:
    """How large a room may be here: beyond a mesh only where there is an SFU."""
    mesh = settings.VOICE_MESH_CAPACITY
    if sfu.configured() is None:
        return Limits(mesh)
    return Limits(settings.VOICE_SFU_CAPACITY, offer=mesh - 1, force=mesh + 1)


def lock(conversations: Collection[UUID], *, person: UUID | None = None) -> None:
    """Let nobody else change these rooms, nor append to the person's stream, until the commit.

    The rows of the streams are the locks: whatever changes a room emits into its stream.
    """
    names = [voice_stream(conversation) for conversation in conversations]
    if person is not None:
        names.append(user_stream(person))
    ensure_streams(names)
    realtime.lock(names)


@dataclass
class Writer:
    """Writes changes in the rooms of one organization, made by `actor`, at `at`."""

    organization: UUID
    actor: Actor
    at: datetime = field(default_factory=timezone.now)
    _calls: dict[UUID, Call] = field(default_factory=dict)
    _gone: list[UUID] = field(default_factory=list)

    def write(self, changes: Sequence[Change]) -> None:
        """Inside a transaction, after `lock`."""
        for change in changes:
            self._write(change)
        # Still under the lock: no renewal finds a lease of somebody who is gone.
        leases.drop(self._gone)

    def _write(self, change: Change) -> None:
        match change:
            case rooms.Opened(conversation):
                told = access.notices(self.organization, conversation)
                call = Call.objects.create(
                    conversation_id=conversation, started_at=self.at, notice=told
                )
                self._record_call(
                    Action.CALL_STARTED, call.pk, conversation, parameters={"notice": told}
                )
            case rooms.Closed(conversation):
                call = self._call(conversation)
                Call.objects.filter(pk=call.pk).update(ended_at=self.at)
                self._record_call(Action.CALL_ENDED, call.pk, conversation)
                del self._calls[conversation]
            case rooms.Joined(place):
                self._insert(place)
                self._record(Action.CALL_JOINED, place, after=_announced(place))
                self.tell(place.conversation)
            case rooms.Resumed(place):
                given = {"fingerprint": place.identity.fingerprint}
                self._update(place, gen=place.gen, signature=place.identity.signature, **given)
                self._record(Action.CALL_RESUMED, place, after=_announced(place))
            case rooms.Left(place, reason, by):
                self._update(place, left_at=self.at, reason=reason, by=by)
                self._gone.append(place.pid)
                if reason == "kicked":
                    self._record(Action.CALL_KICKED, place)
                self._record(Action.CALL_LEFT, place, parameters=_outcome(place, reason, by))
                following.tidy_afterwards(self._call(place.conversation))
            case rooms.Changed(before, place):
                self._change(before, place)
            case rooms.Summoned(place, conversation):
                self._record(Action.CALL_MOVED, place, parameters={"to": str(conversation)})
            case rooms.HandedOver() if not self._hand_over(change):
                return
        self._emit(change)

    def _hand_over(self, change: rooms.HandedOver) -> bool:
        """Note where media goes from now on; False where it goes there already."""
        call = self._call(change.conversation)
        media = following.media_after(to_sfu=change.to_sfu, force=change.force)
        if media == call.media:
            return False
        before, call.media, call.sfu_at = call.media, media, call.sfu_at or self.at
        call.save(update_fields=["media", "sfu_at"])
        states = {"before": {"media": before}, "after": {"media": str(media)}}
        self._record_call(Action.CALL_HANDED_OVER, call.pk, change.conversation, **states)
        following.tidy_afterwards(call)
        return True

    def tell(self, conversation: UUID) -> None:
        """Tell the room, where it has to hear something else than it heard last."""
        call = self._call(conversation)
        notice = access.notices(self.organization, conversation)
        if call.notice == notice:
            return
        before, call.notice = call.notice, notice
        call.save(update_fields=["notice"])
        states = {"before": {"notice": before}, "after": {"notice": notice}}
        self._record_call(Action.CALL_TOLD, call.pk, conversation, **states)
        realtime.emit(voice_stream(conversation), VoiceNotice(notice))

    def _call(self, conversation: UUID) -> Call:
        """The call that is on; its room is locked, so nobody else changes, ends or begins one."""
        if conversation not in self._calls:
            found = Call.objects.get(conversation=conversation, ended_at=None)
            self._calls[conversation] = found
        return self._calls[conversation]

    def _insert(self, place: Place) -> None:
        Participant.objects.create(
            pid=place.pid,
            call=self._call(place.conversation),
            conversation_id=place.conversation,
            user_id=place.user,
            device=place.device,
            joined_at=self.at,
            muted=place.muted,
            key=place.identity.key,
            fingerprint=place.identity.fingerprint,
            signature=place.identity.signature,
        )

    def _update(self, place: Place, **values: Any) -> None:
        Participant.objects.filter(pid=place.pid).update(**values)

    def _change(self, before: Place, place: Place) -> None:
        sent = {"screen": place.screen, "video": place.video}
        self._update(place, muted=place.muted, muted_by=place.muted_by, **sent)
        if place.muted != before.muted:
            action = Action.CALL_MUTED if place.muted else Action.CALL_UNMUTED
            self._record(action, place)
            if place.muted_by:
                following.silence_afterwards(self._call(place.conversation), place.pid)
        if (place.screen, place.video) != (before.screen, before.video):
            self._record(Action.CALL_SHARED, place, after=sent)

    def _emit(self, change: Change) -> None:
        conversation = _where(change)
        event = rooms.event(change, call=self._call_of(change), at=timestamp(self.at))
        if event is None:
            return
        if isinstance(change, rooms.Summoned):
            realtime.emit(user_stream(change.place.user), event)
        else:
            realtime.emit(voice_stream(conversation), event)

    def _call_of(self, change: Change) -> UUID:
        return self._call(_where(change)).pk if isinstance(change, rooms.Joined) else UUID(int=0)

    def _record(self, action: Action, place: Place, **more: Any) -> None:
        """An entry about a participant; their call stands with it as what they belong to."""
        record(
            action,
            organization=self.organization,
            actor=self.actor,
            target=Target("participant", str(place.pid), str(self._call(place.conversation).pk)),
            scope=place.conversation,
            **{
                **more,
                "parameters": {
                    "user": str(place.user),
                    "device": str(place.device),
                    "gen": place.gen,
                    **more.get("parameters", {}),
                },
            },
        )

    def _record_call(self, action: Action, call: UUID, conversation: UUID, **more: Any) -> None:
        record(
            action,
            organization=self.organization,
            actor=self.actor,
            target=Target("call", str(call), str(conversation)),
            scope=conversation,
            **more,
        )


def _where(change: Change) -> UUID:
    match change:
        case rooms.Opened(where) | rooms.Closed(where) | rooms.HandedOver(conversation=where):
            return where
        case _:
            return change.place.conversation


def _announced(place: Place) -> dict[str, Any]:
    return {"muted": place.muted, "identity": identity_hash(place.identity)}


def identity_hash(identity: Identity) -> str:
    """SHA-256, in hex, of what a device announced: key, fingerprint, signature, a line each."""
    lines = (identity.key, identity.fingerprint, identity.signature)
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _outcome(place: Place, reason: str, by: UUID | None) -> dict[str, Any]:
    found = Connection.objects.filter(participant=place.pid).order_by("peer")
    return {
        "reason": reason,
        "by": str(by) if by else None,
        "connections": [quality(row) for row in found],
    }


def quality(row: Connection) -> dict[str, Any]:
    """How a connection was: loss in parts per million, times in microseconds."""
    return {
        "peer": str(row.peer),
        "candidate": row.candidate,
        "reports": row.reports,
        "loss_ppm": _figures(row, "loss"),
        "jitter_us": _figures(row, "jitter"),
        "rtt_us": _figures(row, "rtt"),
    }


def _figures(row: Connection, name: str) -> dict[str, int]:
    return {
        "last": getattr(row, f"{name}_last"),
        "worst": getattr(row, f"{name}_worst"),
        "mean": getattr(row, f"{name}_sum") // max(1, row.reports),
    }
