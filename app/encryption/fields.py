"""Sealed text: what a person wrote, readable only in the row that it was written for.

Sealing happens in `pre_save` (or earlier, by `seal_now`), opening on first read; queries,
forms, serializers and pickles see tokens or `<sealed>`. A token that does not open raises.
"""

from collections.abc import Collection
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core import checks
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from app.encryption import envelope
from app.encryption.envelope import Fault, Opened, Sealed, SealError
from app.encryption.keyring import keyring, prefetch_data_keys
from app.encryption.secret import SEALED, SecretTextField, StrictTextField, blind_index

__all__ = [
    "Opened",
    "SealError",
    "Sealed",
    "SealedModel",
    "SealedTextField",
    "SealingContext",
    "SecretTextField",
    "blind_index",
    "open_token",
    "opened",
    "prefetch_data_keys",
    "seal_now",
    "token",
]


@dataclass(frozen=True, slots=True)
class SealingContext:
    """Where a row's texts belong, besides table, column and primary key."""

    organization: UUID
    conversation: UUID | None  # None: the organization itself
    revision: int


class StoredToken(str):
    """A token on its way between database and row: prints as `<sealed>`."""

    __slots__ = ("token",)
    token: str

    def __new__(cls, token: str) -> "StoredToken":
        made = super().__new__(cls, SEALED)
        made.token = token
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredToken, (self.token,)


class SealedModel(models.Model):
    """A row with sealed texts: says where they belong, and reloads them without opening."""

    class Meta:
        abstract = True

    def sealing_context(self) -> SealingContext:
        """Read at each sealing and opening; must be cheap and must not query."""
        raise NotImplementedError(f"{type(self).__name__}.sealing_context() is missing")

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Collection[str] | None = None,
        from_queryset: "models.QuerySet[Any] | None" = None,
    ) -> None:
        # Django copies the attributes of a fresh instance: hand over tokens, not texts.
        handing_over = _handing_over.set(True)
        try:
            super().refresh_from_db(using=using, fields=fields, from_queryset=from_queryset)
        finally:
            _handing_over.reset(handing_over)


_handing_over: ContextVar[bool] = ContextVar("parley_handing_over_tokens", default=False)


class _Content:
    """What an instance holds for one sealed field. Never changed, so copies may share it.

    `place` is where `token` is known to belong; None until it was opened or sealed.
    """

    __slots__ = ("assigned", "place", "salt", "text", "token")

    def __init__(
        self,
        *,
        token: str | None = None,
        place: bytes | None = None,
        opened: Opened | Sealed | None = None,
        text: str | None = None,
        assigned: bool = False,
    ) -> None:
        self.token = token
        self.place = place
        self.text = text if opened is None else opened.text
        self.salt = None if opened is None else opened.salt
        self.assigned = assigned

    def __repr__(self) -> str:
        return SEALED

    def __deepcopy__(self, memo: Any) -> "_Content":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self.token is None:
            raise TypeError("a text that is not sealed yet cannot be pickled")
        return _content_of, (self.token,)


def _content_of(token: str) -> _Content:
    return _Content(token=token)


class SealedAttribute(DeferredAttribute):
    """Opens on first read and remembers; `__set__` tells texts from tokens."""

    field: "SealedTextField"

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        if instance is None:
            return self
        content = self.content(instance)
        if content is None:
            return None
        if content.text is None:
            if _handing_over.get():
                assert content.token is not None
                return StoredToken(content.token)
            content = self.field.open(instance, content)
        return content.text

    def __set__(self, instance: models.Model, value: Any) -> None:
        name = self.field.attname
        if value is None:
            instance.__dict__[name] = None
        elif isinstance(value, StoredToken):
            instance.__dict__[name] = _Content(token=value.token)
        elif isinstance(value, str):
            instance.__dict__[name] = self._assigned(instance.__dict__.get(name), str(value))
        else:
            raise TypeError(f"{self.field.name} takes a text, not {type(value).__name__}")

    def content(self, instance: models.Model) -> _Content | None:
        """What the instance holds; a deferred field is loaded first."""
        name = self.field.attname
        if name not in instance.__dict__:
            instance.refresh_from_db(fields=[name])
        content: _Content | None = instance.__dict__[name]
        return content

    def _assigned(self, before: _Content | None, text: str) -> _Content:
        # full_clean() assigns what it read: the same text keeps its token, salt and commitment.
        if before is not None and before.text == text and before.salt is not None:
            kept = Opened(text, before.salt)
            return _Content(token=before.token, place=before.place, opened=kept, assigned=True)
        return _Content(text=text, assigned=True)


