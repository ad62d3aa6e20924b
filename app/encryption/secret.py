"""Fields for the application's own secrets, and blind indexes.

The package's field, made strict: it never decrypts what a user typed, never returns a bad
token as if it were text, takes its keys from the settings in force, and refuses every query
that could only be wrong.
"""

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from cryptography.fernet import InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.lookups import IsNull
from encrypted_model_fields.fields import get_crypter

from app.encryption.envelope import Fault, SealError

# What may be assigned and what is read, as django-stubs counts it: `str`, or with None.
Set_contra = TypeVar("Set_contra", contravariant=True)
Get_co = TypeVar("Get_co", covariant=True)

if TYPE_CHECKING:
    _Text = models.TextField
else:
    from encrypted_model_fields.fields import EncryptedTextField

    class _Text(EncryptedTextField):
        def __class_getitem__(cls, types):
            return cls


SEALED = "<sealed>"
WRITTEN = "is written by save() or bulk_create(), not by expressions, update() or bulk_update()"


class StrictTextField(_Text[Set_contra, Get_co]):
    """What every encrypted column refuses: searching, expressions, forms, serialization."""

    def to_python(self, value: Any) -> Any:
        # Past EncryptedMixin, which decrypts here: full_clean() would be an oracle.
        return value if value is None or isinstance(value, str) else str(value)

    def get_prep_value(self, value: Any) -> Any:
        return value

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name == "isnull":
            return IsNull
        return self._refuse(f"cannot be searched by `{lookup_name}`: use a blind index")

    def get_transform(self, lookup_name: str) -> Any:
        return self._refuse(f"cannot be searched by `{lookup_name}`: use a blind index")

    def value_from_object(self, obj: models.Model) -> Any:
        # model_to_dict() and the serializers ask here.
        return SEALED

    def value_to_string(self, obj: models.Model) -> str:
        return SEALED

    def formfield(self, *args: Any, **kwargs: Any) -> Any:
        # A form would show SEALED and save it over the content: left out of every ModelForm.
        return None

    def _refuse(self, why: str) -> NoReturn:
        raise FieldError(f"{self.model._meta.label}.{self.name} is encrypted: it {why}.")


class SecretTextField(StrictTextField[Set_contra, Get_co]):
    """A secret of the application itself: a wrapped key, a TOTP seed.

    Encrypted by the package under the first of `settings.FIELD_ENCRYPTION_KEY`; opened by any
    of them, so keys rotate. Reading raises `SealError` on anything that does not open.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if value is None:
            return None
        try:
            return _crypter().decrypt(value.encode()).decode()
        except (InvalidToken, UnicodeError):
            raise SealError(
                Fault.REFUSED,
                f"{self.model._meta.label}.{self.name} does not open: it was changed, or its key"
                " is no longer in FIELD_ENCRYPTION_KEY",
            ) from None

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, str):
            self._refuse(WRITTEN if hasattr(value, "as_sql") else "takes a text")
        return _crypter().encrypt(value.encode()).decode("ascii")


def blind_index(value: str, *, purpose: str) -> bytes:
    """32 bytes by which equal values are found without storing them: HMAC-SHA256.

    The caller normalises `value`; `purpose` (such as "email") keeps indexes apart. Keyed by
    `settings.BLIND_INDEX_KEY` (32 bytes), so a thief of the database cannot guess values.
    """
    message = b"parley/blind-index/v1\0" + purpose.encode() + b"\0" + value.encode()
    return hmac.digest(settings.BLIND_INDEX_KEY, message, sha256)


def _crypter() -> MultiFernet:
    keys = settings.FIELD_ENCRYPTION_KEY
    return _crypter_of((keys,) if isinstance(keys, str | bytes) else tuple(keys))


@lru_cache(maxsize=8)
def _crypter_of(keys: tuple[str | bytes, ...]) -> MultiFernet:
    # The package keeps the crypter it made at import; this one follows the settings.
    crypter: MultiFernet = get_crypter()
    return crypter
