"""A service that is away is asked by one now and then, and keeps nobody else waiting."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import metrics, outside
from app.outside import LeftAlone, Service


class Away(Exception):
    """Nobody answers."""


class Refused(Exception):
    """It answers, and does not want this."""


class Clock:
    """Moved by hand; pauses are as long as they may be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("app.outside.time.monotonic", lambda: self.now)
        monkeypatch.setattr("app.outside.SystemRandom", lambda: self)

    def uniform(self, low: float, high: float) -> float:
        assert 0 < low < high, "all processes would ask at the same moment"
        return high

    def pause(self) -> None:
        self.now += outside.PAUSE


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(outside, "services", [])
    return Service(
        "storage", away=lambda error: "gone" if isinstance(error, Away) else "", fine=(KeyError,)
    )


def ask(service: Service, error: Exception | None = None) -> None:
    with service.asked():
        if error:
            raise error


def fail(service: Service, error: Exception) -> None:
    with pytest.raises(type(error)):
        ask(service, error)


def refuses(service: Service) -> bool:
    try:
        ask(service)
    except LeftAlone as left:
        return left.told == "gone"
    return False


def test_what_is_away_is_not_asked_until_the_pause_is_over(service: Service, clock: Clock) -> None:
    fail(service, Away())
    assert outside.away("storage")
    assert metrics.OUTSIDE_AWAY.values["storage",] == 1
    clock.now += outside.PAUSE * 0.99
    assert refuses(service)
    clock.pause()
    assert not refuses(service)
    assert not outside.away("storage")
    assert metrics.OUTSIDE_AWAY.values["storage",] == 0
    assert not refuses(service)


def test_an_answer_that_is_no_says_nothing_of_the_service(service: Service, clock: Clock) -> None:
    for error in (Refused(), KeyError()):
        fail(service, error)
        assert not refuses(service)
        fail(service, Away())
        clock.pause()
        fail(service, error)  # an answer like another: it is back
        assert not refuses(service)


def test_after_the_pause_one_asks_and_the_others_do_not_wait_for_it(
    service: Service, clock: Clock
) -> None:
    fail(service, Away())
    clock.pause()
    asking, answered = threading.Event(), threading.Event()

    def slow() -> None:
        with service.asked():
            asking.set()
            assert answered.wait(30)

    with ThreadPoolExecutor(1) as threads:
        trial = threads.submit(slow)
        assert asking.wait(30)
        assert refuses(service)
        answered.set()
        trial.result(30)
    assert not refuses(service)


def test_who_tries_and_never_comes_back_is_followed_by_another(
    service: Service, clock: Clock
) -> None:
    fail(service, Away())
    clock.pause()
    lost = service.asked()
    lost.__enter__()
    clock.pause()
    assert refuses(service)
    clock.now += outside.TRIAL
    assert not refuses(service)
    lost.__exit__(None, None, None)


def test_who_asked_before_it_came_back_does_not_close_it_again(
    service: Service, clock: Clock
) -> None:
    late = service.asked()
    late.__enter__()
    clock.now += 1
    fail(service, Away())
    clock.pause()
    ask(service)
    error = Away()
    assert late.__exit__(Away, error, None) is not True
    assert not refuses(service)


def test_each_outcome_is_counted(service: Service, clock: Clock) -> None:
    counted = metrics.OUTSIDE_CALLS.values
    before = {outcome: counted["storage", outcome] for outcome in ("ok", "failed", "refused")}
    ask(service)
    fail(service, KeyError())
    fail(service, Refused())
    fail(service, Away())
    assert refuses(service)
    told = {outcome: counted["storage", outcome] - number for outcome, number in before.items()}
    assert told == {"ok": 2, "failed": 2, "refused": 1}


def test_one_key_that_is_away_is_not_another(service: Service, clock: Clock) -> None:
    other = Service("storage")
    fail(service, Away())
    assert not refuses(other)
    assert outside.away("storage")
    outside.forget()  # as a forked child does
    assert not outside.away("storage")
    assert not refuses(service)
