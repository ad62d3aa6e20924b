"""What the sealing order costs writers, and whether it keeps its promise to them.

32 connections of pgbench each insert an entry of the size of a message's, work some milliseconds
on, and commit: into the trail with the sealer beside it; into a table with the same columns and
indexes but no order; and into the trail under the lock of a single chain's head, as others do
it. They take turns, each first in its turn, and none begins before all is sealed that was
written before it. With 5 ms two cores are busy all the time, so the sealer's own work counts;
with 20 ms they are not, so only waiting would. Then the trail again, with a fifth rolled back.
"""

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg2
from django.db import transaction

from app.audit.rows import rows, value
from app.audit.services import record_many
from benchmarks.figures import Figure
from dev.binaries import postgresql_programs
from dev.roles import LOGINS
from tests.audit.trail import ACME, a_message
from tests.live import LiveDatabase
from tests.server import SealerProcess
from tests.stack import Stack, running_stack

WRITERS, ROUNDS, SECONDS = 32, 3, 8
_COLUMNS = (
    "uuid, organization_id, action_name, scope_id, actor_id, target_type, target_id, "
    "target_parent, at, body, body_hash, leaf"
)
_INSERT = (
    "INSERT INTO {table} ({columns}) SELECT gen_random_uuid(), {values}, clock_timestamp(), "
    "'\\x{body}', '\\x{body_hash}', '\\x{leaf}';"
)
_CHAIN = "UPDATE bench_head SET size = size + 1;"
_WORK = "SELECT pg_sleep(0.005);"
_LATE = """
SELECT extract(epoch FROM c.created_at - e.at)::float8
FROM (SELECT size, created_at, lag(size, 1, 0::bigint) OVER (ORDER BY size) AS before
      FROM audit_checkpoint WHERE organization_id = %s) AS c
JOIN audit_leaf l ON l.organization_id = %s AND l.index >= c.before AND l.index < c.size
JOIN audit_entry e ON e.id = l.entry_id ORDER BY 1
"""


def measure(scale: float) -> Iterator[Figure]:
    stack = running_stack()
    with stack.fresh_database() as database:
        live = LiveDatabase(database)
        insert = _prepare(live)
        with live.acting_as("app"), SealerProcess.running(live, stack.redis, stack) as sealer:
            _wait_until_sealed(30)
            yield from _rates(stack, live, insert, max(1, round(ROUNDS * scale)), sealer)
            yield from _promise(stack, live, insert)


def _rates(
    stack: Stack, live: LiveDatabase, insert: str, rounds: int, sealer: SealerProcess
) -> Iterator[Figure]:
    unordered = insert.replace("audit_entry", "bench_entry")
    for work in (5, 20):
        sleep = f"SELECT pg_sleep({work / 1000});"
        scripts = {
            "the trail": f"BEGIN; {insert} {sleep} COMMIT;",
            "no order": f"BEGIN; {unordered} {sleep} COMMIT;",
            "one chain": f"BEGIN; {insert} {_CHAIN} {sleep} COMMIT;",
        }
        seen: dict[str, list[float]] = {name: [] for name in scripts}
        turns, work_of_a_leaf = list(scripts), []
        for _ in range(rounds):
            for name in turns:
                before, leaves = _processor_time(sealer), value(_LEAVES)
                seen[name].append(_pgbench(stack.folder, live, scripts[name]))
                _wait_until_sealed(60)
                if name == "the trail":
                    sealed = value(_LEAVES) - leaves
                    work_of_a_leaf.append((_processor_time(sealer) - before) / sealed * 1e6)
            turns = turns[1:] + turns[:1]
        for name, rates in seen.items():
            yield Figure(f"{WRITERS} writers, {work} ms, {name}", "transactions a second", rates)
        yield Figure(f"the sealer's work beside them, {work} ms", "µs a leaf", work_of_a_leaf)
        pairs = zip(seen["the trail"], seen["no order"], strict=True)
        kept = [trail / free * 100 for trail, free in pairs]
        yield Figure(f"what {WRITERS} writers keep, {work} ms", "% of no order", kept, 95)


