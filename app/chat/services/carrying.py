"""The files that a message carries: whether it may, and what the trail says of them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from uuid import UUID

from app.chat import access
from app.chat.models import Attachment
from app.encryption.fields import opened
from app.errors import Conflict, Invalid, NotFound
from app.realtime import protocol
from app.realtime.protocol import MAX_ATTACHMENTS

Files = Mapping[UUID, Attachment]


def lock_files(ids: Collection[UUID]) -> Files:
    """Those that there are; until the commit nobody deletes them or sends them elsewhere."""
    if not ids:
        return {}
    rows = Attachment.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    return {row.pk: row for row in rows}


def may_carry(
    author: UUID, conversation: UUID, message: UUID, wanted: Sequence[UUID], files: Files
) -> None:
    """Raises NotFound for a file that is not the author's here, Conflict, Invalid."""
    if len(wanted) > MAX_ATTACHMENTS or len(set(wanted)) < len(wanted):
        raise Invalid(f"A message carries at most {MAX_ATTACHMENTS} files, each once.")
    for file in (files.get(pk) for pk in wanted):
        if file is None or file.deleted_at is not None:
            raise NotFound("One of the files is not there any more.")
        if file.uploader_id != author or file.conversation_id != conversation:
            raise NotFound("One of the files is not there any more.")
        if file.completed_at is None:
            raise Conflict("One of the files has not arrived whole yet.")
        if file.message_id not in {None, message}:
            raise Conflict("One of the files was sent already.")
        if access.readable(_description(file), file.pk) is None:
            raise NotFound("One of the files is not there any more.")


def _description(file: Attachment) -> Callable[[], str | None]:
    return lambda: file.description


def attach(carried: Iterable[tuple[UUID, Sequence[UUID]]], files: Files) -> None:
    """Bind files to the messages (id, files) that were just written."""
    rows = []
    for message, ids in carried:
        for position, pk in enumerate(ids):
            files[pk].message_id, files[pk].position = message, position
            rows.append(files[pk])
    if rows:
        Attachment.objects.bulk_update(rows, ["message", "position"])


def carried_by(messages: Collection[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """The files of messages that were sent before, in their order."""
    found: dict[UUID, tuple[UUID, ...]] = {}
    rows = Attachment.objects.filter(message__in=messages).order_by("position")
    for message, pk in rows.values_list("message_id", "pk") if messages else ():
        found[message] = (*found.get(message, ()), pk)
    return found


def committed(wanted: Sequence[UUID], files: Files) -> list[dict[str, str]]:
    """What a message's entry holds of its files: id, and the commitment to the description."""
    return [
        {"id": str(pk), "content": opened(files[pk], "description").commitment.hex()}
        for pk in wanted
    ]


def announced(wanted: Sequence[UUID], files: Files) -> list[protocol.Attachment]:
    """What stands in an event's row: nothing that anybody wrote."""
    return [protocol.Attachment(id=str(pk), size=files[pk].size) for pk in wanted]
