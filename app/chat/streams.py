"""Opens the texts of message events, for the hub: from the hint's token, or from the row.

Names of files are always read from their rows: few messages have any.
"""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from app.chat.access import attached, readable, shown, text_of
from app.chat.models import MessageVersion
from app.encryption.fields import data_keys_held, open_token, prefetch_data_keys, token
from app.realtime.log import Event

_WITH_TEXT = {"message.created", "message.edited"}


def open_bodies(events: Sequence[Event]) -> None:
    """Fill in `data["body"]` and `data["attachments"]`; None where a text was erased.

    An event in the log brings no text along: its version is read, all of them at once.
    """
    with_text = [event for event in events if event.type in _WITH_TEXT]
    hinted = [event for event in with_text if event.sealed]
    prefetch_data_keys(_tokens(hinted))
    _fill_from_hints(hinted)
    logged = [event for event in with_text if not event.sealed]
    if logged:
        _fill_from_rows(logged)
    carriers = [event for event in events if event.data.get("attachments")]
    if carriers:
        _name_files(carriers)


def open_at_once(events: Sequence[Event]) -> bool:
    """Do the same without a query, and so without waiting; where it takes one, do nothing.

    Returns whether it was done.
    """
    hinted = [event for event in events if event.type in _WITH_TEXT]
    if not all(event.sealed for event in hinted) or not data_keys_held(_tokens(hinted)):
        return False
    if any(event.data.get("attachments") for event in events):
        return False
    _fill_from_hints(hinted)
    return True


def _tokens(hinted: Sequence[Event]) -> list[str]:
    return [event.sealed[0] for event in hinted if event.sealed]


def _fill_from_hints(hinted: Sequence[Event]) -> None:
    for event in hinted:
        if event.sealed:
            event.data["body"] = _hinted_text(event, *event.sealed)


def _name_files(carriers: list[Event]) -> None:
    found = defaultdict(list)
    for row in attached({UUID(event.data["id"]) for event in carriers}):
        found[str(row.message_id)].append(shown(row))
    for event in carriers:
        event.data["attachments"] = found[event.data["id"]]


def _hinted_text(event: Event, sealed: str, organization: str, version: str) -> str | None:
    def open_it() -> str:
        return open_token(
            sealed,
            organization=UUID(organization),
            table=MessageVersion._meta.db_table,
            column="body",
            pk=UUID(version),
            conversation=UUID(event.stream.partition(":")[2]),
            revision=event.data["revision"],
        ).text

    return readable(open_it, UUID(version))


def _fill_from_rows(events: list[Event]) -> None:
    wanted = {(UUID(event.data["id"]), event.data["revision"]): event for event in events}
    rows = [
        row
        for row in MessageVersion.objects.filter(message__in={key[0] for key in wanted})
        if (row.message_id, row.revision) in wanted
    ]
    prefetch_data_keys([token(row, "body") for row in rows])
    for event in events:
        event.data["body"] = None  # whatever a hint says: a text is what is in the database
    for row in rows:
        wanted[row.message_id, row.revision].data["body"] = text_of(row)
