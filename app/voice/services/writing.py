"""Turns the changes of rooms into rows, events and entries of the trail: all or nothing."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from msgspec import Struct

from app import metrics
from app.audit.actions import Action
from app.audit.leaves import timestamp
from app.audit.services import Record, record_many
from app.realtime import services as realtime
from app.realtime.access import Place as Position
from app.realtime.log import ensure_streams
from app.realtime.protocol import Notice, VoiceNotice
from app.realtime.services import user_stream, voice_stream
from app.voice import access, leases, rooms, sfu
from app.voice.models import Call, Connection
from app.voice.rooms import Change, Limits, Place
from app.voice.services import entries, following
from app.voice.services.entries import Act
from app.voice.services.stays import Stays


def limits() -> Limits:
    """How large a room may be here: beyond a mesh only where there is an SFU."""
    mesh = settings.VOICE_MESH_CAPACITY
    if sfu.configured() is None:
        return Limits(mesh)
    return Limits(settings.VOICE_SFU_CAPACITY, offer=mesh - 1, force=mesh + 1)


def lock(conversations: Collection[UUID], *, person: UUID | None = None) -> dict[str, Position]:
    """Let nobody else change these rooms, nor append to the person's stream, until the commit;
    returns where the streams stand.

    The rows of the streams are the locks: whatever changes a room emits into its stream.
    """
    names = [voice_stream(conversation) for conversation in conversations]
    if person is not None:
        names.append(user_stream(person))
    ensure_streams(names)
    return realtime.lock(names)


def write(act: Act, changes: Sequence[Change]) -> None:
    """Inside a transaction, after `lock`."""
    writer = Writer()
    writer.note(act, changes)
    writer.write()


@dataclass
class Writer:
    """Notes what happens in rooms, in its order, and writes all of it in few statements.

    Inside a transaction, after `lock`. A batch hands in what it has read for all rooms at once;
    what is missing is asked for when it is needed.
    """

    calls: dict[UUID, Call] = field(default_factory=dict)
    """Those that are on, by conversation, as they are after what was noted."""
    notices: Mapping[UUID, list[Notice]] = field(default_factory=dict)
    connections: Mapping[UUID, Sequence[Connection]] | None = None
    """By participant, of everybody who may be made to leave."""
    events: dict[str, list[Struct]] = field(default_factory=lambda: defaultdict(list))
    """What streams are about to tell."""
    _stays: Stays = field(default_factory=Stays)
    _begun: list[Call] = field(default_factory=list)
    _changed: dict[UUID, Call] = field(default_factory=dict)
    _records: list[Record] = field(default_factory=list)

    def note(self, act: Act, changes: Sequence[Change]) -> None:
        for change in changes:
            self._note(act, change)

    def write(self) -> None:
        """Once, at the end."""
        self._stays.write_changed()
        if self._changed:
            fields = ["ended_at", "notice", "media", "sfu_at"]
            Call.objects.bulk_update(self._changed.values(), fields)
        Call.objects.bulk_create(self._begun)
        self._stays.write_begun()
        record_many(self._records)
        if self.events:
            realtime.emit_many(self.events)
        # Still under the lock: no renewal finds a lease of somebody who is gone.
        leases.drop(self._stays.gone())

    def _note(self, act: Act, change: Change) -> None:
        match change:
            case rooms.Opened(conversation):
                self._open(act, conversation)
            case rooms.Closed(conversation):
                self._altered(conversation).ended_at = act.at
                self._record_call(act, Action.CALL_ENDED, conversation)
                del self.calls[conversation]
            case rooms.Joined(place):
                self._stays.begin(place, self._call(place.conversation), act.at)
                self._record(act, Action.CALL_JOINED, place, after=entries.announced(place))
                self.tell(act, place.conversation)
            case rooms.Resumed(place):
                self._stays.change(place)
                self._record(act, Action.CALL_RESUMED, place, after=entries.announced(place))
            case rooms.Left(place, reason, by):
                self._stays.end(place, act.at, reason, by)
                self._end(act, place, reason, by)
            case rooms.Changed(before, place):
                self._change(act, before, place)
            case rooms.Summoned(place, conversation):
                self._record(act, Action.CALL_MOVED, place, parameters={"to": str(conversation)})
            case rooms.HandedOver() if not self._hand_over(act, change):
                return
        self._emit(act, change)

    def _open(self, act: Act, conversation: UUID) -> None:
        told = self._notice(act, conversation)
        call = Call(conversation_id=conversation, started_at=act.at, notice=told)
        self.calls[conversation] = call
        self._begun.append(call)
        self._record_call(act, Action.CALL_STARTED, conversation, parameters={"notice": told})

    def _end(self, act: Act, place: Place, reason: str, by: UUID | None) -> None:
        if reason == "kicked":
            self._record(act, Action.CALL_KICKED, place)
        outcome = entries.outcome(reason, by, self._connections(place.pid))
        self._record(act, Action.CALL_LEFT, place, parameters=outcome)
        following.tidy_afterwards(self._call(place.conversation))
        transaction.on_commit(partial(metrics.VOICE_LEAVES.add, reason), robust=True)

    def _hand_over(self, act: Act, change: rooms.HandedOver) -> bool:
        """Note where media goes from now on; False where it goes there already."""
        media = following.media_after(to_sfu=change.to_sfu, force=change.force)
        before = self._call(change.conversation).media
        if media == before:
            return False
        call = self._altered(change.conversation)
        call.media, call.sfu_at = media, call.sfu_at or act.at
        states = {"before": {"media": before}, "after": {"media": str(media)}}
        self._record_call(act, Action.CALL_HANDED_OVER, change.conversation, **states)
        following.tidy_afterwards(call)
        return True

    def tell(self, act: Act, conversation: UUID) -> None:
        """Tell the room, where it has to hear something else than it heard last."""
        before, notice = self._call(conversation).notice, self._notice(act, conversation)
        if before == notice:
            return
        self._altered(conversation).notice = notice
        states = {"before": {"notice": before}, "after": {"notice": notice}}
        self._record_call(act, Action.CALL_TOLD, conversation, **states)
        self.events[voice_stream(conversation)].append(VoiceNotice(notice))

    def _change(self, act: Act, before: Place, place: Place) -> None:
        self._stays.change(place)
        if place.muted != before.muted:
            action = Action.CALL_MUTED if place.muted else Action.CALL_UNMUTED
            self._record(act, action, place)
            if place.muted_by:
                following.silence_afterwards(self._call(place.conversation), place.pid)
        if (place.screen, place.video) != (before.screen, before.video):
            sent = {"screen": place.screen, "video": place.video}
            self._record(act, Action.CALL_SHARED, place, after=sent)

    # What is known, or asked for.

    def _call(self, conversation: UUID) -> Call:
        """The call that is on; its room is locked, so nobody else changes, ends or begins one."""
        if conversation not in self.calls:
            self.calls |= access.calls_on([conversation])
        return self.calls[conversation]

    def _altered(self, conversation: UUID) -> Call:
        """The same, to be changed."""
        call = self._call(conversation)
        if call._state.adding:
            return call  # one that begins is written as it is at the end
        return self._changed.setdefault(call.pk, call)

    def _notice(self, act: Act, conversation: UUID) -> list[Notice]:
        known = self.notices.get(conversation)
        return access.notices(act.organization, conversation) if known is None else known

    def _connections(self, pid: UUID) -> Sequence[Connection]:
        if self.connections is None:
            return access.connections([pid]).get(pid, [])
        return self.connections.get(pid, [])

    # What is told.

    def _emit(self, act: Act, change: Change) -> None:
        conversation = rooms.conversation_of(change)
        call = self._call(conversation).pk if isinstance(change, rooms.Joined) else UUID(int=0)
        event = rooms.event(change, call=call, at=timestamp(act.at))
        if event is None:
            return
        if isinstance(change, rooms.Summoned):
            self.events[user_stream(change.place.user)].append(event)
        else:
            self.events[voice_stream(conversation)].append(event)

    def _record(self, act: Act, action: Action, place: Place, **more: Any) -> None:
        call = self._call(place.conversation)
        self._records.append(entries.of_place(act, action, place, call, **more))

    def _record_call(self, act: Act, action: Action, conversation: UUID, **more: Any) -> None:
        self._records.append(entries.of_call(act, action, self._call(conversation), **more))
