"""Each version of each message against its entry, and each row against the trail."""

from collections.abc import Iterator
from typing import Any

from app.audit import disclosure
from app.audit.actions import Action
from app.audit.body import Body, parse
from app.audit.canonical import NotCanonical
from app.chat.models import MessageVersion, VersionKind
from app.compliance.reconciliation.findings import Comparison, Fault
from app.compliance.reconciliation.rows import stream
from app.encryption.fields import SealError, opened, prefetch_data_keys, token

_BATCH = 1000  # entries
_KINDS = {
    Action.MESSAGE_SENT: VersionKind.CREATED,
    Action.MESSAGE_EDITED: VersionKind.EDITED,
    Action.MESSAGE_DELETED: VersionKind.DELETED,
}


def check_messages(found: Comparison) -> None:
    """Add what differs; reads the caller's snapshot."""
    for batch in _logged(found):
        _check_batch(found, batch)
    for version, message in stream(_UNLOGGED, found.organization):
        place = f"version {version} of message {message}"
        found.add(Fault.UNLOGGED, place, "no entry of the trail tells of it")
    for (message,) in stream(_ODD_MESSAGES, found.organization):
        found.add(Fault.STATE, f"message {message}", "its row does not fit its versions")


def _logged(found: Comparison) -> Iterator[list[tuple[int, Body]]]:
    """What the trail says of messages, as (entry id, body), in the order of writing."""
    told = disclosure.covered(found.organization).filter(action_name__in=list(_KINDS))
    last = 0
    while rows := list(told.filter(pk__gt=last).order_by("pk").values_list("pk", "body")[:_BATCH]):
        last = rows[-1][0]
        batch = []
        for pk, body in rows:
            try:
                batch.append((pk, parse(bytes(body))))
            except NotCanonical as error:
                found.add(Fault.ENTRY, f"entry {pk}", str(error))
        yield batch


def _check_batch(found: Comparison, batch: list[tuple[int, Body]]) -> None:
    wanted = [str(body.after.get("version")) for _, body in batch]
    rows = MessageVersion.objects.filter(pk__in=wanted).select_related("message")
    versions = {str(row.pk): row for row in rows}
    tokens = [_token(row) for row in versions.values()]
    prefetch_data_keys([text for text in tokens if text is not None])
    for entry_id, body in batch:
        found.versions += 1
        row = versions.get(str(body.after.get("version")))
        if row is None:
            message = f"entry {entry_id} tells of it, and its row is gone"
            found.add(Fault.MISSING, _place(body), message)
            continue
        if differing := _differing(row, entry_id, body):
            message = f"entry {entry_id} says otherwise: {', '.join(differing)}"
            found.add(Fault.DIFFERS, _place(body), message)
        _check_text(found, row, body)


def _differing(row: MessageVersion, entry_id: int, body: Body) -> list[str]:
    """The names of columns that do not say what the entry says."""
    message = row.message
    told: dict[str, tuple[Any, Any]] = {
        "message": (str(row.message_id), body.target.id),
        "organization": (str(row.organization_id), body.organization),
        "conversation": (str(row.conversation_id), body.scope),
        "revision": (row.revision, body.after.get("revision")),
        "kind": (row.kind, _KINDS[Action(body.action)]),
        "editor": (str(row.editor_id), body.actor.id),
        "entry": (row.entry_id, entry_id),
    }
    if row.revision == 1:
        thread = str(message.thread_id) if message.thread_id else None
        told |= {
            "author": (str(message.author_id), body.actor.id),
            "offset": (message.offset, body.parameters.get("offset")),
            "thread": (thread, body.parameters.get("thread")),
        }
    return [name for name, (column, logged) in told.items() if column != logged]


def _check_text(found: Comparison, row: MessageVersion, body: Body) -> None:
    logged = body.after.get("content")
    if _token(row) is None:
        # An edit of an erased text is logged without a commitment; a deletion always is.
        if logged is not None:
            found.add(Fault.TEXT_MISSING, _place(body), "the row has lost its text")
        return
    try:
        commitment = opened(row, "body").commitment.hex()
    except SealError as error:
        if error.erased:
            found.erased += 1
        else:
            found.add(Fault.UNREADABLE, _place(body), str(error))
        return
    if commitment != logged:
        found.add(Fault.TEXT, _place(body), "its text is not the one that was logged")


def _token(row: MessageVersion) -> str | None:
    try:
        return token(row, "body")
    except ValueError:  # NULL
        return None


def _place(body: Body) -> str:
    return f"version {body.after.get('version')} of message {body.target.id}"


# An entry tells of one version, so a second row that names the same entry is unlogged too.
_UNLOGGED = """
SELECT v.id, v.message_id FROM chat_messageversion v
WHERE v.organization_id = %(organization)s AND NOT EXISTS (
    SELECT FROM audit_entry e WHERE e.id = v.entry_id AND e.organization_id = v.organization_id
        AND e.target_type = 'message' AND e.target_id = v.message_id::text
        AND strpos(encode(e.body, 'escape'), v.id::text) > 0
)
"""
_ODD_MESSAGES = """
SELECT m.id FROM chat_message m JOIN chat_conversation c ON c.id = m.conversation_id
WHERE c.organization_id = %(organization)s AND (
    SELECT (max(v.revision), count(*), bool_and(v.conversation_id = m.conversation_id),
        bool_or(v.kind = 'deleted'))
    FROM chat_messageversion v WHERE v.message_id = m.id
) IS DISTINCT FROM (m.revision, m.revision::bigint, true, m.deleted_at IS NOT NULL)
"""
