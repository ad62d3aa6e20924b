"""Whether receipts that we told are in the log: the other half of `receipts`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.audit.lookup import places
from app.audit.receipts import EVENT

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt as it was told."""

    organization: UUID
    leaf_hash: bytes


@dataclass(slots=True)
class Answer:
    """How many receipts are under a signed checkpoint, how many wait, and which are not known."""

    sealed: int = 0
    waiting: int = 0
    unknown: list[Told] = field(default_factory=list)


def told(lines: Iterable[str]) -> Iterator[Told]:
    """The receipts among lines of a log; whatever else is there is passed over."""
    for line in lines:
        try:
            document = json.loads(line[line.index("{") :])
            if document["event"] == EVENT:
                yield Told(UUID(document["organization"]), bytes.fromhex(document["leaf_hash"]))
        except (ValueError, KeyError, TypeError):
            continue


def check(receipts: Iterable[Told]) -> Answer:
    """Ask for each whether it is in the log. Constant memory but for those that are not known."""
    answer, batch = Answer(), list[Told]()
    for receipt in receipts:
        batch.append(receipt)
        if len(batch) == _AT_ONCE:
            _check(batch, answer)
            batch.clear()
    _check(batch, answer)
    return answer


def _check(batch: Sequence[Told], answer: Answer) -> None:
    for organization in {receipt.organization for receipt in batch}:
        mine = [receipt for receipt in batch if receipt.organization == organization]
        found = places(organization, {receipt.leaf_hash for receipt in mine})
        for receipt in mine:
            if receipt.leaf_hash not in found:
                answer.unknown.append(receipt)
            elif found[receipt.leaf_hash] is None:
                answer.waiting += 1
            else:
                answer.sealed += 1