def _promise(stack: Stack, live: LiveDatabase, insert: str) -> Iterator[Figure]:
    """With rollbacks: all that was committed has a leaf, in time, and nothing else has one."""
    ending = "\\if :chance = 1\nROLLBACK;\n\\else\nCOMMIT;\n\\endif"
    _pgbench(stack.folder, live, f"\\set chance random(1, 5)\nBEGIN; {insert} {_WORK}\n{ending}\n")
    _wait_until_sealed(60)
    # A rolled back entry leaves a hole in the ids: there must be some, and none in the tree.
    rolled_back = value("SELECT max(id) - min(id) + 1 - count(*) FROM audit_entry")
    if not rolled_back:
        raise SystemExit("nothing was rolled back")
    yield Figure("entries rolled back meanwhile", "entries", [rolled_back])
    yield Figure("committed entries that were missed", "entries", [value(_LEAFLESS)], 0, "at most")
    gaps = value("SELECT coalesce(max(index) + 1, 0) - count(*) FROM audit_leaf")
    strangers = value(
        "SELECT count(*) FROM audit_leaf WHERE entry_id NOT IN (SELECT id FROM audit_entry)"
    )
    yield Figure("gaps in the tree", "leaves", [gaps + strangers], 0, "at most")
    late = [row[0] for row in rows(_LATE, [ACME, ACME])]
    tail = [late[len(late) * percent // 100] for percent in (50, 99)]
    yield Figure("from an entry's time to its signed checkpoint, p50", "s", [tail[0]])
    yield Figure("from an entry's time to its signed checkpoint, p99", "s", [tail[1]], 2, "at most")


_LEAFLESS = """
SELECT count(*) FROM audit_entry e
WHERE NOT EXISTS (SELECT FROM audit_leaf l WHERE l.entry_id = e.id)
"""


_LEAVES = "SELECT count(*) FROM audit_leaf"
_SEALERS = """
SELECT pid FROM pg_stat_activity WHERE usename = %s AND datname = current_database()
"""


def _processor_time(sealer: SealerProcess) -> float:
    """Seconds that the sealer has worked so far, with the PostgreSQL that works for it."""
    pids = [sealer.pid, *(pid for (pid,) in rows(_SEALERS, [LOGINS["sealer"]]))]
    spent = [Path(f"/proc/{pid}/schedstat").read_text().split()[0] for pid in pids]
    return sum(map(int, spent)) / 1e9  # Documentation/scheduler/sched-stats.rst: nanoseconds


def _wait_until_sealed(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and value(_LEAFLESS):
        time.sleep(0.2)


def _prepare(live: LiveDatabase) -> str:
    """The tables to compare with, and the INSERT of a message's entry."""
    with psycopg2.connect(live.owner_url) as owner, owner.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_entry (LIKE audit_entry INCLUDING ALL)")
        cursor.execute("ALTER TABLE bench_entry DROP COLUMN xid")
        cursor.execute("CREATE TABLE bench_head (size bigint)")
        cursor.execute("INSERT INTO bench_head VALUES (0)")
    owner.close()
    with live.acting_as("app"), transaction.atomic():
        entry = record_many([a_message()])[0]
    body, leaf = bytes(entry.body), bytes(entry.leaf)
    subject, _, verb = entry.action_name.partition(":")  # pgbench would read a variable
    values = (
        f"'{ACME}', '{subject}' || chr(58) || '{verb}', '{entry.scope_id}', '{entry.actor_id}', "
    )
    values += f"'{entry.target_type}', '{uuid4()}', '{uuid4()}'"
    return _INSERT.format(
        table="audit_entry", columns=_COLUMNS, values=values, body=body.hex(),
        body_hash=hashlib.sha256(body).hexdigest(), leaf=leaf.hex(),
    )  # fmt: skip


def _pgbench(folder: Path, live: LiveDatabase, script: str) -> float:
    """Transactions a second."""
    path = folder / "writers.pgbench"
    path.write_text(script)
    command = [
        str(postgresql_programs() / "pgbench"), "--no-vacuum", "--file", str(path),
        "--client", str(WRITERS), "--jobs", "2", "--time", str(SECONDS),
        "--protocol", "prepared", live.app_url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if not found or "failed transactions: 0 " not in done.stdout:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return float(found[1])
