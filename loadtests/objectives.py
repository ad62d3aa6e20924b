"""Reads `objectives.toml`: what a run of each profile has to keep. What it does not know, it
refuses."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

FILE = Path(__file__).with_name("objectives.toml")
DAY_MS = 86_400_000

Milliseconds = Annotated[float, Meta(gt=0, le=DAY_MS, description="more than 0, at most a day")]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]


class BadObjectives(Exception):
    """The file, the key and what to do about it."""


class Latency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many milliseconds; None where nothing is demanded."""

    p50: Milliseconds | None = None
    p99: Milliseconds | None = None
    p999: Milliseconds | None = None

    def __post_init__(self) -> None:
        demanded = [limit for limit in (self.p50, self.p99, self.p999) if limit is not None]
        if not demanded:
            raise ValueError("demands nothing: name p50, p99 or p999, in milliseconds")
        if demanded != sorted(demanded):
            raise ValueError("p50, p99 and p999 have to rise: nothing could meet these")


class Objectives(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one profile. `required` are operations that have to occur."""

    phases: list[str] = []
    error_share: Share = 0.0
    lag_p99_ms: Milliseconds = 50.0
    memory_mib_per_hour: Positive | None = None
    knee: Positive | None = None
    sound_share: Share = 0.0
    latency_ms: dict[str, Latency] = {}
    required: frozenset[str] = frozenset()


def load(profile: str, path: Path = FILE) -> Objectives:
    """Return the objectives of a profile. Raises BadObjectives, for any mistake in the file."""
    document = _document(path)
    default = document.get("default", {})
    profiles = {
        name: _objectives(path, name, _table(path, f"profile.{name}", own), default)
        for name, own in _table(path, "profile", document.get("profile", {})).items()
    }
    if profile not in profiles:
        known = ", ".join(profiles) or "none"
        raise BadObjectives(
            f"{path} has no objectives for the profile {profile!r}; it has those of: {known}. "
            f"Add a table [profile.{profile}], empty if the defaults are right."
        )
    return profiles[profile]


def _document(path: Path) -> dict[str, Any]:
    try:
        document = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise BadObjectives(f"{path} cannot be read: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise BadObjectives(f"{path} is not TOML: {error}.") from None
    if unknown := set(document) - {"default", "profile"}:
        raise BadObjectives(
            f"{path}: unknown table {min(unknown)!r}; there are [default] and [profile.NAME]."
        )
    _objectives(path, None, {}, _table(path, "default", document.get("default", {})))
    return document


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadObjectives(f"{path}, {key}: a table is expected, not {value!r}.")
    return value


def _objectives(
    path: Path, profile: str | None, own: dict[str, Any], default: dict[str, Any]
) -> Objectives:
    """Put a profile's table over the default one. `latency_ms = {}` demands none at all."""
    key = f"profile.{profile}" if profile else "default"
    named = _table(path, f"{key}.latency_ms", own.get("latency_ms", {}))
    inherited = _table(path, "default.latency_ms", default.get("latency_ms", {}))
    nothing = "latency_ms" in own and not named
    latencies = {} if nothing else {**inherited, **named}
    read = {
        operation: _convert(path, f"{key}.latency_ms.{operation}", limits, Latency)
        for operation, limits in latencies.items()
    }
    if "required" in own or "required" in default:
        raise BadObjectives(f"{path}, {key}: unknown name `required`; take it out.")
    rest = {**default, **own, "latency_ms": {}}
    objectives: Objectives = _convert(path, key, rest, Objectives)
    return msgspec.structs.replace(objectives, latency_ms=read, required=frozenset(named))


def _convert(path: Path, key: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        where = key + place.rstrip("`")
        known = ", ".join(field for field in kind.__struct_fields__ if field != "required")
        advice = f" It may have: {known}." if "unknown field" in reason else ""
        raise BadObjectives(f"{path}, {where}: {reason}.{advice}") from None
