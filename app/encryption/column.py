"""Opening many rows of one sealed column, past their models: for searching and its like.

Each text opens only where it belongs, as on an instance (see `fields`): what is saved is the
instance, and what all rows of a column share is put together once.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

from app.encryption import envelope
from app.encryption.envelope import SealError
from app.encryption.keyring import keyring

Cell = tuple[str, bytes, bytes, int]
"""A token and where it belongs: row and conversation (UUIDs as their 16 bytes), revision."""


def open_column(
    cells: Sequence[Cell], *, organization: UUID, table: str, column: str
) -> Iterator[bytes | SealError]:
    """The texts in UTF-8; in the place of one that does not open, why it does not.

    Data keys that this process does not hold are read with one query.
    """
    shared = envelope.column_in(envelope.label(table, column), organization)
    found = [_decoded(cell[0]) for cell in cells]
    keyring.prefetch({envelope.dek_id_of(raw) for raw in found if isinstance(raw, bytes)})
    for (_, row, conversation, revision), raw in zip(cells, found, strict=True):
        if isinstance(raw, SealError):
            yield raw
            continue
        try:
            cipher = keyring.to_open(envelope.dek_id_of(raw)).cipher
            place = envelope.row_in(shared, row, conversation, revision)
            yield envelope.content_of(cipher, raw, place)[envelope.SALT_BYTES :]
        except SealError as error:
            yield error


def _decoded(token: str) -> bytes | SealError:
    try:
        return envelope.decode(token)
    except SealError as error:
        return error
