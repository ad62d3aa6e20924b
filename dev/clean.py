"""`make clean`: deletes the state folder, unless Parley is running from it."""

import shutil
import sys

from dev.errors import SetupProblem
from dev.postgresql import Cluster
from dev.state import STATE, State


def main() -> None:
    if not STATE.exists():
        return
    try:
        State().open()
    except SetupProblem as problem:
        sys.exit(str(problem))
    if (STATE / "postgresql").exists():
        # Where nobody could not reach the state folder, it is elsewhere.
        shutil.rmtree(Cluster(STATE / "postgresql").data, ignore_errors=True)
    shutil.rmtree(STATE)


if __name__ == "__main__":
    main()
