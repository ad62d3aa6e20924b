"""`python -m loadtests.worker HOST:PORT`: a process of the generator, led by the master there.

`make loadtest` starts those of its own machine (WORKERS); on another machine one is started by
hand, before the master or within five minutes after it.
"""

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def command(host: str, port: int) -> list[str]:
    """Return the command that starts a worker of the master there."""
    return [sys.executable, "-m", "loadtests.worker", f"{host}:{port}"]


def main(arguments: Sequence[str]) -> None:
    """Be a worker until the master lets it go. Raises SystemExit."""
    host, _, port = "".join(arguments).rpartition(":")
    if len(arguments) != 1 or not host or not port.isdigit():
        sys.exit("Name the master as HOST:PORT, as its BIND says.")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
    from locust.main import main as locust  # noqa: PLC0415 - it patches when it is imported

    master = ["--worker", "--master-host", host, "--master-port", port]
    sys.argv[1:] = ["-f", str(LOCUSTFILE), *master]
    locust()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1:])
