"""Blind words: rebuilt from the standard, and found under every key that may hold them."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from app.encryption.blind import INFO, blind_under, blind_words, search_months
from app.encryption.keyring import KeyRing, derived_key, keyring, sealing_key
from app.encryption.models import DataKey

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize("word", ["straße", "a" * 15, "a" * 16, "ä" * 8, "a" * 17, "b" * 100])
def test_a_word_is_the_first_64_bits_of_a_cmac_under_the_derived_key(word: str) -> None:
    dek_id = sealing_key(uuid4(), uuid4())
    mac = CMAC(AES(derived_key(dek_id, INFO)))
    mac.update(word.encode())
    number = int.from_bytes(mac.finalize()[:8], "big", signed=True)
    assert blind_words(dek_id, [word.encode()]) == [number]
    assert number in blind_words(dek_id, [b"another", word.encode(), b"and one more"])


def test_words_come_once_each_and_in_no_order_that_tells_anything() -> None:
    dek_id = sealing_key(uuid4(), uuid4())
    words = [f"word {number}".encode() for number in range(20)]
    numbers = blind_words(dek_id, words)
    assert numbers == sorted(numbers) == blind_words(dek_id, [*words[::-1], *words])


def test_a_word_is_looked_up_under_each_key_of_the_conversations_asked_for() -> None:
    organization, ward, rota = uuid4(), uuid4(), uuid4()
    deks = {sealing_key(organization, ward), sealing_key(organization, rota)}
    sealing_key(organization, None)
    sealing_key(uuid4(), uuid4())
    (month,) = search_months(organization, [ward, rota], since=date.min)
    assert set(month.dek_ids) == deks
    assert blind_under(month.dek_ids, ["bed", "cot"]) == [
        [blind_words(dek_id, [word])[0] for dek_id in month.dek_ids] for word in (b"bed", b"cot")
    ]
    assert keys(organization, [ward]) < deks
    assert search_months(organization, [ward], since=date.max) == []


def test_months_come_the_latest_first_down_to_the_one_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organization, ward = uuid4(), uuid4()
    months = [date(2026, number, 1) for number in (3, 1, 2)]
    for month in months:
        monkeypatch.setattr(KeyRing, "_this_month", lambda _, month=month: month)
        sealing_key(organization, ward)
    found = search_months(organization, [ward], since=date(2026, 2, 1))
    assert [month for month, _ in found] == [date(2026, 3, 1), date(2026, 2, 1)]


def test_a_key_made_or_destroyed_since_the_last_search_is_known() -> None:
    organization, ward, rota = uuid4(), uuid4(), uuid4()
    gone = sealing_key(organization, ward)
    assert keys(organization, [ward, rota]) == {gone}
    other = sealing_key(organization, rota)
    assert keys(organization, [rota]) == {other}
    DataKey.objects.filter(id=gone.hex()).update(wrapped=None, destroyed_at=datetime.now(UTC))
    assert keys(organization, [ward]) == set()
    keyring.forget()
    # An older list of keys does no harm, nor does one key set the numbers of two words apart.
    assert blind_under([gone, other], ["bed", "cot"]) == [
        blind_words(other, [b"bed"]),
        blind_words(other, [b"cot"]),
    ]


def keys(organization: UUID, conversations: list[UUID]) -> set[bytes]:
    found = search_months(organization, conversations, since=date.min)
    return {dek_id for _, dek_ids in found for dek_id in dek_ids}
