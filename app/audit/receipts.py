"""Receipts: the leaf hash of each entry, told outside the database as soon as it is committed.

One line of JSON each, without content, on standard output (setting RECEIPTS): whoever collects
our logs then holds what we are bound to, and can ask later whether it is still in the log
(`receipt_check`).
"""

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from app.audit import leaves, merkle

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
    organization = written.record.organization
    return json.dumps(
        {
            "event": EVENT,
            "organization": str(organization),
            "log": f"{settings.CHECKPOINT_ORIGIN}/{organization}",
            "leaf_hash": merkle.leaf_hash(written.leaf).hex(),
            "time": leaves.timestamp(written.at),
        }
    )
