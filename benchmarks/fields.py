"""What sealing costs beside bare AES-256-GCM with the same associated data, in CPU time.

Bare: nonce, key and associated data at hand, bytes in, bytes out. The envelope adds the salt,
the key's id and base64, and gives text. A field adds where the text belongs, the key that is
in force, the count of its uses, and what the instance remembers.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from encrypted_model_fields import fields as package

from app.encryption import envelope
from app.encryption.contents import Loaded, Written
from app.encryption.fields import prefetch_data_keys, token
from app.encryption.keyring import keyring
from benchmarks.figures import Figure
from tests.encryption.sample import Letter, Plain
from tests.encryption.tables import make_tables
from tests.live import LiveDatabase
from tests.stack import running_stack

TEXT = "All work and no play makes Jack a dull boy. " * 7  # 308 bytes
BATCHES, ROUNDS = 60, 400
ROWS, INSERTS = 5000, 7
Work = Callable[[], object]


def measure(scale: float) -> Iterator[Figure]:
    with running_stack().fresh_database() as database:
        live = LiveDatabase(database)
        make_tables(database.owner_url)
        with live.acting_as("app"):
            for name, works in _works():
                yield from _compared(name, _interleaved(works, int(ROUNDS * scale) or 1))
            yield from _bulk(int(ROWS * scale))


def _works() -> Iterator[tuple[str, Mapping[str, Work]]]:
    letter = Letter(organization_id=uuid4(), conversation_id=uuid4(), body=TEXT)
    sealed = token(letter, "body")
    real = keyring.to_open(envelope.dek_id_of(envelope.decode(sealed))).cipher
    place = envelope.place_in(
        envelope.label("sample_letter", "body"),
        letter.organization_id, letter.pk, letter.conversation_id, letter.revision,
    )  # fmt: skip
    aad = place + b"\0\0\0\x10" + bytes(16)
    cipher, plain, nonce = AESGCM(os.urandom(32)), TEXT.encode(), os.urandom(12)
    closed = cipher.encrypt(nonce, plain, aad)
    dek_id, by_package = uuid4().bytes, package.encrypt_str(TEXT).decode()

    def bare_seal() -> bytes:
        fresh = os.urandom(12)
        return fresh + cipher.encrypt(fresh, plain, aad)

    def field_seal() -> object:
        letter.__dict__["body"] = Written(TEXT)
        return token(letter, "body")

    def field_open() -> object:
        letter.__dict__["body"] = Loaded(sealed)
        return letter.body

    yield (
        "seal",
        {
            "bare": bare_seal,
            "an envelope": lambda: envelope.seal(cipher, dek_id, place, TEXT),
            "a field": field_seal,
            "the package's Fernet": lambda: package.encrypt_str(TEXT),
        },
    )
    yield (
        "open",
        {
            "bare": lambda: cipher.decrypt(nonce, closed, aad),
            "an envelope": lambda: envelope.unseal(real, envelope.decode(sealed), place),
            "a field": field_open,
            "the package's Fernet": lambda: package.decrypt_str(by_package),
        },
    )


def _interleaved(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Microseconds of each, over batches that take turns, so that a busy machine is fair."""
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(BATCHES):
        for name, work in works.items():
            start = time.thread_time()
            for _ in range(rounds):
                work()
            seen[name].append((time.thread_time() - start) / rounds * 1e6)
    return seen


def _compared(verb: str, seen: dict[str, list[float]]) -> Iterator[Figure]:
    bare = seen.pop("bare")
    yield Figure(f"{verb} 308 bytes with bare AES-GCM", "µs", bare)
    for name, times in seen.items():
        ratios = [time / least for time, least in zip(times, bare, strict=True)]
        limit = None if "package" in name else 3.0
        yield Figure(f"{verb} {name}", "µs", times)
        yield Figure(f"{verb} {name}", "times bare AES-GCM", ratios, limit, "at most")


def _bulk(count: int) -> Iterator[Figure]:
    """Rows a second of bulk_create and of reading back, beside the same rows without a seal."""
    models: dict[str, Any] = {"unsealed": Plain, "sealed": Letter}
    inserts: dict[str, list[float]] = {name: [] for name in models}
    reads: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(INSERTS):
        for name, model in models.items():
            inserts[name].append(_insert(model, count))
            reads[name].append(_read(model, count))
            model.objects.all().delete()
    for name in models:
        limit = 10_000.0 if name == "sealed" else None
        yield Figure(f"bulk_create {name} rows", "a second", inserts[name], limit)
    for name in models:
        yield Figure(f"read {name} rows and their texts", "a second", reads[name])


def _insert(model: Any, count: int) -> float:
    organization, conversation = uuid4(), uuid4()
    start = time.perf_counter()
    rows = (
        model(organization_id=organization, conversation_id=conversation, body=TEXT)
        for _ in range(count)
    )
    model.objects.bulk_create(rows, batch_size=500)
    return count / (time.perf_counter() - start)


def _read(model: Any, count: int) -> float:
    start = time.perf_counter()
    found = list(model.objects.all())
    if model is Letter:
        prefetch_data_keys([token(letter, "body") for letter in found])
    if len(found) != count or any(row.body != TEXT for row in found):
        raise SystemExit("a row does not read as it was written")
    return count / (time.perf_counter() - start)
