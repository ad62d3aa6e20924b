"""What sealing costs beside bare AES-256-GCM (same associated data) and Fernet, in one run.

    python -m benchmarks.sealing [--rounds 20000] [--rows 5000]

Starts a PostgreSQL of its own (as the tests do) and removes it. Exit code 1 when a
sealed field costs more than the package's Fernet alone, which binds a text to nothing.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

import django
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests import stack

stack._start()
os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings.test"
django.setup()

# Django's settings come first.
from encrypted_model_fields import fields as package  # noqa: E402

from app.encryption import envelope  # noqa: E402
from app.encryption.contents import Loaded, Written  # noqa: E402
from app.encryption.fields import prefetch_data_keys, token  # noqa: E402
from app.encryption.keyring import KeyRing, keyring  # noqa: E402
from tests.encryption.sample import Letter, Plain  # noqa: E402
from tests.encryption.tables import make_tables  # noqa: E402
from tests.live import point_django_at  # noqa: E402

TEXT = "All work and no play makes Jack a dull boy. " * 7  # 308 bytes
BATCHES = 40


def microseconds(works: Iterable[Callable[[], object]], rounds: int) -> list[float]:
    """The median of each over batches that take turns, so that a busy machine is fair to all."""
    works, batch = list(works), max(rounds // BATCHES, 1)
    seen: list[list[float]] = [[] for _ in works]
    for _ in range(BATCHES):
        for work, times in zip(works, seen, strict=True):
            start = time.thread_time()  # others use this machine, too
            for _ in range(batch):
                work()
            times.append((time.thread_time() - start) / batch * 1e6)
    return [statistics.median(times) for times in seen]


def compare_one_text(rounds: int) -> float:
    """Print the costs of one text; return the worse ratio of the field to Fernet."""
    letter = Letter(organization_id=uuid4(), conversation_id=uuid4(), body=TEXT)
    sealed = token(letter, "body")
    real = keyring.to_open(envelope.dek_id_of(envelope.decode(sealed))).cipher
    label = envelope.label("sample_letter", "body")
    place = envelope.place_in(
        label, letter.organization_id, letter.pk, letter.conversation_id, letter.revision
    )
    aad = place + b"\0\0\0\x10" + bytes(16)
    cipher, plain = AESGCM(os.urandom(32)), TEXT.encode()
    nonce = os.urandom(12)
    closed = cipher.encrypt(nonce, plain, aad)

    def bare_seal() -> bytes:
        fresh = os.urandom(12)
        return fresh + cipher.encrypt(fresh, plain, aad)

    def bare_open() -> bytes:
        return cipher.decrypt(nonce, closed, aad)

    def envelope_seal() -> object:
        return envelope.seal(cipher, letter.pk.bytes, place, TEXT)

    def envelope_open() -> object:
        return envelope.unseal(real, envelope.decode(sealed), place)

    def field_seal() -> object:
        letter.__dict__["body"] = Written(TEXT)
        return token(letter, "body")

    def field_open() -> object:
        letter.__dict__["body"] = Loaded(sealed)
        return letter.body

    token_of_package = package.encrypt_str(TEXT).decode()
    worst = 0.0
    print(f"one text of {len(plain)} bytes: CPU time, and how many times bare AES-GCM")
    for name, works in (
        ("seal", [bare_seal, lambda: package.encrypt_str(TEXT), envelope_seal, field_seal]),
        (
            "open",
            [bare_open, lambda: package.decrypt_str(token_of_package), envelope_open, field_open],
        ),
    ):
        bare, fernet, pure, field = microseconds(works, rounds)
        worst = max(worst, field / fernet)
        print(
            f"  {name}   bare {bare:.2f} µs   the package's Fernet {fernet:.2f} µs"
            f" {fernet / bare:.1f}x   envelope {pure:.2f} µs {pure / bare:.1f}x"
            f"   field {field:.2f} µs {field / bare:.1f}x"
        )
    return worst


def compare_bulk_inserts(rows: int) -> None:
    """Print rows a second of bulk_create and of reading back, beside the same rows unsealed."""
    organization, conversation = uuid4(), uuid4()

    def insert(model: Any) -> float:
        start = time.perf_counter()
        model.objects.bulk_create(
            [
                model(organization_id=organization, conversation_id=conversation, body=TEXT)
                for _ in range(rows)
            ],
            batch_size=500,
        )
        return rows / (time.perf_counter() - start)

    def read(model: Any) -> float:
        start = time.perf_counter()
        found = list(model.objects.all())
        if model is Letter:
            prefetch_data_keys([token(letter, "body") for letter in found])
        if any(row.body != TEXT for row in found):
            raise SystemExit("a row does not read as it was written")
        return rows / (time.perf_counter() - start)

    insert(Letter), insert(Plain)  # warm
    Letter.objects.all().delete(), Plain.objects.all().delete()
    print(f"{rows} rows, a second            unsealed         sealed")
    print(f"  bulk_create {insert(Plain):22,.0f} {insert(Letter):14,.0f}")
    print(f"  read        {read(Plain):22,.0f} {read(Letter):14,.0f}")


def measure_new_keys(count: int = 50) -> None:
    """Print what the first text of a conversation costs on top."""
    ring, organization = KeyRing(), UUID(int=7)
    start = time.perf_counter()
    for _ in range(count):
        ring.to_seal(organization, uuid4())
    print(f"a new data key, committed: {(time.perf_counter() - start) / count * 1e3:.1f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=5_000)
    options = parser.parse_args()

    with stack.running_stack().fresh_database() as database:
        point_django_at(database.app_url)
        make_tables(database.owner_url)
        worst = compare_one_text(options.rounds)
        compare_bulk_inserts(options.rows)
        measure_new_keys()
        point_django_at(database.app_url)  # closes the connection, so that it can be dropped
    if worst > 1:
        print(f"missed: a sealed field costs {worst:.2f} times the package's Fernet")
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
