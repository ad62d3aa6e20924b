"""Sealed text: what a person wrote, readable only in the row that it was written for.

Sealing happens in `pre_save` (or earlier, by `seal_now`), opening on first read; queries,
forms, serializers and pickles see tokens or `<sealed>`. A token that does not open raises.
"""

from collections.abc import Collection, Iterable
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.core import checks
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from app.encryption import envelope
from app.encryption.contents import Content, Known, Loaded, StoredToken, Written
from app.encryption.envelope import Fault, Opened, Sealed, SealError
from app.encryption.keyring import data_keys_held, keyring, prefetch_data_keys
from app.encryption.secret import (
    WRITTEN,
    Get_co,
    SecretTextField,
    Set_contra,
    StrictTextField,
    blind_index,
)

__all__ = [
    "Fault",
    "Opened",
    "SealError",
    "Sealed",
    "SealedManager",
    "SealedModel",
    "SealedTextField",
    "SealingContext",
    "SecretTextField",
    "TextSealer",
    "blind_index",
    "data_keys_held",
    "open_token",
    "opened",
    "prefetch_data_keys",
    "seal_now",
    "token",
]


class SealingContext(NamedTuple):
    """Where a row's texts belong, besides table, column and primary key."""

    organization: UUID
    conversation: UUID | None  # None: the organization itself
    revision: int


_RESTORE = " (put the row back from a backup, with its revision; `reconcile` finds all such rows)"
_REMEDIES = {Fault.REFUSED: _RESTORE, Fault.MALFORMED: _RESTORE, Fault.UNKNOWN_KEY: _RESTORE}

_handing_over: ContextVar[bool] = ContextVar("parley_handing_over_tokens", default=False)


_Row = TypeVar("_Row", bound=models.Model)


class SealedQuerySet(models.QuerySet[_Row]):
    """Refuses to update rows in passing, with texts that were sealed for others."""

    def bulk_create(  # noqa: PLR0917 - Django's own
        self,
        objs: Iterable[_Row],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[_Row]:
        if update_conflicts:
            # The row in the way keeps its primary key and would get a text sealed for another.
            raise FieldError(f"{self.model._meta.label} has encrypted texts: no update_conflicts.")
        return super().bulk_create(objs, batch_size, ignore_conflicts)


class SealedManager(models.Manager[_Row]):
    """The manager of every `SealedModel`."""

    def get_queryset(self) -> SealedQuerySet[_Row]:
        return SealedQuerySet(self.model, using=self._db)


class SealedModel(models.Model):
    """A row with sealed texts: says where they belong, and reloads them without opening."""

    objects = SealedManager()

    class Meta:
        abstract = True

    def sealing_context(self) -> SealingContext:
        """Read at each sealing and opening: must be cheap and must not query."""
        raise NotImplementedError(f"{type(self).__name__}.sealing_context() is missing")

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: "models.QuerySet[Any] | None" = None,
    ) -> None:
        # Django copies the attributes of a fresh instance: hand over tokens, not texts.
        reset = _handing_over.set(True)
        try:
            super().refresh_from_db(using=using, fields=fields, from_queryset=from_queryset)
        finally:
            _handing_over.reset(reset)


class SealedAttribute(DeferredAttribute):
    """Opens on first read and remembers. Without `__set__`, `__dict__` would shadow it."""

    field: "SealedTextField[Any, Any]"

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        if instance is None:
            return self
        content = self.content(instance)
        if isinstance(content, Loaded):
            if _handing_over.get():
                return StoredToken(content.token)
            content = self.field.open(instance, content)
        return None if content is None else content.text

    def __set__(self, instance: models.Model, value: Any) -> None:
        name = self.field.attname
        if value is None:
            instance.__dict__[name] = None
        elif isinstance(value, StoredToken):
            instance.__dict__[name] = Loaded(value.token)
        elif isinstance(value, str):
            instance.__dict__[name] = _assigned(instance.__dict__.get(name), str(value))
        else:
            raise TypeError(f"{self.field.name} takes a text, not {type(value).__name__}")

    def content(self, instance: models.Model) -> Loaded | Written | Known | None:
        """What the instance holds; a deferred field is loaded first."""
        name = self.field.attname
        if name not in instance.__dict__:
            instance.refresh_from_db(fields=[name])
        held: Loaded | Written | Known | None = instance.__dict__[name]
        return held


def _assigned(before: Content | None, text: str) -> Content:
    # full_clean() assigns what it read: the same text keeps its token, salt and commitment.
    if isinstance(before, Known) and before.text == text:
        return Known(before.token, before.place, Opened(text, before.salt), anew=True)
    return Written(text)


