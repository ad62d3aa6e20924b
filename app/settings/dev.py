"""One machine, one person: everything listens on loopback.

`make run` makes the secrets and writes them below `.parley/`, which git ignores: `env` for
all, and for the owner's and the sealer's processes a file each. A variable of the
environment wins over a line there.
"""

from pathlib import Path

from app.settings.env import database_role, env, flag
from app.settings.logs import configure

_PROJECT = Path(__file__).resolve().parents[2]
_STATE = env.optional("STATE_DIR", Path, default=_PROJECT / ".parley")
_ROLE = env.optional("DATABASE_ROLE", database_role, default="app")
env.fall_back_to_files(_STATE / "env", _STATE / f"env.{_ROLE}")

from app.settings.base import *  # noqa: E402, F403
from app.settings.base import RECEIPTS  # noqa: E402

if env.problems:
    env.problems.append("run `make run` once: it makes what is missing for development")
env.check()

# As in production, unless asked: Django's page of an error shows what members wrote.
DEBUG = env.optional("DEBUG", flag, default=False)
# Static files straight from the source folders, as they are now.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
LOGGING = configure(as_json=False, with_messages=DEBUG, receipts=RECEIPTS)
