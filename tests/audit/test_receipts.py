"""What we told of an entry, outside the database, can be held against us."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import transaction

from app.accounts.models import User
from app.audit import receipts
from app.audit.leaves import timestamp
from app.audit.receipt_check import told
from app.audit.tasks import check_receipts
from tests.audit.test_sealing import seal
from tests.audit.trail import ACME, OTHER, write
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.realtime.speaker import connected
from tests.server import WebServer

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the logger of receipts writes; in the suite it is off."""
    written = io.StringIO()
    handler, level = logging.StreamHandler(written), receipts.log.level
    receipts.log.addHandler(handler)
    receipts.log.setLevel(logging.INFO)
    yield written
    receipts.log.setLevel(level)
    receipts.log.removeHandler(handler)


def documents(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_each_entry_is_told_after_its_commit_by_its_hash_alone(
    live_db: LiveDatabase, lines: io.StringIO
) -> None:
    with transaction.atomic():
        entries = write(2)
        assert lines.getvalue() == "", "told before it is true"
    assert documents(lines) == [
        {
            "event": "receipt",
            "organization": str(ACME),
            "log": f"{settings.CHECKPOINT_ORIGIN}/{ACME}",
            "leaf_hash": entry.leaf_hash.hex(),
            "time": timestamp(entry.at),
        }
        for entry in entries
    ]
    with transaction.atomic():
        write(1)
        transaction.set_rollback(True)
    assert len(documents(lines)) == 2, "told of what was rolled back"
    assert live_db


def test_collected_receipts_are_asked_for_and_the_lost_one_is_named(
    live_db: LiveDatabase, lines: io.StringIO, tmp_path: Path
) -> None:
    write(1200)
    write(2, OTHER)
    seal(live_db)
    write(3)
    collected = tmp_path / "stdout"
    collected.write_text("not ours\n{broken\nweb | " + lines.getvalue().replace("\n", "\nweb | "))
    assert said(collected) == "1202 in the log, 3 not sealed yet\n"
    lost = "ab" * 32
    stranger = {"event": "receipt", "organization": str(ACME), "leaf_hash": lost}
    with collected.open("a") as more:
        more.write("\n" + json.dumps(stranger) + "\n")
    with pytest.raises(CommandError, match="1 receipts of ours are not in the log") as refused:
        said(collected)
    assert refused.value.returncode == 1
    # The same hash in another organization's log is not known either.
    swapped = [told_of | {"organization": str(OTHER)} for told_of in documents(lines)[:1]]
    collected.write_text(json.dumps(swapped[0]))
    with pytest.raises(CommandError):
        said(collected)


def said(collected: Path) -> str:
    output = io.StringIO()
    call_command("audit_receipts", str(collected), stdout=output)
    return output.getvalue()


def test_a_job_raises_the_alarm_for_a_receipt_that_is_not_known(
    live_db: LiveDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    (entry,) = write(1)
    seal(live_db)
    check_receipts(str(ACME), [entry.leaf_hash.hex()])
    assert "receipt_not_in_the_log" not in caplog.text
    check_receipts(str(ACME), [entry.leaf_hash.hex(), "cd" * 32])
    assert "receipt_not_in_the_log" in caplog.text
    assert "cd" * 32 in caplog.text
    assert entry.leaf_hash.hex() not in caplog.text


def test_lines_that_are_no_receipts_are_passed_over() -> None:
    assert not list(told(["", "x", "{}", "[1]", '{"event": "receipt"}', '{"event": 1}', "{"]))


def test_the_web_process_tells_the_receipt_that_it_acknowledges(
    alice: User, bob: User, server: WebServer
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, alice) as speaker:
        sent = speaker.ask("send", conversation=str(ward.pk), id=str(uuid4()), body="Bed 12 moved.")
    server.terminate()
    found = {receipt.leaf_hash.hex() for receipt in told(server.log_text().splitlines())}
    assert sent["leaf_hash"] in found
    assert "Bed 12" not in server.log_text()


def test_a_command_s_answer_is_not_mixed_with_receipts(live_db: LiveDatabase) -> None:
    write(1)
    done = subprocess.run(
        [sys.executable, "manage.py", "audit_verify", "--json", "--remember"],
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "app.settings.test", "DATABASE_URL": live_db.app_url},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line)["organization"] for line in done.stdout.splitlines()] == [str(ACME)]
    assert len(list(told(done.stderr.splitlines()))) == 1
