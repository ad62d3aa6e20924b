"""Nothing that commits stays unsealed, nothing is sealed twice, and no crash leaves half of it."""

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from app.audit import access, merkle
from app.audit import sealer as sealing
from app.audit.announcing import Announcer
from app.audit.checkpoint import PublicKey, open_checkpoint
from app.audit.management.commands.seal import signing_seed
from app.audit.models import Checkpoint, Entry, Horizon, Key, Leaf
from app.audit.sealer import TreeDisagrees
from app.audit.services import record_many
from app.audit.verify import verify
from dev.redis_server import RedisServer
from tests.audit.trail import ACME, OTHER, SEED, TALK, Announced, a_message, a_sealer, ask, write
from tests.live import LiveDatabase
from tests.server import SealerProcess


def seal(live_db: LiveDatabase, announced: Announced | None = None) -> int:
    with live_db.acting_as("sealer"):
        return a_sealer(announced).seal()


def test_entries_become_leaves_in_their_organization_s_tree(live_db: LiveDatabase) -> None:
    ours, theirs = write(3), write(2, OTHER)
    announced = Announced()
    assert seal(live_db, announced) == 5
    assert access.leaf_indexes([entry.pk for entry in ours]) == {
        entry.pk: index for index, entry in enumerate(ours)
    }
    assert access.leaf_indexes([theirs[1].pk]) == {theirs[1].pk: 1}
    assert {(each.organization, each.size) for each in announced} == {
        (str(ACME), 3),
        (str(OTHER), 2),
    }
    assert seal(live_db) == 0


def test_the_checkpoint_is_signed_and_its_key_published(live_db: LiveDatabase) -> None:
    entries = write(5)
    seal(live_db)
    vkey = Key.objects.get(organization_id=ACME).vkey
    note = Checkpoint.objects.get(organization_id=ACME).note
    signed = open_checkpoint(note, [PublicKey.parse(vkey)])
    assert signed.origin == f"parley.test/log/{ACME}"
    assert signed.root == merkle.root_of(entry.leaf_hash for entry in entries)


def test_a_receipt_proves_the_entry_to_somebody_who_has_only_the_key(
    live_db: LiveDatabase,
) -> None:
    entries = write(700)
    before = access.receipt(entries[300].pk)
    assert (before.index, before.checkpoint, before.proof) == (None, None, [])
    seal(live_db)
    write(9)
    seal(live_db)
    vkey = Key.objects.get(organization_id=ACME).vkey
    for index in (0, 255, 256, 511, 699):
        receipt = access.receipt(entries[index].pk)
        assert receipt.checkpoint
        signed = open_checkpoint(receipt.checkpoint, [PublicKey.parse(vkey)])
        assert receipt.leaf_hash == merkle.leaf_hash(receipt.leaf)
        assert signed.size == receipt.tree_size == 709
        assert receipt.index == index
        assert merkle.inclusion_holds(
            receipt.leaf_hash, index, signed.size, receipt.proof, signed.root
        )


def test_an_entry_waits_while_an_older_transaction_runs_and_is_not_passed(
    live_db: LiveDatabase,
) -> None:
    seal(live_db)
    older = psycopg2.connect(live_db.app_url)
    older.cursor().execute("SELECT pg_current_xact_id()")
    write(1)
    assert seal(live_db) == 0
    assert access.verification_state(ACME).waiting == 1
    older.commit()
    older.close()
    assert seal(live_db) == 1
    assert access.verification_state(ACME).waiting == 0


