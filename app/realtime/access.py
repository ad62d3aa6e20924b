"""Where streams stand. Who may ask is the business of the layers above."""

from collections.abc import Collection
from typing import NamedTuple

from app.realtime.models import Stream


class Place(NamedTuple):
    """The last event's offset in the history `epoch`; ("", 0) before there is any."""

    epoch: str
    offset: int


def places(names: Collection[str]) -> dict[str, Place]:
    """Return where each of the streams stands now."""
    found = Stream.objects.filter(name__in=names).values_list("name", "epoch", "top")
    known = {name: Place(epoch, top) for name, epoch, top in found}
    return {name: known.get(name, Place("", 0)) for name in names}
