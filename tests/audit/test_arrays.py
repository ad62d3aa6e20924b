"""Columns as text forms of arrays: PostgreSQL reads back what was written."""

from uuid import uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.audit import arrays

pytestmark = pytest.mark.usefixtures("db")
texts = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=texts)
@example(texts=["", '"', "\\", '\\"', "NULL", "null", "{a,b}", ",", " ", '","', "ü"])
def test_texts_are_read_back(texts: list[str]) -> None:
    assert read_back(arrays.quoted(texts), "text[]") == texts


@pytest.mark.parametrize("texts", [["a\0b"], ["a", "b\0"], ["\0"]], ids=["in", "second", "alone"])
def test_what_no_text_may_hold_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"U\+0000"):
        arrays.quoted(texts)


def test_ids_and_numbers_are_read_back_and_none_is_null() -> None:
    ids = [uuid4() for _ in range(3)]
    assert read_back(arrays.plain(ids), "uuid[]") == ids
    assert read_back(arrays.plain([*map(str, ids)]), "uuid[]") == ids
    assert read_back(arrays.plain([str(ids[0]), None]), "uuid[]") == [ids[0], None]
    assert read_back(arrays.plain([1, None, -3]), "bigint[]") == [1, None, -3]
    assert read_back(arrays.plain([]), "bigint[]") == []


@pytest.mark.parametrize(
    "numbers", [[], [7], [-(2**63), 0, 2**63 - 1]], ids=["none", "one", "ends"]
)
def test_integers_are_read_back(numbers: list[int]) -> None:
    assert read_back(arrays.integers(numbers), "bigint[]") == numbers


def read_back(text: str, kind: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}", [text])
        return cursor.fetchone()[0]
