"""Jobs and schedules. A job's arguments are ids: nothing that anybody wrote."""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery
from celery.signals import (
    beat_init,
    before_task_publish,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)

from app import metrics

GRACE_SECONDS = 8.0
"""For jobs under way when a worker is told to end; Cloud Run kills it after 10."""

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.prod")
application = Celery("parley")
application.config_from_object("django.conf:settings", namespace="CELERY")
application.autodiscover_tasks()


def _follow(**_: Any) -> None:
    from app.encryption import forgetting  # noqa: PLC0415 - the apps are loaded by now

    forgetting.follow()


def _refuse_while_closed(**_: Any) -> None:
    from app.encryption.gate import require_open  # noqa: PLC0415
    from app.errors import Unavailable  # noqa: PLC0415

    try:
        require_open()
    except Unavailable as closed:
        raise SystemExit(closed.message) from closed


def _require_connections(**_: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415

    from app import connections  # noqa: PLC0415

    try:
        connections.require("worker")
    except ImproperlyConfigured as problem:
        raise SystemExit(str(problem)) from problem


worker_init.connect(_refuse_while_closed, weak=False)
worker_init.connect(_require_connections, weak=False)
# The one for the main process, the other for its children: which of them works is the pool's.
worker_init.connect(_follow, weak=False)
worker_process_init.connect(_follow, weak=False)


# What jobs do, as numbers, and which job a line of the log belongs to.

_SENT_AT = "parley_sent_at"
_OUTCOMES = {"SUCCESS": "ok", "RETRY": "retried"}
_began: dict[str, float] = {}


def _stamp(headers: dict[str, Any], **_: Any) -> None:
    headers[_SENT_AT] = time.time()


def _begin(task_id: str, task: Any, **_: Any) -> None:
    _began[task_id] = time.perf_counter()
    sent_at = (task.request.headers or {}).get(_SENT_AT)
    if sent_at is not None:
        metrics.JOB_WAIT.of().observe(max(0.0, time.time() - sent_at))
    structlog.contextvars.bind_contextvars(job=task_id, task=task.name)


def _end(task_id: str, task: Any, state: str, **_: Any) -> None:
    structlog.contextvars.unbind_contextvars("job", "task")
    metrics.JOBS.add(task.name, _OUTCOMES.get(state, "failed"))
    began = _began.pop(task_id, None)
    if began is not None:
        metrics.JOB_SECONDS.of(task.name).observe(time.perf_counter() - began)


before_task_publish.connect(_stamp, weak=False)
task_prerun.connect(_begin, weak=False)
task_postrun.connect(_end, weak=False)


def _serve(role: str) -> Callable[..., None]:
    def serve(**_: Any) -> None:
        from django.conf import settings  # noqa: PLC0415

        metrics.serve(role, settings.METRICS_LISTEN, release=settings.RELEASE)

    return serve


def queue_standing() -> dict[str, float]:
    """The gauges of the queue. Raises RedisError."""
    from app.realtime.hints import redis_client  # noqa: PLC0415

    # Kombu puts a job in at the left of a list, and takes it out at the right.
    client: Any = redis_client()  # its types are those of the asyncio client too
    queue = application.conf.task_default_queue
    waiting, oldest = client.llen(queue), client.lindex(queue, -1)
    told = {metrics.JOBS_WAITING.name: float(waiting), metrics.JOBS_AGE.name: 0.0}
    if oldest:
        sent_at = json.loads(oldest)["headers"].get(_SENT_AT, time.time())
        told[metrics.JOBS_AGE.name] = max(0.0, time.time() - sent_at)
    return told


def _tell_of_the_whole(**_: Any) -> None:
    """How all of Parley stands is told by the scheduler, of which there is exactly one."""
    from django.db import connection  # noqa: PLC0415

    from app.audit import standing as trail  # noqa: PLC0415
    from app.voice import standing as voice  # noqa: PLC0415

    def closing(ask: metrics.Reader) -> metrics.Reader:
        def asked() -> dict[str, float]:
            try:
                return dict(ask())
            finally:
                connection.close()  # the thread of this reading ends with it

        return asked

    metrics.readers.extend(map(closing, (trail.standing, voice.standing, queue_standing)))


worker_init.connect(_serve("worker"), weak=False)
worker_process_init.connect(_serve("worker"), weak=False)
beat_init.connect(_tell_of_the_whole, weak=False)
beat_init.connect(_serve("scheduler"), weak=False)


def _remember(sender: Any, **_: Any) -> None:
    """The consumer of this worker: it knows which jobs it has taken and not finished."""
    worker_shutting_down.connect(
        lambda **_: threading.Thread(target=_give_back, args=(sender,), daemon=True).start(),
        weak=False,
    )


def _give_back(consumer: Any) -> None:
    """Put jobs that did not end in time back into the queue, and go.

    Celery would wait for them until it is killed, and Redis would hand them to another worker only
    after an hour (`visibility_timeout`). A job may so be done twice, which all of them bear.
    """
    time.sleep(GRACE_SECONDS)
    consumer.task_consumer.channel.qos.restore_unacked()
    os._exit(1)


worker_ready.connect(_remember, weak=False)
