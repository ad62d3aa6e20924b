"""One run, from its first phase to its ledger, whatever happens in between."""

import platform
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from uuid import uuid4

import psutil
from msgspec import to_builtins

from dev.binaries import postgresql_programs, postgresql_version, redis_program
from dev.processes import PROJECT
from dev.state import STATE
from loadtests.conductor import Conductor, Crew, CutShort
from loadtests.house import House
from loadtests.orders import Order
from loadtests.people import Account
from loadtests.profiles import Profile, whole
from loadtests.record import Environment, ResourceLog, Run, new_folder
from loadtests.sampler import Sampler

FOLDER = STATE / "loadtests"


class Interruption:
    """Handles Ctrl-C and SIGTERM: while a run is played it ends early, else everything does."""

    def __init__(self) -> None:
        self.playing, self.reason = False, ""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.playing or self.reason:
            raise KeyboardInterrupt
        self.reason = f"stopped by {signal.Signals(number).name}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What is loaded: its instances, whom users sign in as, and the house if it is ours."""

    web: str
    gateways: list[str]
    accounts: list[Account]
    house: House | None


def run_on(
    scene: Scene,
    profile: Profile,
    crew: Crew,
    interruption: Interruption,
    given: Mapping[str, str],
) -> Path:
    """Play a profile. Returns the folder of its record, which says so if it is not whole."""
    page = whole("WEB", given.get("WEB") or "0")
    folder = new_folder(Path(given.get("FOLDER") or FOLDER), profile.name)
    run = Run(
        profile=profile.name,
        target="this machine" if scene.house else scene.web,
        began=datetime.now(UTC),
        rate_unit=profile.rate_unit,
        workers=crew.all,
        environment=_environment(local=scene.house is not None),
    )
    conductor = Conductor(folder, run, crew, profile.size, scene.house, interruption)
    order = Order(
        run=uuid4().hex[:8],
        began=run.began.timestamp(),
        web=scene.web,
        gateways=scene.gateways,
        local=scene.house is not None,
        accounts=[to_builtins(account) for account in scene.accounts],
        mix=profile.size.mix,
        media=profile.size.media,
        workers=crew.all,
    )
    sampler = _sampler(folder, run, scene.house, conductor)
    interruption.playing = True
    try:
        with conductor.staged(order, page=page):
            try:
                conductor.gather(profile.steps[0])
                for step in profile.steps:
                    conductor.play(step)
                if profile.searches:
                    conductor.search(profile)
            except CutShort as cut:
                conductor.cut(str(cut))
            conductor.settle()
            conductor.finish()
    except CutShort as cut:
        conductor.cut(str(cut))
    finally:
        interruption.playing = False
        sampler.close()
        if scene.house:
            scene.house.keep_logs(folder)
        conductor.write(ended=datetime.now(UTC))
    return folder


def _sampler(folder: Path, run: Run, house: House | None, conductor: Conductor) -> Sampler:
    def processes() -> dict[str, tuple[str, int]]:
        ours = {f"generator-{at + 1}": ("generator", p) for at, p in enumerate(conductor.pids())}
        return ours | (house.processes() if house else {})

    return Sampler(
        ResourceLog(folder),
        processes,
        began=run.began.timestamp(),
        postgres_url=house.cluster.url() if house else "",
        redis_url=house.redis.url if house else "",
    )


def _environment(*, local: bool) -> Environment:
    versions = {"python": platform.python_version(), "parley": _commit()}
    if local:
        versions["postgresql"] = str(postgresql_version(postgresql_programs()))
        versions["redis"] = _said(str(redis_program()), "--version")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return Environment(
        cpu=models[0] if models else platform.machine(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        versions=versions,
    )


def _commit() -> str:
    return _said("git", "-C", str(PROJECT), "describe", "--always", "--dirty") or "unknown"


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()[:80]
