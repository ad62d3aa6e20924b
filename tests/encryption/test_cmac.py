"""Against the standard's examples, and `cryptography` for every length and any words together."""

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from app.encryption.cmac import WordMac

KEYS = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def _number(key: bytes, word: bytes) -> int:
    mac = CMAC(AES(key))
    mac.update(word)
    return int.from_bytes(mac.finalize()[:8], "big", signed=True)


@given(KEYS, st.lists(st.binary(max_size=40)))
def test_words_have_the_number_that_each_has_alone(key: bytes, words: list[bytes]) -> None:
    assert WordMac(key).numbers(words) == [_number(key, word) for word in words]


@pytest.mark.parametrize("length", range(34))
def test_words_of_every_length(length: int) -> None:
    key, word = bytes(range(32)), bytes(range(length))
    assert WordMac(key).numbers([word]) == [_number(key, word)]


@pytest.mark.parametrize(
    ("length", "mac"),
    [
        (0, "bb1d6929e9593728"),
        (16, "070a16b46b4d4144"),
        (40, "dfa66747de9ae630"),
        (64, "51f0bebf7e3b9d92"),
    ],
)
def test_the_examples_of_rfc_4493(length: int, mac: str) -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    assert WordMac(key).numbers([message[:length]]) == [
        int.from_bytes(bytes.fromhex(mac), "big", signed=True)
    ]
