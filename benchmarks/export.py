"""Exports of 20,000 and 100,000 messages, each built by a process of its own, as a worker does.

Its peak memory is the kernel's count for that process. verify.py runs as an outsider runs it.
The messages are sent by the service, so the log has an entry for each; they are not counted in.
"""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from django.conf import settings

import app.celery  # noqa: F401 - jobs go to our Redis, where nobody takes them
from app.accounts.models import Organization, Role, User
from app.accounts.services import found_organization
from app.chat.models import Conversation
from app.chat.services import Draft, send_messages
from app.compliance.models import ExportRequest, State
from app.compliance.scope import Scope
from app.compliance.services import approve_export, request_export
from app.compliance.services.downloads import package_path
from benchmarks.figures import Figure
from tests.cast import join
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.server import SealerProcess
from tests.stack import Stack, running_stack

FEW, MANY, BATCH = 20_000, 100_000, 500
TEXT = "All work and no play makes Jack a dull boy, says number {0}. " * 2

_BUILD = """
import os, resource, sys, json, time
os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings.test"
import django
django.setup()
from app.compliance.services.building import build_export
from app.compliance.models import ExportRequest
start = time.perf_counter()
while ExportRequest.objects.get(pk=sys.argv[1]).state in ("approved", "building"):
    build_export(sys.argv[1])
seconds = time.perf_counter() - start
peak = max(resource.getrusage(who).ru_maxrss
           for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"seconds": seconds, "megabytes": peak / 1024}))
"""


def measure(scale: float) -> Iterator[Figure]:
    stack = running_stack()
    settings.EXPORT_DIR = stack.folder / "exports"
    with stack.fresh_database() as database:
        live = LiveDatabase(database)
        with live.acting_as("app"), SealerProcess.running(live, stack.redis, stack):
            yield from _measure(stack, live, int(FEW * scale), int(MANY * scale))


def _measure(stack: Stack, live: LiveDatabase, few: int, many: int) -> Iterator[Figure]:
    organization = found_organization(slug="corpus", name="Corpus")
    alice, bob = join(organization, "alice"), join(organization, "bob")
    first, second = room(alice, bob, name="first"), room(alice, bob, name="second")
    start = time.perf_counter()
    _talk(alice, first, few)
    _talk(bob, second, many - few)
    rate = many / (time.perf_counter() - start)
    yield Figure(f"send messages, {BATCH} in a transaction", "a second", [rate])
    peaks = []
    for count, rooms in ((few, [first]), (many, [])):
        asked = _approved(organization, Scope(tuple(each.pk for each in rooms)))
        told = _build(stack, live, asked)
        peaks.append(told["megabytes"])
        limit = 60.0 if rooms == [] else None
        yield Figure(f"export of {count:,} messages", "s", [told["seconds"]], limit, "at most")
        yield Figure(f"its memory, {count:,} messages", "MB", [told["megabytes"]], 300, "at most")
        yield _verify_py(stack.folder, package_path(asked), count, many)
    yield Figure("memory that the other messages took", "MB", [peaks[1] - peaks[0]])


def _talk(author: User, conversation: Conversation, count: int) -> None:
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        drafts = [Draft(author, conversation.pk, str(uuid4()), TEXT.format(n)) for n in numbers]
        for outcome in send_messages(drafts):
            if isinstance(outcome, Exception):
                raise SystemExit(f"a message was not sent: {outcome!r}")


def _approved(organization: Organization, scope: Scope) -> ExportRequest:
    officers = [join(organization, f"o{uuid4().hex[:8]}", Role.OFFICER) for _ in "ab"]
    asked = request_export(officers[0], scope=scope, reason="To measure it.")
    return approve_export(officers[1], asked.pk)


def _build(stack: Stack, live: LiveDatabase, asked: ExportRequest) -> dict[str, float]:
    environment = os.environ | {
        "DATABASE_URL": live.app_url,
        "REDIS_URL": stack.redis.url,
        "EXPORT_DIR": str(settings.EXPORT_DIR),
    }
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(asked.pk)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    asked.refresh_from_db()
    if done.returncode or asked.state != State.READY:
        raise SystemExit(f"the export is {asked.state}: {asked.failure}\n{done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _verify_py(folder: Path, package: Path, messages: int, leaves: int) -> Figure:
    """CPU seconds of the program in the package, on the package."""
    unpacked = folder / f"package-{messages}"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(unpacked)
    times = []
    for _ in range(3):
        before = os.times()
        command = [sys.executable, "-I", str(unpacked / "verify.py"), str(unpacked)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        after = os.times()
        if done.returncode:
            raise SystemExit(f"verify.py refuses the package:\n{done.stdout[-2000:]}{done.stderr}")
        times.append(
            after.children_user - before.children_user
            + after.children_system - before.children_system
        )  # fmt: skip
    name = f"verify.py, {leaves:,} leaves, bodies and texts of {messages:,}"
    return Figure(name, "s of CPU", times)
