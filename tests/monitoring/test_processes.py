"""Parley's real processes, read as Prometheus reads them: each tells of itself, the scheduler of
the whole, and none of what was said."""

import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from django.db import transaction

from app.accounts.models import User
from app.audit.services import SYSTEM, Action, Target, record
from app.audit.standing import standing
from app.audit.tasks import heartbeat
from app.celery import queue_standing
from dev.ports import free_port
from dev.redis_server import RedisServer
from dev.services import scheduler_command, worker_command
from tests.attacks.canary import CANARY, traces
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.monitoring.test_metrics import Samples, samples
from tests.realtime.speaker import connected
from tests.server import GatewayServer, SealerProcess, TestedProcess
from tests.stack import Stack

PATIENCE = 90.0
ROLES = ("gateway", "worker", "scheduler", "sealer")


class Worker(TestedProcess):
    name = "worker"

    def command(self) -> list[str]:
        return worker_command(sys.executable)


class Scheduler(TestedProcess):
    name = "scheduler"

    def command(self) -> list[str]:
        return scheduler_command(sys.executable, self._stack.folder / f"due-{self.database.name}")


class Prometheus:
    """Reads every process that answers on our ports, by the role that each says it has."""

    def __init__(self, ports: range) -> None:
        self._ports = ports

    def texts(self) -> dict[str, str]:
        found = {}
        for port in self._ports:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as one:
                    text = one.read().decode()
            except OSError:
                continue
            for role in ROLES:
                if f'role="{role}"' in text:
                    found[role] = text
        return found

    def until(self, role: str, holds: Callable[[Samples], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        read: Samples = {}
        while time.monotonic() < deadline:
            text = self.texts().get(role)
            read = samples(text) if text else {}
            if read and holds(read):
                return
            time.sleep(0.3)
        ours = {key: value for key, value in read.items() if key[0].startswith("parley") and value}
        pytest.fail(f"{role}: {ours}")


def labelled(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_every_process_tells_of_itself_and_the_scheduler_of_the_whole(
    live_db: LiveDatabase,
    redis_server: RedisServer,
    stack: Stack,
    alice: User,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = free_port()
    ports = range(first, first + 40)
    monkeypatch.setenv("METRICS_LISTEN", f"127.0.0.1:{ports[0]}-{ports[-1]}")
    monkeypatch.setenv("RELEASE", "r7")
    prometheus = Prometheus(ports)
    ward = room(alice, bob)
    with ExitStack() as running:
        gateway = running.enter_context(GatewayServer.running(live_db, redis_server, stack))
        for kind in (Worker, Scheduler, SealerProcess):
            running.enter_context(kind.running(live_db, redis_server, stack))
        with connected(gateway.base_url, alice) as a:
            a.sub(f"conversation:{ward.pk}")
            a.send(ward.pk, CANARY)
            a.push("message.created")
            prometheus.until(
                "gateway",
                lambda read: (
                    read["parley_gateway_sockets", ()] == 1
                    and read["parley_gateway_subscriptions", ()] == 1
                    and read["parley_gateway_redis_link_up", ()] == 1
                    and read[labelled("parley_gateway_handshakes_total", outcome="accepted")] == 1
                    and read[labelled("parley_gateway_commands_total", op="send", outcome="ok")]
                    == 1
                    and read[labelled("parley_trail_entries_total", action="message:sent")] == 1
                    and read[labelled("parley_send_stage_seconds_count", stage="hint")] >= 1
                    and read[labelled("parley_send_stage_seconds_count", stage="delivery")] >= 1
                ),
            )
        heartbeat.delay()
        task = {"task": "audit.heartbeat"}
        prometheus.until(
            "worker",
            lambda read: (
                read.get(labelled("parley_jobs_total", outcome="ok", **task)) == 1
                and read[labelled("parley_job_seconds_count", **task)] == 1
                and read["parley_job_wait_seconds_count", ()] >= 1
            ),
        )
        prometheus.until("sealer", lambda read: read["parley_sealer_leaves_total", ()] >= 2)
        prometheus.until(
            "scheduler",
            lambda read: (
                read["parley_trail_lag_seconds", ()] < 60
                and ("parley_trail_checkpoint_age_seconds", ()) in read
                and read["parley_voice_places", ()] == 0
                and read["parley_trail_verifications_failed", ()] == 0
                and read["parley_jobs_waiting", ()] == 0
                and read[labelled("parley_process_info", role="scheduler", release="r7")] == 1
            ),
        )
        told = prometheus.texts()
        assert set(told) == set(ROLES)
        # That one process tells of the whole makes a sum over all processes true.
        assert [role for role in ROLES if ("parley_jobs_waiting", ()) in samples(told[role])] == [
            "scheduler"
        ]
        secrets = (CANARY, str(alice.pk), str(ward.pk), str(alice.organization_id), alice.email)
        for text in told.values():
            assert not [secret for secret in secrets if traces(text.encode(), secret)]


def test_a_sealer_and_workers_that_stand_still_are_seen(
    live_db: LiveDatabase, redis_server: RedisServer, alice: User
) -> None:
    assert queue_standing() == {"parley_jobs_waiting": 0, "parley_jobs_oldest_age_seconds": 0}
    heartbeat.delay()
    heartbeat.delay()
    time.sleep(0.05)
    queue = queue_standing()
    assert queue["parley_jobs_waiting"] == 2
    assert queue["parley_jobs_oldest_age_seconds"] >= 0.05
    with transaction.atomic():
        record(
            Action.LOG_HEARTBEAT,
            organization=alice.organization_id,
            actor=SYSTEM,
            target=Target("log", "x"),
        )
    time.sleep(0.05)
    assert standing()["parley_trail_lag_seconds"] >= 0.05
    assert "parley_trail_checkpoint_age_seconds" not in standing()