def test_concurrent_writers_with_rollbacks_lose_nothing(live_db: LiveDatabase) -> None:
    stop = threading.Event()
    committed: list[int] = []

    def writing(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not stop.is_set():
                committed.extend(write_some(chance))
        finally:
            connection.close()

    def write_some(chance: random.Random) -> list[int]:
        with transaction.atomic():
            messages = [
                a_message(chance.choice([ACME, OTHER])) for _ in range(chance.randint(1, 4))
            ]
            ids = [entry.pk for entry in record_many(messages)]
            time.sleep(chance.random() / 100)
            if chance.random() < 0.2:
                transaction.set_rollback(True)
                return []
        return ids

    writers = [threading.Thread(target=writing, args=(seed,)) for seed in range(6)]
    command = [sys.executable, "-c", SEAL_OFTEN]
    environment = sealers_environment(live_db)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as sealer:
        assert sealer.stdin
        assert sealer.stdout
        assert sealer.stdout.readline() == b"ready\n"
        for writer in writers:
            writer.start()
        time.sleep(4)
        stop.set()
        for writer in writers:
            writer.join()
        sealer.stdin.close()
        assert sealer.wait(60) == 0
    seal(live_db)
    assert len(committed) > 100
    assert set(Leaf.objects.values_list("entry_id", flat=True)) == set(committed)
    assert Checkpoint.objects.count() > 10
    for organization in (ACME, OTHER):
        report = verify(organization)
        assert (report.problems, report.waiting) == ([], 0)


SEAL_OFTEN = """
import select, sys
import django; django.setup()
from tests.audit.trail import a_sealer
sealer = a_sealer()
sealer.seal()
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:  # until it is closed
    sealer.seal()
"""


def sealers_environment(live_db: LiveDatabase) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "app.settings.test",
        "DATABASE_URL": live_db.app_url,
        "SEALER_DATABASE_URL": live_db.sealer_url,
        "DATABASE_ROLE": "sealer",
    }


STEPS = ["_frontiers", "_store_leaves", "_store_nodes", "_store_tree", "_sign", "_move_horizon"]
CRASH = """
import os, signal, sys
import django; django.setup()
from app.audit import sealer as sealing
from tests.audit.trail import a_sealer
name = sys.argv[1]
step = getattr(sealing.Sealer, name)
def then_die(*arguments):
    step(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(sealing.Sealer, name, then_die)
a_sealer().seal()
"""


@pytest.mark.parametrize("step", [*STEPS, "announce"])
def test_a_sealer_killed_after_any_step_leaves_all_of_a_page_or_nothing(
    live_db: LiveDatabase, step: str
) -> None:
    write(300)
    seal(live_db)
    write(300)
    program = CRASH
    if step == "announce":  # after the commit
        program = CRASH.replace("a_sealer()", "a_sealer(lambda sealed: os.kill(os.getpid(), 9))")
        step = "_without_leaf"
        program = program.replace("    os.kill(os.getpid(), signal.SIGKILL)\n", "    return r\n")
        program = program.replace("    step(*arguments)", "    r = step(*arguments)")
    killed = subprocess.run(
        [sys.executable, "-c", program, step], env=sealers_environment(live_db), check=False
    )
    assert killed.returncode == -signal.SIGKILL
    after_commit = "return r" in program
    assert Leaf.objects.count() == (600 if after_commit else 300)
    report = verify(ACME)
    assert (report.problems, report.waiting) == ([], 0 if after_commit else 300)
    assert seal(live_db) == (0 if after_commit else 300)
    assert verify(ACME).ok


def test_two_sealers_at_once_seal_everything_once(live_db: LiveDatabase) -> None:
    write(800)
    program = (
        "import django; django.setup()\n"
        "from tests.audit.trail import a_sealer\n"
        "from app.audit import sealer as sealing\n"
        "sealing.PAGE = 80\n"
        "a_sealer().seal()"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=sealers_environment(live_db))
        for _ in range(2)
    ]
    assert [each.wait(60) for each in both] == [0, 0]
    seal(live_db)
    assert Leaf.objects.count() == 800
    assert verify(ACME).ok


