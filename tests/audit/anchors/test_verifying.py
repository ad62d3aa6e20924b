"""Rewritten history that is signed again, with the real key, is named by every anchor."""

import io
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from app.audit.findings import Report
from app.audit.models import Checkpoint, Entry
from app.audit.verification import verify_everywhere
from tests.audit.anchors.conftest import Log
from tests.audit.test_verify import as_an_owner_without_guards, ask_nothing, rewrite_an_entry
from tests.audit.trail import ACME, a_sealer, ask
from tests.fakes.faults import Fault
from tests.fakes.gcs import GcsServer
from tests.fakes.s3 import S3Server
from tests.fakes.witness import WitnessServer

Bring = Callable[[], list[bool]]
SEALED = "audit_leaf, audit_node, audit_checkpoint, audit_tree, audit_horizon"


def found(report: Report) -> set[tuple[str, str]]:
    return {(problem.fault.value, problem.place) for problem in report.problems}


def messages(report: Report) -> str:
    return " | ".join(problem.message for problem in report.problems)


def entry_of(index: int) -> int:
    rows = ask("SELECT entry_id FROM audit_leaf WHERE organization_id = %s AND index = %s",
               ACME, index)  # fmt: skip
    return int(rows[0][0])


def rewrite_and_seal_again(log: Log, *statements: str) -> None:
    """As the operator could, who owns the database and holds the key."""
    with as_an_owner_without_guards(log.live_db):
        rewrite_an_entry(entry_of(7))
        ask_nothing(*statements, f"TRUNCATE {SEALED}")
    log.sealer = a_sealer()
    log.seal()


def cut_the_end_off(log: Log, size: int) -> None:
    """Entries from `size` on are gone, as if they had never been; the rest is signed again."""
    with as_an_owner_without_guards(log.live_db):
        ask_nothing(
            f"DELETE FROM audit_entry WHERE id IN (SELECT entry_id FROM audit_leaf "
            f"WHERE organization_id = '{ACME}' AND index >= {size})",
            "DELETE FROM audit_entry WHERE action_name LIKE 'log:anchor%%'",
            f"TRUNCATE {SEALED}, audit_cosignature",
        )
    log.sealer = a_sealer()
    log.seal()


@pytest.fixture(params=["s3", "gcs", "witness"])
def anchor(request: pytest.FixtureRequest) -> str:
    """The name of the one anchor that is configured."""
    names = {"s3": "s3_bucket", "gcs": "gcs_bucket", "witness": "witness"}
    given = request.getfixturevalue(names[request.param])
    schemes = {"s3": f"s3://{given}/logs", "gcs": f"gs://{given}/logs"}
    return schemes.get(request.param, "witness.example/w1")


def test_an_untouched_log_agrees_with_what_is_kept(log: Log, anchor: str, bring_all: Bring) -> None:
    for _ in range(3):
        assert bring_all() == [True]
        log.grow(3)
    report = verify_everywhere(ACME)
    assert (report.problems, report.unread) == ([], [])


