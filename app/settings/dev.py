"""One machine, one person: everything listens on loopback.

`make run` makes the secrets and writes them to `.parley/env`, which git ignores;
a variable of the environment wins over that file.
"""

from pathlib import Path

from app.settings.env import env, flag
from app.settings.logs import configure

env.fall_back_to_file(Path(__file__).resolve().parents[2] / ".parley" / "env")

from app.settings.base import *  # noqa: E402, F403

if env.problems:
    env.problems.append("run `make run` once: it makes what is missing for development")
env.check()

# As in production, unless asked: Django's page of an error shows what members wrote.
DEBUG = env.optional("DEBUG", flag, default=False)
# Static files straight from the source folders, as they are now.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
LOGGING = configure(as_json=False, with_messages=DEBUG)
