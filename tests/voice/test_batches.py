"""Joins and resumptions in batches: what comes together has the outcome of one after the other."""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import redis
from django.conf import settings as configured
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.accounts.models import User
from app.audit.context import Origin
from app.audit.models import Entry
from app.chat.models import Conversation
from app.errors import DomainError, NotFound, RoomFull, StaleGeneration
from app.realtime.models import StreamEvent
from app.realtime.protocol import VoicePlace
from app.voice import access, leases, services
from app.voice.lifetimes import Holder
from app.voice.models import Call, Participant
from app.voice.rooms import Identity
from app.voice.services import taking, writing
from app.voice.services.claims import Claim, Joining, Resuming
from tests.chat.talk import room
from tests.voice.room import KEY, SIGNATURE, Device, fingerprint, reasons, row
from tests.voice.test_races import together

pytestmark = pytest.mark.usefixtures("lease_server")
EXAMPLES = int(os.environ.get("VOICE_BATCHES", "30"))


def joining(device: Device, conversation: Conversation, pid: UUID | None = None) -> Joining:
    return Joining.of(device.user, device.session, device.joining(conversation, pid))


def taken(*claims: Claim) -> list[Any]:
    """Of each its place, or the kind of its refusal."""
    outcomes = services.take_places(claims)
    return [type(one) if isinstance(one, DomainError) else one for one in outcomes]


def pids(place: VoicePlace) -> list[str]:
    return [one.pid for one in place.participants]


def held() -> dict[str, list[str]]:
    """Each lease's generation, user and session."""
    with redis.Redis.from_url(configured.REDIS_URL) as client:
        found: Any = client.hgetall(leases.LEASES)
    parts = {pid.decode(): value.decode().split("|") for pid, value in found.items()}
    return {pid: [gen, user, session] for pid, (gen, _, user, session) in parts.items()}


# What a batch is.


@pytest.mark.django_db
def test_each_hears_where_the_room_stood_after_their_own_joining(alice: User, bob: User) -> None:
    ward, other = room(alice, bob), room(alice, bob, name="other")
    first, second, third = taken(
        joining(Device(alice), ward), joining(Device(bob), other), joining(Device(bob), ward)
    )
    assert (pids(first), first.o) == ([first.pid], 1)
    assert (pids(second), second.o) == ([second.pid], 1)
    assert (pids(third), third.o) == ([first.pid, third.pid], 2)
    assert third.call == first.call != second.call


@pytest.mark.django_db
def test_one_that_is_refused_fails_alone(
    alice: User, bob: User, mallory: User, settings: Any
) -> None:
    settings.VOICE_MESH_CAPACITY = 2
    ward, phone = room(alice, bob), Device(alice)
    place = phone.join(ward)
    stale = Resuming.of(alice, "", phone.resuming(place, 7))
    unknown = Resuming.of(bob, "", phone.resuming(place, 2))
    outcomes = taken(
        joining(Device(mallory), ward),
        stale,
        unknown,
        joining(Device(bob), ward),
        joining(Device(bob), ward),
        Resuming.of(alice, "", phone.resuming(place, 2)),
    )
    assert outcomes[:3] == [NotFound, StaleGeneration, NotFound]
    assert outcomes[4] is RoomFull
    assert pids(outcomes[3]) == pids(outcomes[5]) == [place.pid, outcomes[3].pid]
    assert [one.gen for one in outcomes[5].participants] == [2, 1]


@pytest.mark.django_db
def test_the_same_device_several_times_in_one_batch_has_the_last_place(alice: User) -> None:
    ward, other, phone = room(alice), room(alice, name="other"), Device(alice, session="one")
    pid = uuid4()
    first, again, second, third = taken(
        joining(phone, ward, pid),
        joining(phone, ward, pid),
        joining(phone, ward),
        joining(phone, other),
    )
    assert msgspec.to_builtins(first) == msgspec.to_builtins(again)
    assert [row(one).reason for one in (first, second, third)] == ["replaced", "moved", ""]
    assert (pids(second), pids(third)) == ([second.pid], [third.pid])
    assert reasons(ward) == ["replaced", "moved"]
    assert Call.objects.get(pk=first.call).ended_at is not None
    assert held() == {third.pid: ["1", str(alice.pk), "one"]}


