"""What a run consists of: phases with so many users and so many turns a second, for so long.

Pure. Lengths and sizes may be given by variables; each phase is bounded, so each run ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

SETTLE_SECONDS = 5.0
LONGEST_SECONDS = 24 * 3600.0


ROLLED = "instances rolled"
FAULTS = ("instance killed", "redis restarted", "pub/sub cut", "a reader slow", ROLLED)


class BadProfile(Exception):
    """What was asked for cannot be run; says what can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One phase: `members` are there, with `rate` turns a second together, for `seconds`.

    `fault` names what the house does when it begins.
    """

    name: str
    seconds: float
    members: int
    rate: float
    voices: int = 0
    officers: int = 0
    fault: str = ""

    @property
    def users(self) -> int:
        return self.members + self.voices + self.officers


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What the variables say: MEMBERS, VOICES, OFFICERS, RATE, SECONDS, MIX, MEDIA, HOLD_MS.

    A rate is held if sends have a p99 of at most `hold_ms`, and all of them are done.
    """

    members: int
    voices: int = 0
    officers: int = 0
    rate: float
    seconds: float
    mix: str = "people"
    media: str = "none"
    hold_ms: float = 50.0
    most: float = 20_000.0
    faults: tuple[str, ...] = FAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is played. Phases count turns of members: voices and officers have a pace of theirs."""

    name: str
    size: Size
    steps: list[Step]

    @property
    def searches(self) -> bool:
        """Whether the highest rate that is held is looked for, from that of the size on."""
        return self.name == "find-max"

    @property
    def rate_unit(self) -> str:
        return "sends a second" if self.size.mix == "send" else "turns of members a second"


def profile(name: str, given: Mapping[str, str]) -> Profile:
    """Return a profile, sized by the variables in `given`. Raises BadProfile."""
    if name not in _PROFILES:
        raise BadProfile(f"There is no profile {name!r}. There are: {', '.join(_PROFILES)}.")
    size, steps = _PROFILES[name]
    size = _sized(size, given)
    return Profile(name=name, size=size, steps=steps(size))


def whole(name: str, text: str) -> int:
    """Return the value of a variable that is a whole number. Raises BadProfile."""
    value = _number(name, text, int, 100_000)
    return int(value)


def _sized(size: Size, given: Mapping[str, str]) -> Size:
    found: dict[str, Any] = {}
    for name in ("members", "voices", "officers"):
        if text := given.get(name.upper(), ""):
            found[name] = whole(name.upper(), text)
    bounds = {"rate": 1e5, "most": 1e5, "hold_ms": 1e5, "seconds": LONGEST_SECONDS}
    for name, bound in bounds.items():
        if text := given.get(name.upper(), ""):
            found[name] = _number(name.upper(), text, float, bound)
    for name, known in (("mix", ("people", "send")), ("media", ("none", "aiortc"))):
        if text := given.get(name.upper(), ""):
            if text not in known:
                raise BadProfile(f"{name.upper()} is {' or '.join(known)}, not {text!r}.")
            found[name] = text
    if text := given.get("FAULTS", ""):
        found["faults"] = tuple(word.strip() for word in text.split(","))
        if unknown := set(found["faults"]) - set(FAULTS):
            raise BadProfile(f"FAULTS are of {', '.join(FAULTS)}, not {min(unknown)!r}.")
    return replace(size, **found)


def _number(name: str, text: str, kind: type[int] | type[float], most: float) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise BadProfile(f"{name} is a number, not {text!r}.") from None
    if not 0 <= value <= most:
        raise BadProfile(f"{name} is from 0 to {most:g}, not {text}.")
    return value


def step(size: Size, name: str, *, part: float = 1.0, seconds: float | None = None) -> Step:
    """A phase of the whole size, with a part of its rate."""
    return Step(
        name=name,
        seconds=size.seconds if seconds is None else seconds,
        members=size.members,
        rate=size.rate * part,
        voices=size.voices,
        officers=size.officers,
    )


def _smoke(size: Size) -> list[Step]:
    return [step(size, "smoke")]


def _steps(size: Size) -> list[Step]:
    return [step(size, f"{part:.0%}", part=part) for part in (0.25, 0.5, 0.75, 1.0)]


def _spike(size: Size) -> list[Step]:
    return [
        step(size, "calm before", part=0.2),
        step(size, "spike"),
        step(size, "calm after", part=0.2),
    ]


def _soak(size: Size) -> list[Step]:
    # Processes settle for a while: what they keep ready fills, what is seldom used is loaded.
    return [step(size, "warm", seconds=min(900.0, size.seconds / 4)), step(size, "soak")]


def _storm(size: Size) -> list[Step]:
    return [
        step(size, "calm before"),
        replace(step(size, "storm"), fault="sockets cut"),
        replace(step(size, "storm again"), fault="sockets cut"),
        step(size, "calm after"),
    ]


def _faults(size: Size) -> list[Step]:
    return [
        step(size, "calm before"),
        *(replace(step(size, fault), fault=fault) for fault in size.faults),
        # Long enough for a ghost to be one: see ledger.GHOST_SECONDS.
        step(size, "calm after", seconds=max(35.0, size.seconds)),
    ]


def _rolling(size: Size) -> list[Step]:
    return [
        step(size, "calm before"),
        replace(step(size, ROLLED), fault=ROLLED),
        step(size, "calm after", seconds=max(35.0, size.seconds)),
    ]


def _find_max(size: Size) -> list[Step]:
    return [step(size, "warm", seconds=min(5.0, size.seconds))]


_PROFILES: dict[str, tuple[Size, Callable[[Size], list[Step]]]] = {
    "smoke": (Size(members=20, voices=6, officers=2, rate=20, seconds=15), _smoke),
    "steps": (Size(members=100, voices=12, officers=2, rate=80, seconds=60), _steps),
    "find-max": (Size(members=100, rate=50, seconds=10, mix="send"), _find_max),
    "spike": (Size(members=100, voices=12, rate=150, seconds=30), _spike),
    "soak": (Size(members=60, voices=12, officers=2, rate=20, seconds=3600), _soak),
    "storm": (Size(members=200, voices=24, rate=40, seconds=20), _storm),
    "rolling": (Size(members=40, voices=12, officers=2, rate=30, seconds=30), _rolling),
    "faults": (Size(members=40, voices=12, rate=30, seconds=15), _faults),
}
