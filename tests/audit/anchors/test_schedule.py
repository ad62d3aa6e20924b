"""Each anchor by itself: when it is due, how long it waits, and that the log comes to rest."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from app.audit import anchoring
from app.audit.access import anchor_states
from app.audit.anchoring import bring, claim_due
from app.audit.anchors.anchor import Kept, Submission
from app.audit.models import Anchor, Entry, Tree
from app.audit.tasks import heartbeat
from tests.audit.anchors.conftest import Log, keys_of
from tests.audit.trail import ACME
from tests.fakes.faults import Fault
from tests.fakes.gcs import GcsServer
from tests.fakes.s3 import S3Server
from tests.fakes.witness import WitnessServer

Bring = Callable[[], list[bool]]


def run_due() -> int:
    """What the schedule does, without its workers; returns how many were due."""
    due = claim_due()
    for each in due:
        bring(each)
    return len(due)


def an_hour_passes() -> None:
    Anchor.objects.update(next_at=datetime.now(UTC) - timedelta(seconds=1))


def recorded(action: str) -> int:
    return Entry.objects.filter(organization_id=ACME, action_name=action).count()


def test_what_is_due_is_given_to_one_worker_only(log: Log, witness: WitnessServer) -> None:
    first = claim_due()
    assert len(first) == 1
    assert claim_due() == []
    Anchor.objects.update(next_at=datetime.now(UTC))  # the worker died: its lease is over
    assert claim_due() == first


def test_it_is_due_again_after_the_hour(log: Log, witness: WitnessServer) -> None:
    assert run_due() == 1
    assert run_due() == 0
    next_at = Anchor.objects.get().next_at
    assert abs(next_at - datetime.now(UTC) - timedelta(minutes=60)) < timedelta(minutes=1)


def test_a_log_where_nothing_happens_comes_to_rest(log: Log, witness: WitnessServer) -> None:
    for _ in range(5):
        an_hour_passes()
        assert run_due() >= (1 if Anchor.objects.exists() else 0)
        log.seal()  # the entry of the anchoring itself
    assert recorded("log:anchored") == 1
    assert Tree.objects.get(pk=ACME).size == 301
    heartbeat()
    log.seal()
    an_hour_passes()
    run_due()
    assert recorded("log:anchored") == 2


def test_a_log_that_shrank_is_news_although_nothing_was_written(
    log: Log, witness: WitnessServer
) -> None:
    run_due()
    an_hour_passes()
    Anchor.objects.update(size=5000)
    run_due()
    assert witness.answers == [200, 200]


def test_a_failing_anchor_waits_longer_each_time_and_is_recorded_once(
    log: Log, witness: WitnessServer
) -> None:
    witness.faults.plan(Fault(status=500, times=5))
    waits = []
    for _ in range(5):
        an_hour_passes()
        run_due()
        state = Anchor.objects.get()
        waits.append(round((state.next_at - datetime.now(UTC)).total_seconds() / 60))
    assert waits == [1, 2, 4, 8, 16]
    assert recorded("log:anchor_failed") == 1
    Anchor.objects.update(failures=40)
    witness.faults.plan(Fault(status=500))
    an_hour_passes()
    run_due()
    state = Anchor.objects.get()
    assert state.next_at - datetime.now(UTC) < timedelta(hours=6, minutes=1)
    an_hour_passes()
    run_due()
    assert Anchor.objects.get().failures == 0
    assert recorded("log:anchor_failed") == 1


def test_one_anchor_s_failure_is_nothing_to_the_others(
    log: Log,
    witness: WitnessServer,
    s3: S3Server,
    s3_bucket: str,
    gcs: GcsServer,
    settings: Settings,
) -> None:
    gcs.make_bucket("kept", retention=timedelta(days=30), locked=True)
    settings.ANCHOR_BUCKET = [*settings.ANCHOR_BUCKET, f"gs://kept?endpoint={gcs.url}"]
    s3.faults.plan(Fault(status=403, times=9))
    run_due()
    states = {state.name: state for state in anchor_states(ACME)}
    assert states["witness.example/w1"].size == states["gs://kept"].size == 300
    assert states[f"s3://{s3_bucket}/logs"].problem.startswith("AccessDenied")
    s3.faults.clear()
    an_hour_passes()
    run_due()
    assert keys_of(s3, s3_bucket)


def test_sealing_goes_on_while_an_anchor_keeps_us_waiting(
    log: Log, witness: WitnessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that had written and stayed open would hold back every later entry."""
    open_while_asked: list[bool] = []
    add = witness.add_checkpoint

    def looking(body: str) -> str:
        open_while_asked.append(connection.in_atomic_block)
        log.grow(5)
        return add(body)

    monkeypatch.setattr(anchoring, "configured", lambda: [_Looking(looking)])
    assert bring(anchoring.enrolled(ACME)[0]) is True
    assert open_while_asked == [False]
    assert Tree.objects.get(pk=ACME).size == 305


class _Looking:
    """An anchor in the same process, so that it sees the transaction that we are in."""

    name, every = "witness.example/w1", timedelta(hours=1)

    def __init__(self, look: Callable[[str], str]) -> None:
        self._look = look

    def keep(self, submission: Submission, last: int) -> Kept:
        self._look(f"old 0\n\n{submission.note}")
        return Kept()

    def kept(self, submission: Submission, last: int) -> None:
        return None


def test_an_anchor_that_is_no_longer_configured_is_left_alone(
    log: Log, witness: WitnessServer, settings: Settings
) -> None:
    run_due()
    settings.ANCHOR_WITNESS = []
    an_hour_passes()
    assert run_due() == 0
    assert anchor_states(ACME) == []


def test_the_commands_show_how_it_stands(
    log: Log, witness: WitnessServer, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit_anchor", "--organization", str(ACME))
    assert f"{ACME} witness.example/w1: anchored 300 leaves at " in capsys.readouterr().out
    witness.faults.plan(Fault(status=500))
    with pytest.raises(CommandError, match="1 anchorings failed"):
        call_command("audit_anchor", "--organization", str(ACME))
    assert "FAILING since" in capsys.readouterr().out


def test_without_anchors_the_command_says_which_settings_name_some(log: Log) -> None:
    with pytest.raises(CommandError, match="ANCHOR_BUCKET, ANCHOR_WITNESS, ANCHOR_MAIL"):
        call_command("audit_anchor")
    assert claim_due() == []
