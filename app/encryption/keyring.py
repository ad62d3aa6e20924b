"""The data keys that this process holds unwrapped: for minutes, and not too many.

Only committed data keys get in (`services` commits them apart), so a rolled back transaction
leaves none behind. Shared by threads: finding a key needs no lock, obtaining one does.
"""

import os
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from threading import Lock
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from app.encryption import access, services
from app.encryption.cmac import WordMac
from app.encryption.envelope import KEY_BYTES, Fault, SealError, dek_id_in
from app.encryption.models import DataKey

CAPACITY = 10_000  # data keys
_MOMENT = 1.0  # seconds

_Scope = tuple[int, int]


class HeldKey:
    """One unwrapped data key. `uses` yields once for each use that was reserved for us."""

    __slots__ = ("_derived", "_key", "_word_macs", "cipher", "dek_id", "expires", "month", "uses")

    def __init__(self, row: DataKey, uses: Iterator[int]) -> None:
        self._key = services.unwrap_data_key(row)
        self._derived: dict[bytes, bytes] = {}
        self._word_macs: dict[bytes, WordMac] = {}
        self.cipher = AESGCM(self._key)
        self.dek_id = row.id.bytes
        self.month = row.month
        self.expires = time.monotonic() + settings.DATA_KEY_SECONDS
        self.uses = uses

    def derived(self, info: bytes) -> bytes:
        """See `derived_key`; remembered, because HKDF costs more than what it is used for."""
        if info not in self._derived:
            kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info)
            self._derived[info] = kdf.derive(self._key)
        return self._derived[info]

    def word_mac(self, info: bytes) -> WordMac:
        """The MAC of words under `derived(info)`; remembered with its subkeys."""
        found = self._word_macs.get(info)
        if found is None:
            found = self._word_macs[info] = WordMac(self.derived(info))
        return found


