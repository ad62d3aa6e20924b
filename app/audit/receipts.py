"""Receipts: the leaf hash of each entry, told outside the database as soon as it is committed.

One line of JSON each, without content, on standard output (setting RECEIPTS): whoever collects
our logs then holds what we are bound to, and can ask later whether it is still in the log
(`receipt_check`).
"""

import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction

if TYPE_CHECKING:
    from app.audit.writing import Written

EVENT = "receipt"
log = logging.getLogger(__name__)


def announce(written: "Sequence[Written]", *, using: str) -> None:
    """Tell the receipts of entries once their transaction has committed; never if it does not."""
    if written and log.isEnabledFor(logging.INFO):
        lines = "\n".join(map(_line, written))
        transaction.on_commit(lambda: log.info(lines), using=using, robust=True)


def _line(written: "Written") -> str:
    # By hand, because json.dumps would cost as much as the rest of writing an entry.
    leaf_hash, time = written.leaf_hash.hex(), written.leaf[3:30].decode()
    log_of = _log_of(written.record.organization, settings.CHECKPOINT_ORIGIN)
    return f'{{"event": "{EVENT}", {log_of}, "leaf_hash": "{leaf_hash}", "time": "{time}"}}'


@lru_cache(maxsize=4096)
def _log_of(organization: UUID, origin: str) -> str:
    """The part of the line that an organization's receipts share."""
    document = {"organization": str(organization), "log": f"{origin}/{organization}"}
    return json.dumps(document)[1:-1]
