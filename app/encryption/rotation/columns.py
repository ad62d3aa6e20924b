"""Every sealed column there is, and who wants to know when what stands in it is sealed anew."""

from collections.abc import Callable, Collection, Iterator
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection, models

from app.encryption.envelope import dek_id_in, head_of
from app.encryption.fields import SealedModel, SealedTextField, token

Resealed = Callable[[type[SealedModel], Collection[Any]], None]
Ended = Callable[[UUID | None, Collection[UUID]], None]

on_resealed: list[Resealed] = []
"""Called with a model and primary keys, in the transaction that sealed those rows anew."""
on_ended: list[Ended] = []
"""Called with a conversation and ids of data keys, in the transaction that destroys them."""


def sealed_models() -> list[type[SealedModel]]:
    """The models with sealed columns, as the registry of apps knows them."""
    return [model for model in apps.get_models() if issubclass(model, SealedModel)]


def sealed_fields(model: type[models.Model]) -> list[SealedTextField[Any, Any]]:
    return [field for field in model._meta.concrete_fields if isinstance(field, SealedTextField)]


def rows_under(
    model: type[SealedModel], keys: Collection[UUID], *, batch: int
) -> Iterator[list[SealedModel]]:
    """The rows with a text under one of `keys`, in batches by primary key, each read afresh."""
    table, pk = model._meta.db_table, str(model._meta.pk.column)
    columns = [str(field.column) for field in sealed_fields(model)]
    heads = [head_of(key.bytes) for key in keys]
    under = " OR ".join(f'left("{column}", 25) = ANY(%s)' for column in columns)
    last: Any = None
    while True:
        after, given = ("", []) if last is None else (f'"{pk}" > %s AND ', [last])
        with connection.cursor() as cursor:
            cursor.execute(
                f'SELECT "{pk}" FROM "{table}" WHERE {after}({under})'  # noqa: S608 - names of ours
                f' ORDER BY "{pk}" LIMIT %s',
                [*given, *([heads] * len(columns)), batch],
            )
            found = [row[0] for row in cursor.fetchall()]
        if not found:
            return
        last = found[-1]
        yield list(model._base_manager.filter(pk__in=found).order_by("pk"))


def tokens_under(row: SealedModel, keys: Collection[bytes]) -> Iterator[tuple[Any, str, bytes]]:
    """(field, token, data key's id) of the row's texts under one of `keys`."""
    for field in sealed_fields(type(row)):
        try:
            stored = token(row, field.attname)
        except ValueError:  # it is NULL
            continue
        dek_id = dek_id_in(stored)
        if dek_id is not None and dek_id in keys:
            yield field, stored, dek_id


def replace(model: type[SealedModel], field: Any, changes: list[tuple[Any, str, str]]) -> list[Any]:
    """Write (primary key, old token, new token) where the old one still stands; returns where."""
    if not changes:
        return []
    table, column = model._meta.db_table, str(field.column)
    pk, kind = str(model._meta.pk.column), model._meta.pk.db_type(connection)
    values = ", ".join([f"(%s::{kind}, %s, %s)"] * len(changes))
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE "{table}" AS t SET "{column}" = v.new FROM (VALUES {values})'  # noqa: S608
            f' AS v(pk, old, new) WHERE t."{pk}" = v.pk AND t."{column}" = v.old'
            f' RETURNING t."{pk}"',
            [part for change in changes for part in change],
        )
        return [row[0] for row in cursor.fetchall()]
