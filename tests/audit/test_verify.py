"""Each row breaks the stored log as the database's owner, and says what the verifier must say."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from pytest_django import DjangoDbBlocker

from app.audit import canonical
from app.audit import verify as verifying
from app.audit.actions import Action
from app.audit.checkpoint import Signer, open_checkpoint
from app.audit.context import Origin, acting_from
from app.audit.findings import Fault, Known, Report
from app.audit.models import Checkpoint, Entry, Verification
from app.audit.services import Record, Target, record_many
from app.audit.tasks import heartbeat, verify_due
from app.audit.verify import examine, verify
from tests.audit.trail import ACME, BOB, ORIGIN, OTHER, SEED, a_sealer, ask, write
from tests.live import LiveDatabase
from tests.stack import Stack

TABLES = ("entry", "leaf", "node", "checkpoint", "key", "tree", "horizon", "cosignature")
SIZES = (5, 295, 10)  # leaves a seal: a first checkpoint, one past a full node, a last
SIZE = sum(SIZES)


def fill(live_db: LiveDatabase) -> None:
    """ACME's log of 310 leaves in three checkpoints, and another organization's of 3."""
    sealer = a_sealer()
    for count in SIZES:
        write(count)
        with live_db.acting_as("sealer"):
            sealer.seal()
    write(3, OTHER)
    with live_db.acting_as("sealer"):
        sealer.seal()


@pytest.fixture
def log(live_db: LiveDatabase) -> LiveDatabase:
    fill(live_db)
    return live_db


@pytest.fixture(scope="module")
def one_log(
    stack: Stack, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[LiveDatabase]:
    """A log for all tests of a process, each of which takes back what it did to it."""
    with stack.fresh_database() as database, django_db_blocker.unblock():
        live = LiveDatabase(database)
        with live.acting_as("app"):
            fill(live)
        yield live


@contextmanager
def as_an_owner_without_guards(live_db: LiveDatabase, *, take_back: bool = False) -> Iterator[None]:
    with live_db.acting_as("owner"), transaction.atomic():
        for table in TABLES:
            ask_nothing(f"ALTER TABLE audit_{table} DISABLE TRIGGER USER")
        yield
        transaction.set_rollback(take_back)


def ask_nothing(*statements: str) -> None:
    for statement in statements:
        ask(statement + "; SELECT 1")


def found(report: Report) -> set[tuple[str, str]]:
    return {(problem.fault.value, problem.place) for problem in report.problems}


class Broken(NamedTuple):
    """`says` are (fault, place) of the report; {n} in a place is the entry of leaf n."""

    how: str
    statements: list[str]
    says: set[tuple[Fault, str]]


AT = f"organization_id = '{ACME}' AND index"
ENTRY = f"(SELECT entry_id FROM audit_leaf WHERE {AT} = 7)"
OTHER_ENTRY = f"(SELECT entry_id FROM audit_leaf WHERE {AT} = 8)"
HEX = "'\\x" + "00" * 32 + "'"


def swap(table: str, key: str, columns: str, one: str, two: str) -> str:
    names = columns.split(", ")
    sets = ", ".join(f"{name} = b.{name}" for name in names)
    return (
        f"UPDATE {table} a SET {sets} FROM {table} b WHERE (a.{key} = {one} AND b.{key} = {two}) "
        f"OR (a.{key} = {two} AND b.{key} = {one})"
    )


def changed(column: str, value: str) -> list[str]:
    return [f"UPDATE audit_entry SET {column} = {value} WHERE id = {ENTRY}"]


EMPTIED = ("body", "body_hash", "leaf")

BREAKS = [
    Broken(
        "one flipped bit of a body",
        changed("body", "set_bit(body, 100, 1 - get_bit(body, 100))"),  # in the action
        {
            (Fault.BODY_HASH, "entry {7}"),
            (Fault.COLUMNS, "entry {7}"),
            (Fault.LEAF_LINE, "entry {7}"),
        },
    ),
    Broken(
        "another commitment in a body",
        changed("body", "replace(encode(body, 'escape'), 'abab', 'cdcd')::bytea"),
        {(Fault.BODY_HASH, "entry {7}"), (Fault.LEAF_LINE, "entry {7}")},
    ),
    Broken(
        "another commitment in a body, hashed again",
        [
            *changed("body", "replace(encode(body, 'escape'), 'abab', 'cdcd')::bytea"),
            *changed("body_hash", "sha256(body)"),
        ],
        {(Fault.LEAF_LINE, "entry {7}")},
    ),
    Broken(
        "another commitment in a body, hashed again into the leaf line",
        [
            *changed("body", "replace(encode(body, 'escape'), 'abab', 'cdcd')::bytea"),
            *changed("body_hash", "sha256(body)"),
            *changed("leaf", "substring(leaf, 1, 97) || encode(sha256(body), 'hex')::bytea"),
        ],
        {(Fault.LEAF_HASH, "leaf 7")},
    ),
    Broken(
        "another commitment in a body, hashed again up to the leaf",
        [
            *changed("body", "replace(encode(body, 'escape'), 'abab', 'cdcd')::bytea"),
            *changed("body_hash", "sha256(body)"),
            *changed("leaf", "substring(leaf, 1, 97) || encode(sha256(body), 'hex')::bytea"),
            f"UPDATE audit_leaf SET hash = sha256('\\x00' || (SELECT leaf FROM audit_entry "
            f"WHERE id = {ENTRY})) WHERE {AT} = 7",
        ],
        {
            (Fault.CHECKPOINT_ROOT, f"checkpoint {SIZES[0] + SIZES[1]}"),
            (Fault.NODE, "node 1/0"),
            (Fault.TREE, "tree"),
        },
    ),
    Broken(
        "a body that is not JSON",
        changed("body", "'hello'"),
        {(Fault.BODY_HASH, "entry {7}"), (Fault.BODY_FORM, "entry {7}")},
    ),
    Broken(
        "a space in a body, hashed again",
        [
            *changed("body", "replace(encode(body, 'escape'), ':{', ': {')::bytea"),
            *changed("body_hash", "sha256(body)"),
        ],
        {(Fault.BODY_FORM, "entry {7}")},
    ),
    Broken(
        "another actor", changed("actor_id", "gen_random_uuid()"), {(Fault.COLUMNS, "entry {7}")}
    ),
    Broken("no actor", changed("actor_id", "NULL"), {(Fault.COLUMNS, "entry {7}")}),
    Broken("another scope", changed("scope_id", "NULL"), {(Fault.COLUMNS, "entry {7}")}),
    Broken("another action", changed("action_name", "'x:y'"), {(Fault.COLUMNS, "entry {7}")}),
    Broken("another target", changed("target_id", "'x'"), {(Fault.COLUMNS, "entry {7}")}),
    Broken("another parent", changed("target_parent", "'x'"), {(Fault.COLUMNS, "entry {7}")}),
    Broken("another type", changed("target_type", "'x'"), {(Fault.COLUMNS, "entry {7}")}),
    Broken(
        "a microsecond later",
        changed("at", "at + interval '1 microsecond'"),
        {(Fault.COLUMNS, "entry {7}")},
    ),
    Broken(
        "an emptied body, hash and leaf line",
        [
            *(f"ALTER TABLE audit_entry ALTER {c} DROP NOT NULL" for c in EMPTIED),
            *(changed(column, "NULL")[0] for column in EMPTIED),
        ],
        {
            (Fault.BODY_HASH, "entry {7}"),
            (Fault.BODY_FORM, "entry {7}"),
            (Fault.LEAF_HASH, "leaf 7"),
        },
    ),
    Broken("another uuid", changed("uuid", "gen_random_uuid()"), {(Fault.COLUMNS, "entry {7}")}),
    Broken(
        "an entry moved to another organization",
        changed("organization_id", f"'{OTHER}'"),
        {(Fault.ENTRY_ELSEWHERE, "leaf 7"), (Fault.COLUMNS, "entry {7}")},
    ),
    Broken(
        "another time in the leaf line",
        changed("leaf", "overlay(leaf placing '1999' from 4)"),
        {(Fault.LEAF_LINE, "entry {7}"), (Fault.LEAF_HASH, "leaf 7")},
    ),
    Broken(
        "two entries swapped whole",
        [
            "ALTER TABLE audit_entry DROP CONSTRAINT audit_entry_uuid_key",
            swap(
                "audit_entry",
                "id",
                "uuid, at, target_id, target_parent, body, body_hash, leaf",
                ENTRY,
                OTHER_ENTRY,
            ),
        ],
        {(Fault.LEAF_HASH, "leaf 7"), (Fault.LEAF_HASH, "leaf 8")},
    ),
    Broken(
        "two leaves swapped",
        [
            f"UPDATE audit_leaf SET index = 1000007 WHERE {AT} = 7",
            f"UPDATE audit_leaf SET index = 7 WHERE {AT} = 8",
            f"UPDATE audit_leaf SET index = 8 WHERE {AT} = 1000007",
        ],
        {
            (Fault.CHECKPOINT_ROOT, f"checkpoint {SIZES[0] + SIZES[1]}"),
            (Fault.NODE, "node 1/0"),
            (Fault.TREE, "tree"),
        },
    ),
    Broken(
        "an entry deleted",
        [f"DELETE FROM audit_entry WHERE id = {ENTRY}"],
        {(Fault.ENTRY_MISSING, "leaf 7")},
    ),
    Broken(
        "a leaf deleted",
        [f"DELETE FROM audit_leaf WHERE {AT} = 7"],
        {(Fault.LEAF_MISSING, "leaf 7"), (Fault.ENTRY_UNSEALED, "entry {7}")},
    ),
    Broken(
        "an entry and its leaf deleted",
        [
            f"DELETE FROM audit_entry WHERE id = {ENTRY}",
            f"DELETE FROM audit_leaf WHERE {AT} = 7",
        ],
        {(Fault.LEAF_MISSING, "leaf 7")},
    ),
    Broken(
        "the last ten entries and leaves deleted",
        [
            "DELETE FROM audit_entry WHERE id IN "
            f"(SELECT entry_id FROM audit_leaf WHERE {AT} >= 300)",
            f"DELETE FROM audit_leaf WHERE {AT} >= 300",
        ],
        {(Fault.LEAF_MISSING, "leaves 300 to 309"), (Fault.TREE, "tree")},
    ),
    Broken(
        "entries truncated",
        ["TRUNCATE audit_entry"],
        {(Fault.ENTRY_MISSING, "leaf 7"), (Fault.ENTRY_MISSING, "leaf 0")},
    ),
    Broken(
        "leaves truncated",
        ["TRUNCATE audit_leaf"],
        {
            (Fault.LEAF_MISSING, "leaves 0 to 4"),
            (Fault.LEAF_MISSING, f"leaves 0 to {SIZE - 1}"),
            (Fault.TREE, "tree"),
            (Fault.ENTRY_UNSEALED, "entry {7}"),
        },
    ),
    Broken(
        "an entry inserted behind the horizon",
        [
            "INSERT INTO audit_entry (uuid, organization_id, action_name, scope_id, actor_id, "
            "target_type, target_id, target_parent, at, body, body_hash, leaf, xid) "
            "SELECT gen_random_uuid(), organization_id, action_name, scope_id, actor_id, "
            "target_type, target_id, target_parent, at, body, body_hash, leaf, xid "
            f"FROM audit_entry WHERE id = {ENTRY}"
        ],
        {(Fault.ENTRY_UNSEALED, "entry {last}"), (Fault.COLUMNS, "entry {last}")},
    ),
    Broken(
        "an entry inserted that would never be sealed",
        [
            "INSERT INTO audit_entry (uuid, organization_id, action_name, scope_id, actor_id, "
            "target_type, target_id, target_parent, at, body, body_hash, leaf, xid) "
            "SELECT gen_random_uuid(), organization_id, action_name, scope_id, actor_id, "
            "target_type, target_id, target_parent, at, body, body_hash, leaf, '999999999' "
            f"FROM audit_entry WHERE id = {ENTRY}"
        ],
        {(Fault.ENTRY_AHEAD, "entry {last}"), (Fault.COLUMNS, "entry {last}")},
    ),
    Broken(
        "a leaf appended without the sealer",
        [
            f"INSERT INTO audit_leaf VALUES (999999, '{ACME}', {SIZE}, {HEX})",
        ],
        {
            (Fault.ENTRY_MISSING, f"leaf {SIZE}"),
            (Fault.CHECKPOINT_MISSING, f"checkpoint {SIZE + 1}"),
            (Fault.TREE, "tree"),
        },
    ),
    Broken(
        "a leaf twice",
        [
            "ALTER TABLE audit_leaf DROP CONSTRAINT audit_leaf_place",
            f"INSERT INTO audit_leaf VALUES (999999, '{ACME}', 7, {HEX})",
        ],
        {(Fault.LEAF_TWICE, "leaf 7"), (Fault.ENTRY_MISSING, "leaf 7")},
    ),
    Broken(
        "another hash of a node",
        [f"UPDATE audit_node SET hash = {HEX}"],
        {(Fault.NODE, "node 1/0")},
    ),
    Broken("a node deleted", ["DELETE FROM audit_node"], {(Fault.NODE, "node 1/0")}),
    Broken(
        "a node invented",
        [
            "INSERT INTO audit_node (organization_id, level, index, hash) "
            f"VALUES ('{ACME}', 1, 1, {HEX})"
        ],
        {(Fault.NODE, "nodes")},
    ),
    Broken(
        "another frontier",
        [
            "UPDATE audit_tree SET frontier = set_byte(frontier, 0, 0) "
            f"WHERE organization_id = '{ACME}'"
        ],
        {(Fault.TREE, "tree")},
    ),
    Broken("a tree deleted", ["DELETE FROM audit_tree"], {(Fault.TREE, "tree")}),
    Broken(
        "another root beside a note",
        [f"UPDATE audit_checkpoint SET root = {HEX} WHERE size = 300"],
        {(Fault.CHECKPOINT_NOTE, "checkpoint 300")},
    ),
    Broken(
        "another size in a note",
        ["UPDATE audit_checkpoint SET note = replace(note, E'\\n300\\n', E'\\n299\\n')"],
        {(Fault.CHECKPOINT_NOTE, "checkpoint 300")},
    ),
    Broken(
        "the last checkpoint deleted",
        [f"DELETE FROM audit_checkpoint WHERE size = {SIZE}"],
        {(Fault.CHECKPOINT_MISSING, f"checkpoint {SIZE}")},
    ),
    Broken(
        "another organization's checkpoint copied here",
        [
            f"DELETE FROM audit_key WHERE organization_id = '{ACME}'",
            f"UPDATE audit_key SET organization_id = '{ACME}'",
            f"UPDATE audit_checkpoint a SET note = b.note, root = b.root FROM audit_checkpoint b "
            f"WHERE b.organization_id = '{OTHER}' AND a.size = 300",
        ],
        {
            (Fault.CHECKPOINT_NOTE, "checkpoint 5"),
            (Fault.CHECKPOINT_NOTE, "checkpoint 300"),
            (Fault.CHECKPOINT_ROOT, "checkpoint 300"),
            (Fault.CHECKPOINT_NOTE, f"checkpoint {SIZE}"),
        },
    ),
    Broken(
        "the keys deleted",
        ["DELETE FROM audit_key"],
        {(Fault.CHECKPOINT_NOTE, f"checkpoint {size}") for size in (5, 300, SIZE)},
    ),
    Broken(
        "a malformed key beside ours",
        [f"INSERT INTO audit_key (organization_id, vkey, created_at) VALUES ('{ACME}','x',now())"],
        {(Fault.KEY, "key")},
    ),
    Broken("the horizon deleted", ["DELETE FROM audit_horizon"], {(Fault.HORIZON, "horizon")}),
    Broken(
        "the horizon moved into the future",
        ["UPDATE audit_horizon SET xid = '999999999'"],
        {(Fault.HORIZON, "horizon")},
    ),
]


def entry_of(index: int) -> int:
    rows = ask(f"SELECT entry_id FROM audit_leaf WHERE {AT} = %s", index)
    return int(rows[0][0]) if rows else 0


def test_an_untouched_log_agrees(log: LiveDatabase) -> None:
    report = verify(ACME)
    assert report.problems == []
    assert (report.size, report.checkpoints, report.waiting) == (SIZE, len(SIZES), 0)
    assert verify(OTHER).size == 3


def test_entries_that_wait_for_the_sealer_are_counted_and_no_fault(log: LiveDatabase) -> None:
    write(4)
    report = verify(ACME)
    assert (report.ok, report.waiting) == (True, 4)


def test_an_entry_with_characters_of_every_kind_agrees(live_db: LiveDatabase) -> None:
    target = Target("x\\N", "a\tb\nc\\x41 \\101 é \U0001f512", "\\")
    with acting_from(Origin(agent="\\ \\\\ \x01 ü \x7f")), transaction.atomic():
        record_many([Record(Action.USER_CHANGED, ACME, BOB, target, after={"role": "\\é"})])
    with live_db.acting_as("sealer"):
        a_sealer().seal()
    report = verify(ACME)
    assert (report.problems, report.size) == ([], 1)


@pytest.mark.parametrize("broken", BREAKS, ids=[row.how for row in BREAKS])
def test_the_verifier_names_what_is_wrong_and_where(one_log: LiveDatabase, broken: Broken) -> None:
    with as_an_owner_without_guards(one_log, take_back=True):
        entry = entry_of(7)
        ask_nothing(*broken.statements)
        last = ask("SELECT max(id) FROM audit_entry")[0][0]
        report = examine(ACME)
        # Leaf 7 ends a page, with a double if it has one.
        with patch("app.audit.verify._LEAVES", verifying._LEAVES.replace("5000 ROWS", "8 ROWS")):
            assert found(examine(ACME)) == found(report)
    said = {
        (fault.value, place.replace("{7}", str(entry)).replace("{last}", str(last)))
        for fault, place in broken.says
    }
    assert said <= found(report)
    if "truncated" not in broken.how:
        assert said == found(report)
    assert not report.ok


def test_history_that_was_rewritten_and_signed_again_fails_against_a_kept_checkpoint(
    log: LiveDatabase, tmp_path: Path
) -> None:
    kept = Checkpoint.objects.get(organization_id=ACME, size=300).note
    (tmp_path / "kept").write_text(kept)
    with as_an_owner_without_guards(log):
        rewrite_an_entry(entry_of(7))
        ask_nothing("TRUNCATE audit_leaf, audit_node, audit_checkpoint, audit_tree, audit_horizon")
    with log.acting_as("sealer"):
        a_sealer().seal()
    assert verify(ACME).ok  # the operator holds the key: only an outsider can tell
    checkpoint = open_checkpoint(kept, [Signer(f"{ORIGIN}/{ACME}", SEED).public])
    report = verify(ACME, known=[Known(300, checkpoint.root, "the auditor")])
    assert found(report) == {("known_checkpoint", "known checkpoint 300")}
    assert report.problems[0].message == (
        "the first 300 leaves do not have the root that the auditor has"
    )
    with pytest.raises(CommandError):
        verify_by_command("--checkpoint", str(tmp_path / "kept"))


def test_a_known_checkpoint_agrees_where_the_log_has_none_of_that_size_any_more(
    log: LiveDatabase,
) -> None:
    kept = Checkpoint.objects.get(organization_id=ACME, size=300)
    known = Known(300, bytes(kept.root), "the auditor")
    with as_an_owner_without_guards(log):
        ask_nothing("DELETE FROM audit_checkpoint WHERE size = 300")
    assert verify(ACME, known=[known, known]).problems == []


def test_a_checkpoint_of_another_log_is_not_passed_over(log: LiveDatabase, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text(Checkpoint.objects.get(organization_id=OTHER).note)
    arguments = ("--organization", str(ACME), "--checkpoint", str(tmp_path / "kept"))
    with pytest.raises(CommandError, match="no log that is verified here"):
        verify_by_command(*arguments)


def rewrite_an_entry(entry_id: int) -> None:
    """Consistently in itself, as someone who knows the format would."""
    entry = Entry.objects.get(pk=entry_id)
    body = canonical.dump({**entry.document, "after": {"commitment": "00" * 32}})
    hash_ = hashlib.sha256(body).digest()
    leaf = bytes(entry.leaf)[:-64] + hash_.hex().encode()
    ask(
        "UPDATE audit_entry SET body = %s, body_hash = %s, leaf = %s WHERE id = %s RETURNING 1",
        body, hash_, leaf, entry_id,
    )  # fmt: skip


def test_a_log_signed_with_a_forger_s_key_fails_against_the_true_key(log: LiveDatabase) -> None:
    with as_an_owner_without_guards(log):
        ask_nothing(
            "TRUNCATE audit_leaf, audit_node, audit_checkpoint, audit_tree, "
            "audit_horizon, audit_key"
        )
    with log.acting_as("sealer"):
        a_sealer(seed=b"mallory's seed of thirty-two by.").seal()
    assert verify(ACME).ok
    true_key = Signer(f"{ORIGIN}/{ACME}", SEED).public
    faults = {fault for fault, _ in found(verify(ACME, trusted=[true_key]))}
    assert faults == {"key", "checkpoint_note"}


def test_a_known_checkpoint_beyond_the_end_shows_a_shortened_log(log: LiveDatabase) -> None:
    report = verify(ACME, known=[Known(SIZE + 1, bytes(32), "the auditor")])
    assert found(report) == {("known_checkpoint", f"known checkpoint {SIZE + 1}")}
    message = f"the auditor has it, and the log has {SIZE} leaves only"
    assert report.problems[0].message == message


def verify_by_command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("audit_verify", *arguments, stdout=output)
    return output.getvalue()


def test_the_command_says_that_all_logs_agree(log: LiveDatabase) -> None:
    lines = [json.loads(line) for line in verify_by_command("--json").splitlines()]
    assert {line["organization"]: line["size"] for line in lines} == {
        str(ACME): SIZE,
        str(OTHER): 3,
    }
    assert all(line["ok"] for line in lines)
    assert "agrees; 3 leaves" in verify_by_command("--organization", str(OTHER))


def test_the_command_fails_and_names_the_place(
    log: LiveDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    with as_an_owner_without_guards(log):
        ask_nothing(f"DELETE FROM audit_entry WHERE id = {ENTRY}")
    output = io.StringIO()
    with pytest.raises(CommandError, match="1 of 2 logs do not agree") as raised:
        call_command("audit_verify", stdout=output)
    assert raised.value.returncode == 1
    assert "leaf 7: its entry" in output.getvalue()
    assert verify_by_command("--organization", str(OTHER))


def test_the_regular_verification_is_kept_and_recorded(log: LiveDatabase) -> None:
    heartbeat()  # a log of its own, for what belongs to no organization
    verify_due()
    assert Verification.objects.filter(ok=True).count() == 3
    with as_an_owner_without_guards(log):
        ask_nothing(f"DELETE FROM audit_entry WHERE id = {ENTRY}")
    verify_due()
    assert Verification.objects.count() == 3, "it is not due again"
    with patch("app.audit.tasks.VERIFY_EVERY", timedelta()):
        verify_due()
    kept = Verification.objects.get(organization_id=ACME, ok=False)
    assert kept.problems[0]["place"] == "leaf 7"
    names = Entry.objects.filter(organization_id=ACME).values_list("action_name", flat=True)
    assert {"log:verified", "log:verification_failed", "log:heartbeat"} <= set(names)
