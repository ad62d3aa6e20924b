"""PostgreSQL's 64-bit transaction id as a column: never wraps, orders by begin of transaction."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _Field = models.Field[int, int]
else:
    _Field = models.Field


class TransactionIdField(_Field):
    """An `xid8`; read as int, written by the database alone."""

    description = "PostgreSQL transaction id (xid8)"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "xid8"

    def from_db_value(self, value: Any, *_: Any) -> int | None:
        return None if value is None else int(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else str(int(value))


class CurrentTransactionId(models.Func):
    """`pg_current_xact_id()`: the top-level transaction's id, also inside savepoints."""

    function = "pg_current_xact_id"
    output_field = TransactionIdField()