class SealedTextField(StrictTextField[Set_contra, Get_co]):
    """A text that is sealed for its row, on a `SealedModel`.

    Reading raises `SealError` when the token was changed, moved or erased.
    """

    descriptor_class = SealedAttribute
    _label: bytes | None = None

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        found = [*super().check(**kwargs)]
        if not issubclass(self.model, SealedModel):
            found.append(checks.Error("inherit from SealedModel", obj=self, id="encryption.E001"))
        if isinstance(self.model._meta.pk, models.AutoField):
            why = "a text is sealed for its primary key: the database must not choose it"
            found.append(checks.Error(why, obj=self, id="encryption.E002"))
        if self.unique or getattr(self, "db_index", False):
            why = "no two tokens are equal: index a blind index"
            found.append(checks.Error(why, obj=self, id="encryption.E003"))
        if not isinstance(self.model._default_manager, SealedManager):
            found.append(checks.Error("use a SealedManager", obj=self, id="encryption.E004"))
        return found

    # From rows to instances

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else StoredToken(value)

    def open(self, instance: models.Model, content: Loaded) -> Known:
        """Open what was loaded, and let the instance remember it."""
        place = self.place_of(instance)
        try:
            known = Known(content.token, place, _open(content.token, place))
        except SealError as error:
            told = f"{self.model._meta.db_table}.{self.column} of row {instance.pk}"
            raise error.at(told + _REMEDIES.get(error.code, "")) from error.__cause__
        instance.__dict__[self.attname] = known
        return known

    # From instances to rows

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        attribute: SealedAttribute = getattr(type(model_instance), self.attname)
        content = attribute.content(model_instance)
        if content is None:
            return None
        return StoredToken(self.seal(model_instance, content).token)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, StoredToken):
            return value.token
        if value is not None:
            self._refuse(WRITTEN)
        return None

    def seal(self, instance: models.Model, content: Loaded | Written | Known) -> Loaded | Known:
        """What may be stored: the token held, if it belongs here, or a new one."""
        if isinstance(content, Loaded):
            return self._confirmed(instance, content)
        context = _context(instance)
        place = self._place(instance, context)
        if isinstance(content, Known):
            if content.place == place:
                return content
            if not content.anew:
                raise SealError(
                    Fault.MOVED,
                    f"{self.model._meta.label}.{self.name} changed its place: assign it anew",
                )
        key = keyring.to_seal(context.organization, context.conversation)
        sealed = envelope.seal(key.cipher, key.dek_id, place, content.text)
        known = Known(sealed.token, place, sealed)
        instance.__dict__[self.attname] = known
        return known

    def _confirmed(self, instance: models.Model, content: Loaded) -> Loaded | Known:
        """A loaded token is written back only to where it belongs."""
        try:
            return self.open(instance, content)
        except SealError as error:
            if error.erased:
                return content  # nobody can read it, here or elsewhere
            raise

    def place_of(self, instance: models.Model) -> bytes:
        """Where the instance's text belongs: see `envelope.place_in`."""
        return self._place(instance, _context(instance))

    def _place(self, instance: models.Model, context: SealingContext) -> bytes:
        if self._label is None:
            self._label = envelope.label(self.model._meta.db_table, str(self.column))
        return envelope.place_in(
            self._label, context.organization, instance.pk, context.conversation, context.revision
        )


def seal_now(instance: models.Model, name: str) -> Sealed:
    """Seal at once, so that the trail can hold the commitment before the row is inserted.

    Twice gives the same token. Raises `SealError`; ValueError when the field is NULL.
    """
    field, content = _held(instance, name)
    content = field.seal(instance, content)
    if isinstance(content, Loaded):
        content = field.open(instance, content)
    return Sealed(content.token, content.salt, content.text)


def opened(instance: models.Model, name: str) -> Opened:
    """The text with the salt of its commitment; seals a text that is not sealed yet.

    Raises `SealError`; ValueError when the field is NULL.
    """
    sealed = seal_now(instance, name)
    return Opened(sealed.text, sealed.salt)


def token(instance: models.Model, name: str) -> str:
    """The token as it is, or will be, in the database; opens nothing that was loaded.

    Raises `SealError`; ValueError when the field is NULL.
    """
    field, content = _held(instance, name)
    if isinstance(content, Loaded):
        return content.token
    return field.seal(instance, content).token


class TextSealer:
    """Seals the texts of one conversation in one column, for rows that are written past their
    model, by SQL."""

    __slots__ = ("_column", "_conversation", "_organization", "_within")

    def __init__(self, *, organization: UUID, table: str, column: str, conversation: UUID) -> None:
        self._organization, self._conversation = organization, conversation
        self._column = envelope.column_in(envelope.label(table, column), organization)
        self._within = conversation.bytes

    def seal(self, text: str, *, pk: bytes, revision: int) -> tuple[Sealed, bytes]:
        """Seal a text for the row of which `pk` is the UUID's bytes; returns the data key's id
        with it. Raises `SealError`, KeyUnavailable.
        """
        key = keyring.to_seal(self._organization, self._conversation)
        place = envelope.row_in(self._column, pk, self._within, revision)
        return envelope.seal(key.cipher, key.dek_id, place, text), key.dek_id


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
    label = envelope.label(table, column)
    return _open(token, envelope.place_in(label, organization, pk, conversation, revision))


def _open(token: str, place: bytes) -> Opened:
    raw = envelope.decode(token)
    return envelope.unseal(keyring.to_open(envelope.dek_id_of(raw)).cipher, raw, place)


def _context(instance: models.Model) -> SealingContext:
    if not isinstance(instance, SealedModel):
        raise TypeError(f"{type(instance).__name__} is not a SealedModel (in a migration?)")
    return instance.sealing_context()


def _held(
    instance: models.Model, name: str
) -> tuple["SealedTextField[Any, Any]", Loaded | Written | Known]:
    attribute = getattr(type(instance), name)
    if not isinstance(attribute, SealedAttribute):
        raise TypeError(f"{name} is not a sealed field")
    content = attribute.content(instance)
    if content is None:
        raise ValueError(f"{name} is empty")
    return attribute.field, content