def test_another_cluster_begins_with_what_has_no_leaf(live_db: LiveDatabase) -> None:
    write(4)
    seal(live_db)
    write(3)
    with live_db.acting_as("owner"):  # as after a restore: ids of transactions from elsewhere
        for table in ("entry", "horizon"):
            ask(f"ALTER TABLE audit_{table} DISABLE TRIGGER USER; SELECT 1")
        ask("UPDATE audit_entry SET xid = (xid::text::bigint + 1000000)::text::xid8 RETURNING 1")
        ask("UPDATE audit_horizon SET system_identifier = 1, xid = '5000000' RETURNING 1")
    assert seal(live_db) == 3
    write(2)
    assert seal(live_db) == 2
    report = verify(ACME)
    assert (report.size, report.waiting) == (9, 0)
    assert Horizon.objects.get().system_identifier != 1


def test_more_than_a_page_is_sealed_in_one_go(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "PAGE", 7)
    write(3, OTHER)
    write(20)
    assert seal(live_db) == 23
    write(14)
    assert seal(live_db) == 14
    assert verify(ACME).ok
    assert verify(OTHER).ok


def break_tree(statement: str) -> None:
    for table in ("tree", "checkpoint"):
        ask(f"ALTER TABLE audit_{table} DISABLE TRIGGER USER; SELECT 1")
    ask(f"{statement}; SELECT 1")


TREE_BREAKS = [
    "UPDATE audit_tree SET frontier = set_byte(frontier, 3, 0)",
    "UPDATE audit_tree SET size = 2",
    "DELETE FROM audit_tree",
    "DELETE FROM audit_checkpoint",
    "UPDATE audit_checkpoint SET root = sha256('x')",
]


@pytest.mark.parametrize("statement", TREE_BREAKS)
@pytest.mark.parametrize("restarted", [True, False])
def test_the_sealer_signs_nothing_that_does_not_extend_what_it_signed(
    live_db: LiveDatabase, statement: str, restarted: bool
) -> None:
    sealer = a_sealer()
    write(4)
    with live_db.acting_as("sealer"):
        sealer.seal()
    with live_db.acting_as("owner"):
        break_tree(statement)
    write(1)
    with live_db.acting_as("sealer"), pytest.raises(TreeDisagrees, match=str(ACME)):
        (a_sealer() if restarted else sealer).seal()
    assert Leaf.objects.count() == 4


def test_a_sealer_that_starts_believes_no_checkpoint_without_its_signature(
    live_db: LiveDatabase,
) -> None:
    write(4)
    seal(live_db)
    with live_db.acting_as("owner"):
        break_tree("UPDATE audit_checkpoint SET note = replace(note, 'parley', 'barley')")
    write(1)
    with live_db.acting_as("sealer"), pytest.raises(TreeDisagrees, match="not signed"):
        a_sealer().seal()


def test_a_running_sealer_notices_a_log_that_was_set_back(live_db: LiveDatabase) -> None:
    sealer = a_sealer()
    for _ in range(2):
        write(4)
        with live_db.acting_as("sealer"):
            sealer.seal()
    with live_db.acting_as("owner"):
        ask("ALTER TABLE audit_leaf DISABLE TRIGGER USER; SELECT 1")
        break_tree("DELETE FROM audit_checkpoint WHERE size = 8")
        ask("DELETE FROM audit_leaf WHERE index > 3 RETURNING 1")
        old = merkle.Frontier()
        old.extend(bytes(h) for (h,) in ask("SELECT hash FROM audit_leaf ORDER BY index"))
        ask("UPDATE audit_tree SET size = 4, frontier = %s RETURNING 1", old.to_bytes())
    write(1)
    with live_db.acting_as("sealer"), pytest.raises(TreeDisagrees, match="we last signed"):
        sealer.seal()


