"""What is copied out of the database is exactly what is in it, whatever somebody put there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.rows import columns, unescape, unload

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ODD = ["\\N", "\\x41", "\\\\", "\t\n\r\b\f\v\\t", "ü\\303\\274", "", "."]


def unloaded(statement: str, *parameters: object) -> list[list[str | None]]:
    found: list[list[str | None]] = []
    unload(statement, parameters, lambda line: found.append(columns(line)))
    return found


@pytest.mark.django_db
def test_every_text_comes_out_as_it_is() -> None:
    statement = "SELECT text, NULL::text, text FROM unnest(%s) WITH ORDINALITY AS t (text, n)"

    @given(st.lists(TEXTS | st.sampled_from(ODD), max_size=9))
    def comes_out(texts: list[str]) -> None:
        texts = texts + ODD
        rows = unloaded(f"{statement} ORDER BY n", texts)
        assert rows == [[text, None, text] for text in texts]

    comes_out()


@pytest.mark.django_db
def test_every_byte_comes_out_as_it_is() -> None:
    @given(st.binary())
    def comes_out(data: bytes) -> None:
        ((text,),) = unloaded("SELECT encode(%s, 'escape')", data)
        assert unescape(text) == data

    comes_out()
    ((text,),) = unloaded("SELECT encode(%s, 'escape')", bytes(range(256)) + b"\\101\\\\")
    assert unescape(text) == bytes(range(256)) + b"\\101\\\\"


def test_bytes_that_are_not_there_are_none() -> None:
    assert unescape(None) == b""
