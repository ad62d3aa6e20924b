"""The data keys that this process holds unwrapped: for five minutes, and not too many.

Only committed data keys get in (`services` commits them apart), so a rolled back transaction
leaves none behind. Shared by threads: lookups need no lock, creation is one at a time.
"""

import time
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime
from threading import Lock
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.encryption import access, services
from app.encryption.envelope import Fault, SealError, decode, dek_id_of
from app.encryption.models import DataKey

LIFETIME = 300.0  # seconds
CAPACITY = 10_000  # data keys


class HeldKey:
    """One unwrapped data key. `uses` yields once for each use that was reserved for us."""

    __slots__ = ("cipher", "conversation", "dek_id", "expires", "month", "organization", "uses")

    def __init__(self, row: DataKey, uses: Iterator[int]) -> None:
        self.cipher = AESGCM(services.unwrap_data_key(row))
        self.dek_id = row.id.bytes
        self.organization = row.organization_id
        self.conversation = row.conversation_id
        self.month = row.month
        self.expires = time.monotonic() + LIFETIME
        self.uses = uses


class KeyRing:
    """See the module. One for the process: `keyring`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._by_id: dict[bytes, HeldKey] = {}
        self._sealing: dict[tuple[UUID, UUID | None], HeldKey] = {}
        self._month: tuple[float, float, date] = (0.0, 0.0, date.min)
        self._lock = Lock()

    def to_seal(self, organization: UUID, conversation: UUID | None) -> HeldKey:
        """The key of this conversation and month, with one use taken from it."""
        scope = (organization, conversation)
        month = self._this_month()
        held = self._sealing.get(scope)
        # next() on a range iterator is one step of the interpreter: no two threads get one use.
        if held is not None and held.month == month and held.expires > time.monotonic():
            if next(held.uses, None) is not None:
                return held
        with self._lock:
            return self._obtain(scope, month)

    def to_open(self, dek_id: bytes) -> HeldKey:
        """The key with this id; raises `SealError` (unknown_key, erased, key_unavailable)."""
        held = self._by_id.get(dek_id)
        if held is None or held.expires <= time.monotonic():
            rows = access.data_keys([UUID(bytes=dek_id)])
            if not rows:
                raise SealError(Fault.UNKNOWN_KEY, "there is no data key for this text")
            held = HeldKey(rows[0], iter(()))
            self._keep(held)
        return held

    def prefetch(self, dek_ids: Collection[bytes]) -> None:
        """Hold these keys, with one query at most; what does not unwrap is left to `to_open`."""
        now = time.monotonic()
        missing = [
            UUID(bytes=dek_id)
            for dek_id in set(dek_ids)
            if (held := self._by_id.get(dek_id)) is None or held.expires <= now
        ]
        for row in access.data_keys(missing) if missing else ():
            try:
                self._keep(HeldKey(row, iter(())))
            except SealError:
                continue  # told by to_open, for the text that needs it

    def forget(self) -> None:
        """Drop every key."""
        with self._lock:
            self._by_id.clear()
            self._sealing.clear()

    def _obtain(self, scope: tuple[UUID, UUID | None], month: date) -> HeldKey:
        """Called with the lock held."""
        held = self._sealing.get(scope)
        if held is not None and held.month == month:
            if held.expires <= time.monotonic():
                held = self._renew(held)
            if held is not None and next(held.uses, None) is not None:
                self._sealing[scope] = held
                return held
        row = services.reserve_data_key(organization=scope[0], conversation=scope[1], month=month)
        held = HeldKey(row, iter(range(services.USE_BLOCK - 1)))
        self._keep(held)
        self._sealing.pop(scope, None)
        self._sealing[scope] = held
        while len(self._sealing) > self._capacity:
            del self._sealing[next(iter(self._sealing))]
        return held

    def _renew(self, held: HeldKey) -> HeldKey | None:
        """The same key read again, with the uses still reserved; None if it is gone."""
        rows = access.data_keys([UUID(bytes=held.dek_id)])
        if not rows or rows[0].destroyed_at is not None:
            return None
        renewed = HeldKey(rows[0], held.uses)
        self._keep(renewed)
        return renewed

    def _keep(self, held: HeldKey) -> None:
        # Oldest first out, which is also the first to expire.
        self._by_id.pop(held.dek_id, None)
        self._by_id[held.dek_id] = held
        while len(self._by_id) > self._capacity:
            try:
                del self._by_id[next(iter(self._by_id))]
            except (KeyError, StopIteration, RuntimeError):
                break  # another thread was at it at the same time

    def _this_month(self) -> date:
        now = time.time()
        start, end, month = self._month
        if not start <= now < end:
            month = datetime.fromtimestamp(now, UTC).date().replace(day=1)
            after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
            self._month = (_midnight(month), _midnight(after), month)
        return month


keyring = KeyRing()


def prefetch_data_keys(tokens: Collection[str]) -> None:
    """Load the data keys of a page of tokens with one query; bad tokens are left alone."""
    ids = set()
    for token in tokens:
        try:
            ids.add(dek_id_of(decode(token)))
        except SealError:
            continue  # told when that text is opened
    keyring.prefetch(ids)


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