class KeyRing:
    """See the module. A process has one: `keyring`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._drops = 0
        self.forget()

    def forget(self) -> None:
        """Hold nothing, as at the start. Also run in a forked child: reserved uses, and locks
        that another thread held, stay with the parent."""
        self._by_id: dict[bytes, HeldKey] = {}
        self._erased: set[bytes] = set()
        self._sealing: dict[_Scope, HeldKey] = {}
        self._month: tuple[float, float, date] = (0.0, 0.0, date.min)
        self._obtaining: dict[int, Lock] = {}
        self._keeping = Lock()

    def drop(self, dek_ids: Collection[bytes] | None = None) -> None:
        """Hold these keys no longer, nor anything derived from them; None: hold none at all.

        Uses that were reserved are kept where a key turns out to be in force still.
        """
        with self._keeping:
            self._drops += 1
            for dek_id in [*self._by_id] if dek_ids is None else dek_ids:
                if (held := self._by_id.pop(dek_id, None)) is not None:
                    held.expires = 0.0
            for held in self._sealing.values():
                if dek_ids is None or held.dek_id in dek_ids:
                    held.expires = 0.0

    def to_seal(
        self, organization: UUID, conversation: UUID | None, month: date | None = None
    ) -> HeldKey:
        """The key of this conversation and month, with one use taken from it.

        Another `month` than the present one is for what was sealed then and is sealed anew.

        Raises as `services.reserve_data_key` and `services.unwrap_data_key`.
        """
        # Integers: hashing and comparing UUIDs is done in Python, and this is a hot path.
        scope = (organization.int, -1 if conversation is None else conversation.int)
        month = month or self._this_month()
        held = self._sealing.get(scope)
        if (
            held is not None
            and held.month == month
            and held.expires > time.monotonic()
            # A range's iterator moves in one step of the interpreter: no use is given twice.
            and next(held.uses, None) is not None
        ):
            return held
        # An organization whose key is slow to get keeps nobody else waiting.
        with self._obtaining.setdefault(organization.int, Lock()):
            return self._obtain(scope, organization, conversation, month)

    def to_open(self, dek_id: bytes) -> HeldKey:
        """The key with this id; raises `SealError` (unknown_key, erased, key_unavailable)."""
        held = self._by_id.get(dek_id)
        if held is not None and held.expires > time.monotonic():
            return held
        if dek_id in self._erased:
            raise SealError(Fault.ERASED, "the data key of this text was destroyed")
        since = self._drops
        rows = access.data_keys([UUID(bytes=dek_id)])
        if not rows:
            raise SealError(Fault.UNKNOWN_KEY, "there is no data key for this text")
        return self._hold(rows[0], iter(()), since)

    def all_to_open(self, dek_ids: Sequence[bytes]) -> list[HeldKey]:
        """Those of the keys that were not erased, read with one query where they are not held.

        Raises as `to_open`.
        """
        now, get = time.monotonic(), self._by_id.get
        found = [held for one in dek_ids if (held := get(one)) is not None and held.expires > now]
        if len(found) == len(dek_ids):
            return found
        self.prefetch(dek_ids)
        found = []
        for dek_id in dek_ids:
            try:
                found.append(self.to_open(dek_id))
            except SealError as error:
                if not error.erased:
                    raise
        return found

    def holds(self, dek_id: bytes) -> bool:
        """Whether `to_open` has no need to ask for this key, now and for a moment more."""
        held = self._by_id.get(dek_id)
        return held is not None and held.expires > time.monotonic() + _MOMENT

    def prefetch(self, dek_ids: Collection[bytes]) -> None:
        """Hold these keys, with one query at most; what does not unwrap is left to `to_open`."""
        now = time.monotonic()
        missing = [
            UUID(bytes=dek_id)
            for dek_id in {*dek_ids} - self._erased
            if (held := self._by_id.get(dek_id)) is None or held.expires <= now
        ]
        since = self._drops
        for row in access.data_keys(missing) if missing else ():
            try:
                self._hold(row, iter(()), since)
            except SealError:
                continue  # told by to_open, for the text that needs this key

    def _obtain(
        self, scope: _Scope, organization: UUID, conversation: UUID | None, month: date
    ) -> HeldKey:
        """Called by one thread at a time for an organization."""
        held = self._sealing.get(scope)
        if held is not None and held.month == month:
            if held.expires <= time.monotonic():
                held = self._renewed(held)
            if held is not None and next(held.uses, None) is not None:
                return self._keep_for_sealing(scope, held)
        since = self._drops
        row = services.reserve_data_key(
            organization=organization, conversation=conversation, month=month
        )
        held = self._hold(row, iter(range(services.USE_BLOCK - 1)), since)
        return self._keep_for_sealing(scope, held)

    def _renewed(self, held: HeldKey) -> HeldKey | None:
        """The same key, read again, with the uses still reserved; None when it has ended."""
        since = self._drops
        rows = access.data_keys([UUID(bytes=held.dek_id)])
        if not rows or rows[0].closed_at is not None or rows[0].destroyed_at is not None:
            return None
        return self._hold(rows[0], held.uses, since)

    def _hold(self, row: DataKey, uses: Iterator[int], since: int) -> HeldKey:
        """Unwrap and keep the key; `since` is the number of drops before its row was read."""
        try:
            held = HeldKey(row, uses)
        except SealError as error:
            if error.erased:
                self._note_erased(row.id.bytes)
            raise
        with self._keeping:
            if self._drops != since:  # its end may have been told meanwhile
                held.expires = 0.0
                return held
            # Oldest first out, which is also the first to expire.
            self._by_id.pop(held.dek_id, None)
            self._by_id[held.dek_id] = held
            while len(self._by_id) > self._capacity:
                del self._by_id[next(iter(self._by_id))]
        return held

    def _keep_for_sealing(self, scope: _Scope, held: HeldKey) -> HeldKey:
        with self._keeping:
            self._sealing.pop(scope, None)
            self._sealing[scope] = held
            while len(self._sealing) > self._capacity:
                del self._sealing[next(iter(self._sealing))]
        return held

    def _note_erased(self, dek_id: bytes) -> None:
        # For good, so it is remembered: a page of erased messages asks only once.
        with self._keeping:
            self._by_id.pop(dek_id, None)
            if len(self._erased) >= self._capacity:
                self._erased.clear()
            self._erased.add(dek_id)

    def _this_month(self) -> date:
        now = time.time()
        start, end, month = self._month
        if not start <= now < end:
            month = datetime.fromtimestamp(now, UTC).date().replace(day=1)
            following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
            self._month = (_midnight(month), _midnight(following), month)
        return month


keyring = KeyRing()
os.register_at_fork(after_in_child=keyring.forget)


def prefetch_data_keys(tokens: Collection[str]) -> None:
    """Load the data keys of a page of tokens with one query; bad tokens are left alone."""
    keyring.prefetch({dek_id for token in tokens if (dek_id := dek_id_in(token)) is not None})


def data_keys_held(tokens: Collection[str]) -> bool:
    """Whether all of these tokens open without a query: for who must not wait."""
    return all(
        (dek_id := dek_id_in(token)) is not None and keyring.holds(dek_id) for token in tokens
    )


def derived_key(dek_id: bytes, info: bytes) -> bytes:
    """32 bytes for another purpose than sealing: HKDF-SHA256 (RFC 5869, no salt) of a data key.

    `info` names the purpose and its version, such as b"parley/search/v2". Erased with its data
    key, cached as long. Raises `SealError` (unknown_key, erased, key_unavailable).
    """
    return keyring.to_open(dek_id).derived(info)


def sealing_key(organization: UUID, conversation: UUID | None) -> bytes:
    """The id, 16 bytes, of the data key that seals here this month, made if need be.

    A sealed token names its data key itself (`dek_id_in`): prefer that where there is one, since
    the month may turn between two calls. Raises as `KeyRing.to_seal`.
    """
    return keyring.to_seal(organization, conversation).dek_id


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
