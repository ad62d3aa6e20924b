"""What a load test is aimed at, and whether it may be: a deployment is somebody's."""

import resource
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

from loadtests.house import answers
from loadtests.profiles import Profile

SPARE_FILES = 200
FILES_A_USER = 3


class Unfit(Exception):
    """A run cannot begin; says why, and what to do."""


def check_target(target: str, given: Mapping[str, str]) -> str:
    """Return the base URL that was meant. Asks before anything that is not this machine.

    Raises Unfit where it is refused, or does not answer.
    """
    parts = urlsplit(target)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Unfit(f"TARGET is a URL such as https://parley.example.org, not {target!r}.")
    if not _is_this_machine(parts.hostname):
        _ask(parts.hostname, given)
    url = f"{parts.scheme}://{parts.netloc}"
    if not answers(url):
        raise Unfit(f"{url}/healthz does not answer: is that where Parley is, and is it running?")
    return url


def check_files(profile: Profile, workers: int) -> None:
    """Make room for the sockets of the largest phase. Raises Unfit where the limit is too low."""
    most = max(step.users for step in profile.steps)
    wanted = SPARE_FILES + FILES_A_USER * (most // workers + 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < wanted:
        if 0 <= hard < wanted:
            raise Unfit(
                f"{most} users need {wanted} open files a process, and {hard} are allowed."
                f" Say `ulimit -n {wanted}` in the shell that starts this (as root, or raise"
                " `nofile` in /etc/security/limits.conf), have more WORKERS, or fewer users."
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _ask(host: str, given: Mapping[str, str]) -> None:
    if given.get("YES") == host:
        return
    if not sys.stdin.isatty():
        raise Unfit(
            f"{host} is not this machine, and there is nobody to ask: whoever may load it says"
            f" YES={host}."
        )
    said = input(f"{host} is not this machine. Load it, and write into it? Type its name: ")
    if said.strip() != host:
        raise Unfit("Nothing was done.")


def _is_this_machine(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}
