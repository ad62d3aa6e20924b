"""AES-CMAC (NIST SP 800-38B; RFC 4493) of many words under one key, at once.

A word of fewer bytes than a block needs one encryption, of itself filled up and XORed with a
subkey. So a message's words are enciphered in one call, which takes a quarter of what an HMAC
for each takes. Longer ones are left to `cryptography`. Pure.
"""

import struct
from collections.abc import Collection
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.cmac import CMAC

BLOCK = 16  # bytes
_R = 0x87  # SP 800-38B section 5.3, for blocks of 128 bits


@lru_cache
def _blocks(count: int) -> struct.Struct:
    """So many texts, each filled up with zeros."""
    return struct.Struct(f"{BLOCK}s" * count)


@lru_cache
def _first_64_bits(count: int) -> struct.Struct:
    """Of so many blocks: signed, as PostgreSQL's bigint is."""
    return struct.Struct(">" + "q8x" * count)


class WordMac:
    """The function under one AES key (16, 24 or 32 bytes)."""

    __slots__ = ("_aes", "_encrypt", "_subkey")

    def __init__(self, key: bytes) -> None:
        self._aes = AES(key)
        # Blocks by themselves: what ECB is not for, and CMAC of one block consists of.
        self._encrypt = Cipher(self._aes, ECB()).encryptor().update  # noqa: S305
        self._subkey = _doubled(_doubled(self._encrypt(bytes(BLOCK))))  # K2, section 6.1

    def numbers(self, words: Collection[bytes]) -> list[int]:
        """The first 64 bits of each word's MAC, signed, in the words' order."""
        if max(map(len, words), default=0) >= BLOCK:
            return [self._number(word) for word in words]
        count = len(words)
        filled = _blocks(count).pack(*[word + b"\x80" for word in words])
        mask = int.from_bytes(self._subkey * count)
        blocks = (int.from_bytes(filled) ^ mask).to_bytes(len(filled))
        return [*_first_64_bits(count).unpack(self._encrypt(blocks))]

    def _number(self, word: bytes) -> int:
        mac = CMAC(self._aes)
        mac.update(word)
        return int.from_bytes(mac.finalize()[:8], signed=True)


def _doubled(block: bytes) -> bytes:
    """Multiplied by x in GF(2^128), as subkeys are made (section 6.1)."""
    number = int.from_bytes(block) << 1
    return (number ^ (_R if number >> 128 else 0)).to_bytes(BLOCK + 1)[1:]