def test_each_checkpoint_is_announced(live_db: LiveDatabase, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client, client.pubsub() as listening:
        listening.subscribe("parley:log")
        entry = write(1)[0]
        write(1, OTHER)
        with live_db.acting_as("sealer"):
            sealing.Sealer(SEED, "o/l", Announcer(redis_server.url)).seal()
        heard = list(messages(listening, 2))
    assert {
        "organization": str(ACME),
        "size": 1,
        "entries": [[str(TALK), "message_version", entry.target_id, 0]],
    } in heard


def messages(listening: Any, count: int) -> Iterator[Any]:
    until = time.monotonic() + 5
    while count and time.monotonic() < until:
        message = listening.get_message(timeout=0.5)
        if message and message["type"] == "message":
            count -= 1
            yield json.loads(message["data"])


def test_sealing_goes_on_without_redis(live_db: LiveDatabase, redis_server: RedisServer) -> None:
    announcer = Announcer(redis_server.url)
    redis_server.stop()
    write(2)
    with live_db.acting_as("sealer"):
        assert sealing.Sealer(SEED, "o/l", announcer).seal() == 2
    assert Leaf.objects.count() == 2


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def leaves() -> int:
    return Leaf.objects.count()


def test_the_process_seals_outlives_lost_connections_and_ends_cleanly(
    live_db: LiveDatabase, sealer: SealerProcess
) -> None:
    write(3)
    wait_until(lambda: leaves() == 3)
    with live_db.acting_as("superuser"):
        ended = ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = 'parley_log'"
        )
    assert ended[0][0] >= 1
    write(2)
    wait_until(lambda: leaves() == 5)
    sealer.terminate()
    assert "sealing_ended" in sealer.log_text()
    assert "database_away" in sealer.log_text()
    assert verify(ACME).ok


@pytest.mark.usefixtures("redis_server")
def test_the_command_seals_once(live_db: LiveDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    write(3)
    with live_db.acting_as("sealer"):
        call_command("seal", "--once")
    assert "sealed 3 entries" in capsys.readouterr().out
    origin = f"{settings.CHECKPOINT_ORIGIN}/{ACME}\n3\n"
    assert Checkpoint.objects.get().note.startswith(origin)


def test_a_signing_key_that_is_not_one_is_named_and_never_shown(tmp_path: Path) -> None:
    good, short = tmp_path / "good", tmp_path / "short"
    good.write_text(base64.b64encode(SEED).decode() + "\n")
    short.write_text(base64.b64encode(b"secret").decode())
    assert signing_seed(good) == SEED
    for path in (None, tmp_path / "none", short):
        with pytest.raises(CommandError) as raised:
            signing_seed(path)
        assert "c2VjcmV0" not in str(raised.value)


def test_the_state_tells_how_fresh_the_log_is(live_db: LiveDatabase) -> None:
    write(2)
    state = access.verification_state(ACME)
    assert (state.size, state.waiting, state.ok) == (0, 2, None)
    assert state.waiting_since == Entry.objects.earliest().at
    seal(live_db)
    state = access.verification_state(ACME)
    assert (state.size, state.waiting, state.waiting_since) == (2, 0, None)
    assert state.checkpoint == Checkpoint.objects.get().note
    assert access.organizations() == [ACME]


def test_entries_are_filtered_and_paged_in_a_stable_order(live_db: LiveDatabase) -> None:
    ours = [entry.pk for entry in write(5)]
    write(2, OTHER)
    first = access.entries(ACME, limit=3)
    then = access.entries(ACME, before_id=first[-1].pk, limit=3)
    assert [entry.pk for entry in (*first, *then)] == ours[::-1]
    assert access.entries(ACME, actor=UUID(int=1)) == []
    assert len(access.entries(ACME, scope=TALK)) == 5
    assert [e.pk for e in access.entries(ACME, target=first[0].target_id)] == [ours[-1]]
    seal(live_db)
    assert [line for _, line in access.leaves(ACME, 1, 3)] == [
        bytes(entry.leaf) for entry in Entry.objects.filter(pk__in=ours[1:3]).order_by("pk")
    ]
