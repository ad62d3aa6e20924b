"""Who answers for a grave action learns whether its entry is under a signed checkpoint."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from app.audit import access, disclosure, signing
from app.audit.actions import DISCLOSURES, GRAVE, Action
from app.audit.services import Entry, Target, record
from app.errors import NotSigned
from app.settings import base
from dev.redis_server import RedisServer
from tests.audit.test_sealing import seal
from tests.audit.trail import ACME, ALICE, OTHER, ask, write
from tests.live import LiveDatabase
from tests.server import SealerProcess
from tests.stack import Stack

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def patience(settings: Settings) -> None:
    settings.GRAVE_PATIENCE = 0.2


def grave(action: Action = Action.HOLD_PLACED) -> Entry:
    with transaction.atomic():
        target = Target("hold", "1")
        return record(action, organization=ACME, actor=ALICE, target=target)


def test_it_waits_until_the_sealer_has_signed(
    live_db: LiveDatabase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GRAVE_PATIENCE = 60  # only a signature ends this wait
    with signing.collecting() as graves:
        entry = grave()
    answer: list[list[signing.Grave]] = []
    looked = threading.Event()
    unsigned = signing._unsigned

    def looking(waiting: Iterable[signing.Grave]) -> list[signing.Grave]:
        late = unsigned(waiting)
        looked.set()
        return late

    def answering() -> None:
        try:
            answer.append(signing.wait(graves))
        finally:
            connection.close()

    monkeypatch.setattr(signing, "_unsigned", looking)
    waiting = threading.Thread(target=answering)
    waiting.start()
    assert looked.wait(30)
    assert not answer, "answered before anything was signed"
    assert seal(live_db) == 1
    waiting.join(30)
    assert answer == [[]]
    assert disclosure.tree_with(ACME, entry.pk)


def test_without_a_sealer_it_gives_up_and_names_what_waits() -> None:
    with signing.collecting() as graves:
        entry = grave()
    (late,) = signing.wait(graves)
    assert (late.entry_id, late.action) == (entry.pk, Action.HOLD_PLACED)


def test_while_the_sealer_stands_still_nobody_waits(
    live_db: LiveDatabase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with signing.collecting() as graves:
        grave()
    assert signing.wait(graves)  # patience is over: the entry is older than that now
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits for a dead sealer"))
    assert signing.wait(graves)
    write(1, OTHER)
    with signing.collecting() as later:
        grave()
    assert signing.wait(later)
    seal(live_db)
    assert signing.wait([*graves, *later]) == []


def test_only_what_is_grave_and_committed_is_collected() -> None:
    with signing.collecting() as graves:
        write(1)
        with transaction.atomic():
            grave()
            transaction.set_rollback(True)
        assert graves == []
        grave(Action.TRAIL_READ)
    assert [each.action for each in graves] == [Action.TRAIL_READ]
    grave()
    assert len(graves) == 1, "collected outside"


def test_one_that_was_written_earlier_is_waited_for_as_well(live_db: LiveDatabase) -> None:
    earlier = grave(Action.TRAIL_READ)
    with signing.collecting() as graves:
        signing.hold_back([earlier])
    assert signing.wait(graves)
    seal(live_db)
    assert signing.wait(graves) == []


def test_a_command_is_told_what_is_not_signed(live_db: LiveDatabase) -> None:
    with pytest.raises(NotSigned, match="data_key:destroyed"), signing.signed():
        grave(Action.DATA_KEY_DESTROYED)
    assert ask("SELECT count(*) FROM audit_entry") == [(1,)], "what was done stays done"
    seal(live_db)
    with signing.signed():
        pass


def test_waiting_is_bounded_wherever_the_suite_s_own_setting_is_not() -> None:
    assert base.GRAVE_PATIENCE == 5.0
    assert DISCLOSURES < GRAVE


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert signing._collected.get() is None


def test_the_sealer_hears_that_somebody_waits(
    live_db: LiveDatabase, redis_server: RedisServer, stack: Stack, settings: Settings
) -> None:
    settings.GRAVE_PATIENCE = 60
    with SlowSealer.running(live_db, redis_server, stack) as sealer:
        write(1)
        wait_for(lambda: access.verification_state(ACME).size == 1)  # it has begun to wait
        for _ in range(3):
            with signing.collecting() as graves:
                grave()
            assert signing.wait(graves) == [], "not signed before its next round"
        write(1)
        assert access.verification_state(ACME).waiting == 1, "nobody waits for this one"
        sealer.terminate()
    assert access.verification_state(ACME).size == 4


class SlowSealer(SealerProcess):
    """Its rounds are so far apart that only the bell can make it seal."""

    def command(self) -> list[str]:
        return [*super().command(), "--interval", "600"]


def wait_for(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.02)
