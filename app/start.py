"""Which process of Parley this is: `python -m app.start web`, the entry point of the image.

One image, one list of commands: Docker Compose, Cloud Run and the tests name a process here.
The process is replaced by the program, so that signals reach it.
"""

import os
import sys
from collections.abc import Mapping, Sequence

GRACE_SECONDS = 9
"""For what is under way after SIGTERM; Cloud Run kills after 10 s."""
HEAP = {
    "GLIBC_TUNABLES": "glibc.malloc.arena_max=2"
    ":glibc.malloc.trim_threshold=131072"
    ":glibc.malloc.tcache_count=1"
}
"""What glibc keeps of what a process gave back; it reads this when one begins. Else each thread has
a heap of its own, which stays as large as its largest piece of work was, and seven pieces of each
size in store; and it keeps more once it has seen a large one. docs/performance.md has figures.
"""

CELERY = ("-m", "celery", "--quiet", "--skip-checks", "--app", "app.celery")
"""Arguments of Python. Without checks of pages and the API, which it would load for them."""


def command(process: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the words of the program that is `process`, such as `["web"]` or
    `["manage", "audit_status"]`. Raises ValueError, which names the processes there are.
    """
    name, *words = process or [""]
    if name == "manage" and words:
        return _manage(*words)
    known = _processes(environment)
    if words or name not in known:
        raise ValueError(f"Name a process: {', '.join(known)}, or manage and a command of it.")
    return known[name]


def _processes(environment: Mapping[str, str]) -> dict[str, list[str]]:
    threads = environment.get("WEB_THREADS") or "16"
    jobs = environment.get("WORKER_THREADS") or "4"
    return {
        # Pages and REST. Each thread has a connection to the database.
        "web": _gunicorn(environment, "gthread", "app.wsgi", "--threads", threads),
        # Sockets; it answers HTTP as well.
        "gateway": _gunicorn(environment, "app.realtime.worker.GatewayWorker", "app.asgi"),
        "worker": [
            sys.executable, *CELERY, "worker", "--pool", "threads", "--concurrency", jobs,
            "--loglevel", "WARNING", "--without-gossip",
        ],
        # Exactly one at a time. What it notes may be lost: jobs look for what is due.
        "scheduler": [
            sys.executable, *CELERY, "beat", "--loglevel", "WARNING",
            "--schedule", "/dev/shm/schedule", "--pidfile", "",  # noqa: S108
        ],
        "sealer": _manage("seal"),
        "migrate": _manage("migrate", "--no-input"),
    }  # fmt: skip


def _gunicorn(environment: Mapping[str, str], worker: str, module: str, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", f"{module}:application",
        "--workers", "1", "--worker-class", worker, *options,
        "--bind", f"{environment.get('BIND') or '0.0.0.0'}:{environment.get('PORT') or 8080}",  # noqa: S104
        "--graceful-timeout", str(GRACE_SECONDS), "--log-level", "warning",
        "--no-control-socket", "--worker-tmp-dir", "/dev/shm",  # noqa: S108 - it is memory
    ]  # fmt: skip


def _manage(*words: str) -> list[str]:
    return [sys.executable, "manage.py", *words]


def main() -> None:
    """Become the process that the arguments name."""
    try:
        words = command(sys.argv[1:], os.environ)
    except ValueError as problem:
        sys.exit(str(problem))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.prod")
    # What PostgreSQL calls its connections (pg_stat_activity).
    os.environ.setdefault("PGAPPNAME", f"parley-{sys.argv[1] if len(sys.argv) > 1 else 'web'}")
    for name, value in HEAP.items():
        os.environ.setdefault(name, value)
    os.execv(words[0], words)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
