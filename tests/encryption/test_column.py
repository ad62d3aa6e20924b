"""Many rows of a column at once: the same texts as on their instances, the same refusals."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from app.encryption.column import Cell, open_column
from app.encryption.envelope import Fault, SealError
from app.encryption.fields import token
from app.encryption.keyring import keyring
from tests.encryption.sample import Letter

pytestmark = pytest.mark.usefixtures("samples")


def opened(organization: UUID, cells: Sequence[Cell]) -> list[bytes | Fault]:
    found = open_column(cells, organization=organization, table="sample_letter", column="body")
    return [one.code if isinstance(one, SealError) else one for one in found]


def cell(letter: Letter) -> Cell:
    assert letter.conversation_id
    return (
        token(letter, "body"),
        letter.pk.bytes,
        letter.conversation_id.bytes,
        letter.revision,
    )


def letters(organization: UUID, number: int = 3) -> list[Letter]:
    return [
        Letter(organization_id=organization, body=f"für {at}", revision=1 + 40 * at)
        for at in range(number)
    ]


def test_all_are_opened_with_one_query_for_their_keys() -> None:
    organization = uuid4()
    cells = [cell(letter) for letter in letters(organization)]
    keyring.forget()
    with CaptureQueriesContext(connection) as queries:
        assert opened(organization, cells) == [f"für {at}".encode() for at in range(3)]
    assert len(queries.captured_queries) == 1


def test_one_that_does_not_open_stands_between_the_others() -> None:
    organization = uuid4()
    one, two, three = (cell(letter) for letter in letters(organization))
    unknown = "cv1." + "A" * 120
    cells = [one, ("cv1.no token", *two[1:]), (unknown, *two[1:]), (three[0], *two[1:]), two]
    assert opened(organization, cells) == [
        "für 0".encode(),
        Fault.MALFORMED,
        Fault.UNKNOWN_KEY,
        Fault.REFUSED,
        "für 1".encode(),
    ]


@pytest.mark.parametrize("elsewhere", ["organization", "row", "conversation", "revision"])
def test_a_text_opens_nowhere_else(elsewhere: str) -> None:
    organization = uuid4()
    (letter,) = letters(organization, 1)
    text, row, conversation, revision = cell(letter)
    moved = {
        "organization": (text, row, conversation, revision),
        "row": (text, uuid4().bytes, conversation, revision),
        "conversation": (text, row, uuid4().bytes, revision),
        "revision": (text, row, conversation, revision + 1),
    }[elsewhere]
    asked = uuid4() if elsewhere == "organization" else organization
    assert opened(asked, [moved]) == [Fault.REFUSED]
