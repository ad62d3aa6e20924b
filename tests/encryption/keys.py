"""What tests do to keys, and how they read what keys open."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from django.test.utils import override_settings

from app.encryption.keyring import keyring
from app.encryption.models import DataKey
from tests.encryption.sample import Letter


def again(letter: Letter) -> Letter:
    return Letter.objects.get(pk=letter.pk)


def destroy(key: DataKey) -> None:
    DataKey.objects.filter(pk=key.pk).update(wrapped=None, destroyed_at=datetime.now(UTC))


@contextmanager
def key_file(path: Path, content: bytes) -> Iterator[None]:
    path.write_bytes(content)
    with override_settings(KEY_ENCRYPTION_KEY_FILE=path):
        keyring.forget()
        yield
    keyring.forget()
