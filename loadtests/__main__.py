"""`make loadtest PROFILE=smoke`: what the variables mean is in loadtests/README.md.

Exits with what the report says (0 passed, 1 an objective missed, 2 incorrect, 3 void, 4 not
whole), or with 5 where there was nothing to report on: it could not begin.
"""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"  # before locust is imported, here and in workers

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dev.errors import SetupProblem
from loadtests.aim import Unfit, check_files, check_target
from loadtests.conductor import Crew
from loadtests.house import open_house
from loadtests.objectives import FILE, BadObjectives, load
from loadtests.people import BadAccounts, check_accounts, chosen_accounts
from loadtests.profiles import BadProfile, Profile, profile
from loadtests.run import Interruption, Scene, run_on

COULD_NOT_BEGIN = 5
INTERRUPTED = 130


def main(given: Mapping[str, str]) -> int:
    """Run what the variables ask for. Returns the exit code."""
    interruption = Interruption()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interruption)
    try:
        chosen = profile(given.get("PROFILE") or "smoke", given)
        crew = Crew.chosen(given)
        objectives = Path(given.get("OBJECTIVES") or FILE)
        load(chosen.name, objectives)
        check_files(chosen, crew.all)
        with _scene(given, chosen, crew) as scene:
            folder = run_on(scene, chosen, crew, interruption, given)
    except (BadProfile, BadObjectives, BadAccounts, Unfit, SetupProblem) as problem:
        print(f"\nNo load test: {problem}", file=sys.stderr)
        return COULD_NOT_BEGIN
    except KeyboardInterrupt:
        print("\nNo load test: interrupted before it began.", file=sys.stderr)
        return INTERRUPTED
    return _report(folder, objectives, given)


@contextmanager
def _scene(given: Mapping[str, str], chosen: Profile, crew: Crew) -> Iterator[Scene]:
    """A deployment that was named, or one of our own that ends with the run."""
    if target := given.get("TARGET"):
        url, accounts = check_target(target, given), chosen_accounts(given)
        check_accounts(accounts, chosen, crew.all)
        yield Scene(url, [url], accounts, house=None)
        return
    print("Starting PostgreSQL, Redis, web, two gateways, worker, scheduler, sealer …", flush=True)
    size = chosen.size
    with open_house() as house:
        # Users are dealt out to workers kind by kind, but not to one evenly: some to spare.
        spare = crew.all if crew.all > 1 else 0
        numbers = [count and count + spare for count in (size.members, size.voices, size.officers)]
        urls = [gateway.url for gateway in house.gateways]
        yield Scene(house.web.url, urls, house.seed(*numbers), house=house)


def _report(folder: Path, objectives: Path, given: Mapping[str, str]) -> int:
    command = [sys.executable, "-m", "loadtests.report", str(folder)]
    command += ["--objectives", str(objectives)]
    if baseline := given.get("BASELINE"):
        command += ["--baseline", baseline]
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main(os.environ))
