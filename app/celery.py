"""Jobs and schedules. A job's arguments are ids: nothing that anybody wrote."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_process_init

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


worker_init.connect(_refuse_while_closed, weak=False)
# The one for the main process, the other for its children: which of them works is the pool's.
worker_init.connect(_follow, weak=False)
worker_process_init.connect(_follow, weak=False)