@pytest.mark.django_db
def test_a_batch_takes_as_many_statements_however_large_it_is(alice: User, bob: User) -> None:
    def batch(name: str, size: int) -> tuple[int, int]:
        """How many statements some joins take, and then as many resumptions."""
        wards = [room(alice, bob, name=f"{name}-{number}") for number in range(size)]
        claims = [joining(Device(who), ward) for ward in wards for who in (alice, bob)]
        with CaptureQueriesContext(connection) as joins:
            places = services.take_places(claims)
        again = [
            Resuming.of(claim.user, "", Device(claim.user).resuming(place, 2))
            for claim, place in zip(claims, places, strict=True)
            if isinstance(place, VoicePlace)
        ]
        with CaptureQueriesContext(connection) as resumptions:
            services.take_places(again)
        assert Participant.objects.filter(gen=2).count() % (2 * size) in {0, 2}
        return len(joins), len(resumptions)

    assert batch("few", 1) == batch("many", 8)


# Two batches at once, of two instances.


@pytest.mark.usefixtures("live_db")
def test_batches_of_two_instances_neither_wait_in_a_circle_nor_seat_a_device_twice(
    alice: User, bob: User
) -> None:
    people = [Device(who) for who in (alice, bob) for _ in range(3)]
    for attempt in range(3):
        # Rooms that nobody was in: their streams are made by whoever comes first.
        wards = [room(alice, bob, name=f"{attempt}-{number}") for number in range(6)]
        there = [joining(one, ward) for one, ward in zip(people, wards, strict=True)]
        back = [joining(one, ward) for one, ward in zip(people, wards[::-1], strict=True)]
        ways = [there, back[::-1], there[::-1]]
        outcomes = together(*[partial(services.take_places, claims) for claims in ways])
        assert all(isinstance(one, VoicePlace | DomainError) for each in outcomes for one in each)
        living = Participant.objects.filter(left_at=None)
        assert sorted(living.values_list("device", flat=True)) == sorted(one.id for one in people)
        assert set(held()) == {str(pid) for pid in living.values_list("pid", flat=True)}
        with_a_call = Call.objects.filter(ended_at=None).values_list("conversation", flat=True)
        assert set(with_a_call) == set(living.values_list("conversation", flat=True))


@pytest.mark.usefixtures("live_db")
@pytest.mark.parametrize("what", ["streams", "participants"])
def test_a_batch_locks_in_one_order(alice: User, what: str) -> None:
    """It waits for the first of its rows, and has none of those behind it meanwhile."""
    phones = [Device(alice) for _ in range(4)]
    wards = [room(alice, name=str(number)) for number in range(4)]
    claims = [joining(phone, ward) for phone, ward in zip(phones, wards, strict=True)]
    places = taken(*claims)
    if what == "streams":
        names = sorted(place.s for place in places)
        ask = "SELECT 1 FROM realtime_stream WHERE name = %s FOR UPDATE"
    else:
        names = sorted(place.pid for place in places)
        ask = "SELECT 1 FROM voice_participant WHERE pid = %s FOR NO KEY UPDATE"
    for gen, way in ((2, 1), (3, -1)):
        back = [
            Resuming.of(alice, "", phone.resuming(place, gen))
            for phone, place in zip(phones, places, strict=True)
        ][::way]
        thread = threading.Thread(target=together, args=[partial(services.take_places, back)])
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(ask, [names[0]])
            thread.start()
            wait_until_somebody_waits()
            for name in names[1:]:
                cursor.execute(f"{ask} NOWAIT", [name])
        thread.join()
    assert Participant.objects.filter(gen=3).count() == 4


def wait_until_somebody_waits() -> None:
    """For a lock, in this database."""
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            time.sleep(0.02)
    raise AssertionError("nobody waited")


