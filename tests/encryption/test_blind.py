"""Blind words: rebuilt from the standard, and found under every key that may hold them."""

import hmac
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from app.encryption.blind import INFO, blind_under, blind_words, search_keys
from app.encryption.keyring import derived_key, keyring, sealing_key
from app.encryption.models import DataKey

pytestmark = pytest.mark.usefixtures("db")


def test_a_word_is_the_first_64_bits_of_an_hmac_under_the_derived_key() -> None:
    dek_id = sealing_key(uuid4(), uuid4())
    digest = hmac.digest(derived_key(dek_id, INFO), "straße".encode(), "sha256")
    assert blind_words(dek_id, ["straße"]) == [int.from_bytes(digest[:8], "big", signed=True)]


def test_words_come_once_each_and_in_no_order_that_tells_anything() -> None:
    dek_id = sealing_key(uuid4(), uuid4())
    words = [f"word {number}" for number in range(20)]
    numbers = blind_words(dek_id, words)
    assert numbers == sorted(numbers) == blind_words(dek_id, [*words[::-1], *words])


def test_a_word_is_looked_up_under_each_key_of_the_conversations_asked_for() -> None:
    organization, ward, rota = uuid4(), uuid4(), uuid4()
    deks = {sealing_key(organization, ward), sealing_key(organization, rota)}
    sealing_key(organization, None)
    sealing_key(uuid4(), uuid4())
    keys = search_keys(organization, [ward, rota])
    assert {key.dek_id for key in keys} == deks
    assert blind_under(keys, ["bed", "cot"]) == [
        [blind_words(key.dek_id, [word])[0] for key in keys] for word in ("bed", "cot")
    ]
    assert len(search_keys(organization, [ward])) == 1


def test_a_key_made_or_destroyed_since_the_last_search_is_known() -> None:
    organization, ward, rota = uuid4(), uuid4(), uuid4()
    (gone,) = [sealing_key(organization, ward)]
    keys = search_keys(organization, [ward, rota])
    other = sealing_key(organization, rota)
    assert [key.dek_id for key in search_keys(organization, [rota])] == [other]
    DataKey.objects.filter(id=gone.hex()).update(wrapped=None, destroyed_at=datetime.now(UTC))
    assert search_keys(organization, [ward]) == []
    keyring.forget()
    # An older list of keys does no harm, nor does one key set the numbers of two words apart.
    assert len(keys) == 1
    keys = [*keys, *search_keys(organization, [rota])]
    assert blind_under(keys, ["bed", "cot"]) == [
        blind_words(other, ["bed"]),
        blind_words(other, ["cot"]),
    ]
