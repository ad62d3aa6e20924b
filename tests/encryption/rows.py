"""What an attacker with the database's password does: reads and writes columns as they are."""

from typing import Any

from django.db import connection, models


def column(row: models.Model, name: str) -> str:
    """What is really stored."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        value: str = cursor.fetchone()[0]
    return value


def overwrite(row: models.Model, name: str, value: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {row._meta.db_table} SET {name} = %s WHERE id = %s", [value, row.pk]
        )


def changed(text: str, position: int, others: list[str]) -> str:
    """``text`` with another character at ``position`` (counted around its end).

    ``others`` are two different characters, so that one of them is another than the one there.
    What is drawn must not depend on the text: tokens are random, and Hypothesis replays its draws.
    """
    position %= len(text)
    other = next(character for character in others if character != text[position])
    return text[:position] + other + text[position + 1 :]