def test_history_that_was_rewritten_and_signed_again_is_named_with_anchor_and_size(
    log: Log, anchor: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    log.grow(5)
    rewrite_and_seal_again(log)
    report = verify_everywhere(ACME)
    assert ("known_checkpoint", "known checkpoint 300") in found(report)
    assert anchor in messages(report)
    assert {fault for fault, _ in found(report)} == {"known_checkpoint"}


def test_a_log_whose_end_was_cut_off_is_named_with_anchor_and_size(
    log: Log, anchor: str, bring_all: Bring
) -> None:
    log.grow(10)
    assert bring_all() == [True]
    log.seal()
    cut_the_end_off(log, 290)
    report = verify_everywhere(ACME)
    assert found(report) == {("known_checkpoint", "known checkpoint 310")}
    assert anchor in messages(report)


def test_the_command_names_it_and_fails(log: Log, s3_bucket: str, bring_all: Bring) -> None:
    assert bring_all() == [True]
    rewrite_and_seal_again(log)
    output = io.StringIO()
    with pytest.raises(CommandError, match="1 of 1 logs do not agree"):
        call_command("audit_verify", "--organization", str(ACME), stdout=output)
    said = "known checkpoint 300: the first 300 leaves do not have the root"
    assert f"{said} that s3://{s3_bucket}/logs has" in output.getvalue()
    call_command("audit_verify", "--offline", "--organization", str(ACME), stdout=output)


def test_what_a_witness_signed_is_compared_without_asking_it(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    rewrite_and_seal_again(log)
    witness.faults.plan(Fault(cut="before"))
    report = verify_everywhere(ACME)
    assert found(report) == {("known_checkpoint", "known checkpoint 300")}
    assert report.unread == ["witness.example/w1: ConnectionError"]


def test_a_cosignature_that_was_made_up_is_named(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    note = Checkpoint.objects.get(organization_id=ACME, size=300).note
    with as_an_owner_without_guards(log.live_db):
        ask("UPDATE audit_cosignature SET note = %s RETURNING 1", note)
    report = verify_everywhere(ACME)
    assert found(report) == {("anchor_note", "known checkpoint 300")}
    assert "witness.example/w1: not signed by a known key" in messages(report)


def test_an_object_that_is_gone_although_the_log_says_it_was_kept_is_named(
    log: Log, gcs: GcsServer, gcs_bucket: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    gcs.buckets[gcs_bucket].objects.clear()
    report = verify_everywhere(ACME)
    assert found(report) == {("anchor_missing", "known checkpoint 300")}


def test_an_object_that_is_no_checkpoint_of_ours_is_named(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    key = f"logs/{ACME}/{7:020}"
    s3.client().put_object(Bucket=s3_bucket, Key=key, Body=b"hello")
    report = verify_everywhere(ACME)
    assert found(report) == {("anchor_note", f"s3://{s3_bucket}/logs")}


def test_an_object_that_another_key_signed_is_named(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    log.grow(4)
    root = bytes(Checkpoint.objects.get(organization_id=ACME, size=305).root)
    forged = a_sealer(seed=b"mallory's seed of thirty-two by.")._signer(str(ACME)).sign(305, root)
    key = f"logs/{ACME}/{305:020}"
    s3.client().put_object(Bucket=s3_bucket, Key=key, Body=forged.encode())
    report = verify_everywhere(ACME)
    assert found(report) == {("anchor_note", "known checkpoint 305")}


def test_an_anchor_that_cannot_be_asked_does_not_pass_for_one_that_agrees(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    s3.faults.plan(Fault(status=403, method="GET"))
    output = io.StringIO()
    with pytest.raises(CommandError, match="1 anchors could not be asked"):
        call_command("audit_verify", "--organization", str(ACME), stdout=output)
    assert f"not compared with s3://{s3_bucket}/logs: AccessDenied" in output.getvalue()


def test_two_checkpoints_of_one_size_do_not_fit_into_a_bucket(
    log: Log, gcs: GcsServer, gcs_bucket: str, bring_all: Bring
) -> None:
    """A second history is brought under the name that the first has, and that is the alarm."""
    assert bring_all() == [True]
    with as_an_owner_without_guards(log.live_db):
        rewrite_an_entry(entry_of(7))
        ask_nothing("DELETE FROM audit_entry WHERE action_name LIKE 'log:anchor%%'")
        ask_nothing(f"TRUNCATE {SEALED}")
    log.sealer = a_sealer()
    log.seal()
    assert bring_all() == [False]
    entry = Entry.objects.get(action_name="log:anchor_failed")
    assert entry.document["after"]["disagrees"] is True
    assert "keeps another root for 300 leaves" in entry.document["after"]["problem"]


def test_with_no_anchor_the_log_alone_is_verified(log: Log, settings: Settings) -> None:
    rewrite_and_seal_again(log)
    assert verify_everywhere(ACME).ok  # which is why anchors are
