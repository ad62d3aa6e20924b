"""The processes of Parley itself, as they run on one machine."""

from pathlib import Path

from app.start import CELERY
from dev.ports import LOOPBACK


def web_command(python: str, port: int) -> list[str]:
    """Pages, REST and the gateway in one process. It logs no requests: a path may be a secret."""
    return [
        python, "-m", "dev.web", "--verbosity", "0", "--no-server-name",
        "--bind", LOOPBACK, "--port", str(port), "app.asgi:application",
    ]  # fmt: skip


def worker_command(python: str) -> list[str]:
    """Jobs, in threads: a child process of the worker could outlive it."""
    return [
        python, "-W", "ignore:You're running the worker with superuser", *CELERY,
        "worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "WARNING",
        "--without-mingle", "--without-gossip",
    ]  # fmt: skip


def scheduler_command(python: str, notes: Path) -> list[str]:
    """Puts jobs that are due into the queue; `notes` remembers when each was last due."""
    return [
        python, *CELERY, "beat", "--loglevel", "WARNING", "--schedule", str(notes), "--pidfile", "",
    ]  # fmt: skip
