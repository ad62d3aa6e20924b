"""Reads the environment, loudly: the only module that does.

A missing or malformed value stops the start and is named, all of them at once;
a value is never echoed, because it may be a secret.
"""

from collections.abc import Callable
from typing import Any

from decouple import Config, RepositoryEnv, undefined
from django.core.exceptions import ImproperlyConfigured


class _Environment:
    """Collects what is wrong, so that an operator mends everything in one go."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._config = Config(_ProcessEnvironment())

    def read(
        self, name: str, cast: Callable[[str], Any] = str, default: Any = undefined, why: str = ""
    ) -> Any:
        """Return the value of `name`, or note the problem and return None.

        Without a `default` the value is required, and an empty one counts as missing.
        """
        try:
            raw = self._config(name, default="" if default is undefined else default)
        except ValueError:  # pragma: no cover - decouple casts nothing here
            raw = ""
        if default is undefined and raw == "":
            self.problems.append(f"{name} is missing" + (f": {why}" if why else ""))
            return None
        if raw is default:
            return default
        try:
            return cast(raw)
        except (ValueError, TypeError) as error:
            self.problems.append(f"{name} is malformed: {why or type(error).__name__}")
            return None

    def check(self) -> None:
        """Raise ImproperlyConfigured with every problem that was noted."""
        if self.problems:
            problems, self.problems = self.problems, []
            raise ImproperlyConfigured(
                "Parley does not start:\n" + "\n".join(f"  - {line}" for line in problems)
            )


class _ProcessEnvironment(RepositoryEnv):
    """decouple without a settings file: the process's environment is the only source."""

    def __init__(self) -> None:
        self.data = {}


env = _Environment()


def flag(value: str) -> bool:
    """`true/1/yes/on` or `false/0/no/off`; anything else raises ValueError."""
    lowered = value.strip().lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off"}:
        return False
    raise ValueError("expected true or false")


def words(value: str) -> list[str]:
    """A list separated by commas; blanks are dropped."""
    return [word.strip() for word in value.split(",") if word.strip()]