class SealedTextField(StrictTextField):
    """A text that is sealed for its row; needs a `SealedModel` whose primary key is not automatic.

    Reading raises `SealError` when the token was changed, moved or erased.
    """

    descriptor_class = SealedAttribute

    def contribute_to_class(self, cls: Any, name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        self._label: bytes | None = None

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        found = super().check(**kwargs)
        if not issubclass(self.model, SealedModel):
            found.append(checks.Error("inherit from SealedModel", obj=self, id="encryption.E001"))
        if isinstance(self.model._meta.pk, models.AutoField):
            found.append(
                checks.Error(
                    "a text is sealed for its primary key, which must not be the database's to choose",
                    obj=self,
                    id="encryption.E002",
                )
            )
        if self.unique or self.db_index:
            found.append(
                checks.Error(
                    "tokens are all different: index a blind index", obj=self, id="encryption.E003"
                )
            )
        return found

    # Rows to instances

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else StoredToken(value)

    def open(self, instance: models.Model, content: _Content) -> _Content:
        """Open what was loaded and let the instance remember it."""
        place = self.place(instance)
        assert content.token is not None
        raw = envelope.decode(content.token)
        key = keyring.to_open(envelope.dek_id_of(raw))
        result = envelope.unseal(key.cipher, raw, place)
        content = _Content(token=content.token, place=place, opened=result)
        instance.__dict__[self.attname] = content
        return content

    # Instances to rows

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        attribute: SealedAttribute = getattr(type(model_instance), self.attname)
        content = attribute.content(model_instance)
        if content is None:
            return None
        token = self.seal(model_instance, content).token
        assert token is not None
        return StoredToken(token)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, StoredToken):
            return value.token
        if value is not None:
            self._refuse("is written by save() or bulk_create() alone")
        return None

    def seal(self, instance: models.Model, content: _Content) -> _Content:
        """What may be stored: the token held, if it belongs here, or a new one."""
        place = self.place(instance)
        if content.token is not None:
            if content.place == place:
                return content
            if not content.assigned:
                return self._confirmed(instance, content)
        assert content.text is not None
        context = instance.sealing_context()  # type: ignore[attr-defined]
        key = keyring.to_seal(context.organization, context.conversation)
        sealed = envelope.seal(key.cipher, key.dek_id, place, content.text)
        content = _Content(token=sealed.token, place=place, opened=sealed)
        instance.__dict__[self.attname] = content
        return content

    def _confirmed(self, instance: models.Model, content: _Content) -> _Content:
        """A loaded token may be written back only to where it belongs."""
        if content.place is None:
            try:
                return self.open(instance, content)
            except SealError as error:
                if error.erased:
                    return content  # nothing can be read, here or elsewhere
                raise
        raise SealError(
            Fault.MOVED, f"{self.model._meta.label}.{self.name} changed its place: assign it anew"
        )

    def place(self, instance: models.Model) -> bytes:
        """Where the text of `instance` belongs, see `envelope.place_in`."""
        context = instance.sealing_context()  # type: ignore[attr-defined]
        if self._label is None:
            self._label = envelope.label(self.model._meta.db_table, self.column)
        return envelope.place_in(
            self._label, context.organization, instance.pk, context.conversation, context.revision
        )


def seal_now(instance: models.Model, name: str) -> Sealed:
    """Seal at once, so that the trail can hold the commitment before the row is inserted."""
    field, content = _held(instance, name)
    content = field.seal(instance, content)
    if content.text is None:
        content = field.open(instance, content)
    assert content.token is not None
    assert content.salt is not None
    assert content.text is not None
    return Sealed(content.token, content.salt, content.text)


def opened(instance: models.Model, name: str) -> Opened:
    """The text with the salt of its commitment. Raises `SealError`; ValueError on NULL."""
    sealed = seal_now(instance, name)
    return Opened(sealed.text, sealed.salt)


def token(instance: models.Model, name: str) -> str:
    """The token as it is, or will be, in the database; seals what is not sealed yet."""
    field, content = _held(instance, name)
    if content.token is not None and not content.assigned:
        return content.token
    sealed = field.seal(instance, content).token
    assert sealed is not None
    return sealed


def open_token(
    token: str,
    *,
    organization: UUID,
    table: str,
    column: str,
    pk: UUID | int | str,
    conversation: UUID | None,
    revision: int,
) -> Opened:
    """Open a token that came by another way than its row. Raises `SealError`."""
    place = envelope.place_in(
        envelope.label(table, column), organization, pk, conversation, revision
    )
    raw = envelope.decode(token)
    key = keyring.to_open(envelope.dek_id_of(raw))
    return envelope.unseal(key.cipher, raw, place)


def _held(instance: models.Model, name: str) -> tuple[SealedTextField, _Content]:
    attribute = getattr(type(instance), name)
    if not isinstance(attribute, SealedAttribute):
        raise TypeError(f"{name} is not a sealed field")
    content = attribute.content(instance)
    if content is None:
        raise ValueError(f"{name} is empty")
    return attribute.field, content
