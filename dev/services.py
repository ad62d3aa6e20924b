"""The processes of Parley itself, as they run on one machine."""

from dev.ports import LOOPBACK


def web_command(python: str, port: int) -> list[str]:
    """Pages, REST and the gateway in one process. It logs no requests: a path may be a secret."""
    return [
        python, "-m", "daphne", "--verbosity", "0", "--no-server-name",
        "--bind", LOOPBACK, "--port", str(port), "app.asgi:application",
    ]  # fmt: skip


def worker_command(python: str) -> list[str]:
    return [
        python, "-m", "celery", "--app", "app.celery", "worker", "--beat",
        "--concurrency", "1", "--loglevel", "INFO",
    ]  # fmt: skip


def sealer_command(python: str) -> list[str]:
    return [python, "manage.py", "seal"]
