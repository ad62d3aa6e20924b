"""A thread's kept connection is asked whether it works only where that may have changed."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from app import kept_connection
from app.realtime import lanes
from app.web.connections import ConnectionsMiddleware
from tests.live import LiveDatabase


class _Thread:
    """Work that one thread does; what it asked of PostgreSQL before each query of the work."""

    def __init__(self, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self._work = work
        works = connection.is_usable

        def is_usable() -> bool:
            self.asked += 1
            return works()

        monkeypatch.setattr(connection, "is_usable", is_usable)

    def work(self) -> int:
        """Returns the process of PostgreSQL that answered."""
        connection.close_if_unusable_or_obsolete()  # as at the beginning of each request
        return self._work()


def _process() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _of_web() -> Callable[[], int]:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(_process()))

    serve = ConnectionsMiddleware(view)
    return lambda: int(serve(RequestFactory().get("/")).content)


def _of_a_lane() -> Callable[[], int]:
    return lambda: lanes._with_connections(_process, ())


@pytest.fixture(params=[_of_web, _of_a_lane], ids=["web", "lane"])
def thread(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[_Thread]:
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    try:
        yield _Thread(request.param(), monkeypatch)
    finally:
        connection.close()
        connection.settings_dict.clear()
        connection.settings_dict.update(before)


def test_it_is_believed_right_after_it_has_worked(thread: _Thread) -> None:
    assert thread.work() == thread.work() == thread.work()
    assert thread.asked == 0


def test_it_is_asked_after_a_while(thread: _Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_connection, "FRESH", 0.0)
    assert thread.work() == thread.work() == thread.work()
    assert thread.asked == 2


def test_one_that_postgresql_has_ended_is_replaced(thread: _Thread, live_db: LiveDatabase) -> None:
    ended = thread.work()
    _end(live_db, ended)
    assert thread.work() != ended
    assert thread.asked == 1
    assert thread.work()
    assert thread.asked == 1


def test_another_connection_than_that_is_asked(thread: _Thread) -> None:
    thread.work()
    connection.close()
    connection.ensure_connection()
    thread.work()
    assert thread.asked == 1


def _end(live_db: LiveDatabase, process: int) -> None:
    import psycopg2

    superuser = psycopg2.connect(live_db.superuser_url)
    try:
        superuser.autocommit = True
        with superuser.cursor() as cursor:
            # Waits until it is gone.
            cursor.execute("SELECT pg_terminate_backend(%s, 20000)", [process])
            assert cursor.fetchone() == (True,)
    finally:
        superuser.close()