@pytest.mark.usefixtures("live_db")
def test_a_device_that_moved_before_we_had_the_locks_is_found_where_it_is(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward, other, phone = room(alice), room(alice, name="other"), Device(alice)
    right, moved = access.stays_kept, list[VoicePlace]()

    def stays_kept(pairs: Any) -> Any:
        """As another instance would at this moment: the batch has seen no place yet."""
        monkeypatch.setattr(access, "stays_kept", right)
        moved.extend(place for (place,) in together(lambda: taken(joining(phone, other))))
        return right(pairs)

    locked: list[set[UUID]] = []

    def lock(conversations: Any) -> Any:
        locked.append(set(conversations))
        return writing.lock(conversations)

    monkeypatch.setattr(taking, "lock", lock)
    monkeypatch.setattr(access, "stays_kept", stays_kept)
    (place,) = taken(joining(phone, ward))
    assert (row(moved[0]).reason, row(place).reason) == ("moved", "")
    assert Call.objects.get(pk=moved[0].call).ended_at is not None
    assert locked[-1] == {ward.pk, other.pk}, "left a room that was not locked"


@pytest.mark.django_db
def test_each_entry_says_where_its_own_change_came_from(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    claims = [
        Joining.of(who, name, Device(who).joining(ward), Origin(session=name, method="socket"))
        for who, name in ((alice, "hers"), (bob, "his"))
    ]
    taken(*claims)
    found = Entry.objects.filter(action_name__startswith="call:").order_by("pk")
    said = [(one.action_name, one.document["origin"]["session"], one.actor_id) for one in found]
    assert said == [
        ("call:started", "hers", alice.pk),
        ("call:joined", "hers", alice.pk),
        ("call:joined", "his", bob.pk),
    ]


@pytest.mark.usefixtures("live_db")
def test_who_renews_locks_in_the_order_of_a_batch_that_brings_everybody_back(
    alice: User, bob: User
) -> None:
    wards = [room(alice, bob, name=str(number)) for number in range(4)]
    devices = [Device(who) for ward in wards for who in (alice, bob)]
    claims = [joining(one, wards[at // 2]) for at, one in enumerate(devices)]
    places = sorted(taken(*claims), key=lambda place: place.pid)
    owners = {str(claim.pid): claim.user for claim in claims}
    for gen in range(2, 5):
        back = [
            Resuming.of(owners[place.pid], "", Device(alice).resuming(place, gen))
            for place in places
        ]
        with redis.Redis.from_url(configured.REDIS_URL) as client:
            client.delete(leases.LEASES)  # so renewals are decided under locks
        holders = [Holder(one.pid, gen - 1, one.user.pk) for one in back]
        outcomes, _, _ = together(
            partial(services.take_places, back[::-1]),
            partial(services.renew_many, holders),
            partial(services.renew_many, holders[::-1]),
        )
        assert [one.gen for one in outcomes] == [gen] * len(back)


# The same as one by one.


def number(kind: int, of: int) -> UUID:
    return UUID(int=(kind << 64) + of)


@dataclass(frozen=True)
class Wish:
    """Member `who`, from the device of that number, joins as `pid` or comes back to it."""

    who: int
    device: int
    where: int
    pid: int
    gen: int
    """0 to join."""
    variant: int = 0

    def claim(self, people: Sequence[User], wards: Sequence[Conversation], at: int) -> Claim:
        pid, user = number(5, self.pid), people[self.who]
        origin = Origin(session=f"session-{at}", method="socket")
        identity = Identity(KEY, fingerprint((self.pid, self.gen, self.variant)), SIGNATURE)
        common: Any = {"user": user, "session": origin.session, "pid": pid, "origin": origin}
        if self.gen:
            return Resuming(**common, gen=self.gen, identity=identity)
        ward, device = wards[self.where].pk, number(3, self.device)
        return Joining(
            **common, identity=identity, conversation=ward, device=device, muted=bool(self.variant)
        )


wish = st.builds(
    Wish,
    who=st.integers(0, 2),
    device=st.integers(0, 1),
    where=st.integers(0, 1),
    pid=st.integers(0, 5),
    gen=st.sampled_from([0, 0, 0, 2, 2, 3]),
    variant=st.sampled_from([0, 0, 0, 1]),
)
batches = st.lists(
    st.one_of(st.lists(wish, min_size=2, max_size=6), st.integers(0, 5)), min_size=1, max_size=3
)
"""Batches; and between them somebody leaves, by number of their pid."""


def lived(
    history: Sequence[list[Wish] | int],
    people: Sequence[User],
    wards: Sequence[Conversation],
    carry_out: Callable[[Sequence[Claim]], list[Any]],
) -> list[Any]:
    """All that can be seen of a history afterwards, which then never was."""
    outcomes: list[Any] = []
    before = Entry.objects.order_by("pk").last()
    with transaction.atomic():
        for at, step in enumerate(history):
            if isinstance(step, int):
                for one in Participant.objects.filter(pid=number(5, step), left_at=None):
                    services.leave(user=one.user, pid=one.pid, gen=one.gen)
            else:
                claims = [wish.claim(people, wards, at * 10 + n) for n, wish in enumerate(step)]
                outcomes += carry_out(claims)
            with connection.cursor() as cursor:  # as a commit would
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        seen = _seen(outcomes, before.pk if before else 0)
        transaction.set_rollback(True)
    with redis.Redis.from_url(configured.REDIS_URL) as client:
        client.delete(leases.LEASES)
    return seen


def _seen(outcomes: Sequence[Any], before: int) -> list[Any]:
    entries = Entry.objects.filter(pk__gt=before).order_by("pk")
    documents = [dict(entry.document) for entry in entries]
    places = [msgspec.to_builtins(one) if isinstance(one, VoicePlace) else one for one in outcomes]
    rows = Participant.objects.order_by("joined_at").values()
    streams = StreamEvent.objects.filter(stream__name__startswith="voice:").order_by(
        "stream", "offset"
    )
    calls = Call.objects.order_by("started_at").values()
    seen = [places, documents, list(rows), list(streams.values()), list(calls), held()]
    text = json.dumps(_timeless(seen), default=str)
    for at, call in enumerate(calls):  # made at random
        text = text.replace(str(call["id"]), f"call-{at}")
    return list(json.loads(text))


_BY_CHANCE = {"at", "time", "e", "ice", "started_at", "joined_at"}


def _timeless(seen: Any) -> Any:
    """Without what differs each time; of an end only whether it was."""
    if isinstance(seen, list):
        return [_timeless(one) for one in seen]
    if not isinstance(seen, dict):
        return seen
    ended = {name: seen[name] is not None for name in ("left_at", "ended_at") if name in seen}
    kept = {name: _timeless(one) for name, one in seen.items() if name not in _BY_CHANCE}
    is_entry = "target" in kept
    return {name: one for name, one in kept.items() if not (is_entry and name == "id")} | ended


def one_by_one(claims: Sequence[Claim]) -> list[Any]:
    return [outcome for claim in claims for outcome in taken(claim)]


def as_a_batch(claims: Sequence[Claim]) -> list[Any]:
    return taken(*claims)


def names(outcomes: list[Any]) -> list[Any]:
    return [one.__name__ if isinstance(one, type) else one for one in outcomes]


@pytest.mark.timeout(0)
@pytest.mark.django_db
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="VOICE_BATCHES" not in os.environ,
    database=None,
    phases=[Phase.generate] + ([Phase.shrink] if "VOICE_SHRINK" in os.environ else []),
    suppress_health_check=list(HealthCheck),
)
@given(history=batches)
def test_a_batch_is_as_one_by_one(
    history: list[list[Wish] | int],
    people: list[User],
    wards: list[Conversation],
    small_rooms: None,
) -> None:
    alone = lived(history, people, wards, lambda claims: names(one_by_one(claims)))
    at_once = lived(history, people, wards, lambda claims: names(as_a_batch(claims)))
    assert at_once == alone


@pytest.fixture
def people(alice: User, bob: User, mallory: User) -> list[User]:
    return [alice, bob, mallory]


@pytest.fixture
def wards(alice: User, bob: User, mallory: User) -> list[Conversation]:
    """Mallory belongs to one of them."""
    return [room(alice, bob), room(alice, bob, mallory, name="other")]


@pytest.fixture
def small_rooms(settings: Any) -> None:
    settings.VOICE_MESH_CAPACITY = 2
