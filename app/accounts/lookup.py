"""The question of every request, whose session it comes with: its SQL is made once.

Django makes SQL anew for each query, and for this one that takes longer than to ask it
(docs/performance.md). What is asked is `access.live`, the one rule of which sessions are alive.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import cache, partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.query import get_related_populators
from django.utils import timezone

from app.accounts import access
from app.accounts.models import Session

_NONE = UUID(int=0)


class _Asked(NamedTuple):
    now: datetime
    session: UUID = _NONE
    user: UUID = _NONE


class Seen(NamedTuple):
    """Whose session it is, and when it was last in use, to the minute."""

    user: UUID
    at: datetime


class _Lookup(NamedTuple):
    sql: str
    parameters: tuple[Callable[[_Asked], Any], ...]
    made: Callable[[tuple[Any, ...]], Session]


def live_session(session_id: UUID, user_id: UUID) -> Session | None:
    """The session with its user and organization, if it is alive and belongs to that user."""
    asked = _Asked(timezone.now(), session_id, user_id)
    lookup = _lookup()
    with connection.cursor() as cursor:
        cursor.execute(lookup.sql, [parameter(asked) for parameter in lookup.parameters])
        row = cursor.fetchone()
    return None if row is None else lookup.made(row)


def alive(ids: Collection[UUID]) -> dict[UUID, Seen]:
    """Those of these sessions that are alive."""
    asked = _Asked(timezone.now())
    sql, parameters = _many()
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(parameter(asked) for parameter in parameters), [*ids]])
        return {session: Seen(user, at) for session, user, at in cursor.fetchall()}


@cache
def _many() -> tuple[str, tuple[Callable[[_Asked], Any], ...]]:
    example = _Asked(timezone.now())
    found = access.live(example.now).values_list("pk", "user_id", "last_seen_at")
    sql, parameters = found.query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
    places = tuple(_place(one, example) for one in parameters)
    return f"{sql} AND accounts_session.id = ANY(%s)", places


@cache
def _lookup() -> _Lookup:
    example = _Asked(timezone.now(), uuid4(), uuid4())
    found = access.live(example.now).filter(pk=example.session, user=example.user)
    compiler = found.select_related("user__organization").query.get_compiler(DEFAULT_DB_ALIAS)
    sql, parameters = compiler.as_sql()
    return _Lookup(sql, tuple(_place(one, example) for one in parameters), _maker(compiler))


def _place(parameter: Any, example: _Asked) -> Callable[[_Asked], Any]:
    """What stands in this place of the SQL, whoever asks."""
    if parameter == example.session:
        return lambda asked: asked.session
    if parameter == example.user:
        return lambda asked: asked.user
    if isinstance(parameter, datetime):
        age = example.now - parameter
        return lambda asked: asked.now - age
    return lambda _: parameter


def _maker(compiler: Any) -> Callable[[tuple[Any, ...]], Session]:
    """Makes a row an instance with what belongs to it, as `ModelIterable` does."""
    select, info = compiler.select, compiler.klass_info
    fields = info["select_fields"]
    names = [select[at][0].target.attname for at in fields]
    make = partial(Session.from_db, DEFAULT_DB_ALIAS, names)
    related = get_related_populators(info, select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]  # the stubs are of the next Django
    converters = compiler.get_converters([expression for expression, *_ in select])

    def made(row: tuple[Any, ...]) -> Session:
        [values] = compiler.apply_converters([row], converters)
        session = make(values[fields[0] : fields[-1] + 1])
        for populator in related:
            populator.populate(values, session)
        return session

    return made
