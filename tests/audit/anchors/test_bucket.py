"""A bucket keeps each checkpoint once, locked; what goes wrong there is said and tried again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from pytest_django import Settings

from app.audit.access import anchor_states
from app.audit.models import Checkpoint
from tests.audit.anchors.conftest import Log, keys_of
from tests.audit.trail import ACME
from tests.fakes.faults import Fault
from tests.fakes.gcs import GcsServer
from tests.fakes.s3 import S3Server

KEY = f"logs/{ACME}/{300:020}"
Bring = Callable[[], list[bool]]


def note(size: int = 300) -> bytes:
    return Checkpoint.objects.get(organization_id=ACME, size=size).note.encode()


def test_s3_keeps_the_checkpoint_locked_and_nobody_deletes_it(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    client = s3.client()
    kept = client.get_object(Bucket=s3_bucket, Key=KEY)
    assert kept["Body"].read() == note()
    assert kept["ObjectLockMode"] == "COMPLIANCE"
    in_30_days = datetime.now(UTC) + timedelta(days=30)
    assert abs(kept["ObjectLockRetainUntilDate"] - in_30_days) < timedelta(minutes=5)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=s3_bucket, Key=KEY, VersionId=kept["VersionId"])
    [state] = anchor_states(ACME)
    assert (state.name, state.size, state.warning) == (f"s3://{s3_bucket}/logs", 300, "")


def test_google_keeps_the_checkpoint_under_a_locked_policy(
    log: Log, gcs: GcsServer, gcs_bucket: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    assert gcs.read(gcs_bucket, KEY) == note()
    [state] = anchor_states(ACME)
    assert (state.name, state.size, state.warning) == (f"gs://{gcs_bucket}/logs", 300, "")


def test_to_bring_a_checkpoint_again_changes_nothing(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    assert bring_all() == [True]
    versions = s3.client().list_object_versions(Bucket=s3_bucket)["Versions"]
    assert [each["Key"] for each in versions] == [KEY]


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_connection_that_is_cut_is_tried_again_and_nothing_is_kept_twice(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring, cut: str
) -> None:
    s3.faults.plan(Fault(cut=cut, method="PUT"))  # type: ignore[arg-type]
    assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.size == 0
    assert state.problem.startswith("ConnectionClosedError")
    assert bring_all() == [True]
    assert keys_of(s3, s3_bucket) == [KEY]
    [state] = anchor_states(ACME)
    assert (state.size, state.problem, state.failing_since) == (300, "", None)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=403, method="PUT"), "AccessDenied"),
        (Fault(status=503, method="PUT"), "SlowDown"),
        (Fault(status=500, method="PUT"), "InternalError"),
    ],
)
def test_what_s3_refuses_is_said(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring, fault: Fault, says: str
) -> None:
    s3.faults.plan(fault)
    assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.problem.startswith(says)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=403, path="/upload/"), "as the test planned"),
        (Fault(status=503, path="/upload/"), "as the test planned"),
        (Fault(cut="before", path="/upload/"), "ConnectionError"),
        (Fault(cut="after", path="/upload/"), "ConnectionError"),
    ],
)
def test_what_google_refuses_is_said_and_tried_again(
    log: Log, gcs: GcsServer, gcs_bucket: str, bring_all: Bring, fault: Fault, says: str
) -> None:
    gcs.faults.plan(fault)
    assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert says in state.problem
    assert bring_all() == [True]
    assert gcs.read(gcs_bucket, KEY) == note()


def test_a_slow_bucket_is_given_up(
    log: Log, s3: S3Server, s3_bucket: str, bring_all: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.audit.anchors.s3.TIMEOUT", (0.2, 0.2))
    s3.faults.plan(Fault(delay=1.0, cut="before", method="PUT"))
    assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.problem.startswith("ReadTimeoutError")


def test_a_bucket_that_is_not_there_is_named(
    log: Log, s3: S3Server, settings: Settings, bring_all: Bring
) -> None:
    settings.ANCHOR_BUCKET = [f"s3://nowhere?endpoint={s3.url}&region=us-east-1"]
    assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.problem.startswith("NoSuchBucket")


def test_a_bucket_that_locks_nothing_is_told_to_the_operator(
    log: Log, gcs: GcsServer, gcs_bucket: str, bring_all: Bring
) -> None:
    gcs.buckets[gcs_bucket].locked = False
    assert bring_all() == [True]
    [state] = anchor_states(ACME)
    assert "not locked" in state.warning
    gcs.buckets[gcs_bucket].locked = True
    gcs.buckets[gcs_bucket].retention = timedelta(days=3)
    assert bring_all() == [True]
    [state] = anchor_states(ACME)
    assert "for 3 days only" in state.warning


def test_without_the_right_to_see_the_policy_google_s_bucket_serves_with_a_warning(
    log: Log, gcs: GcsServer, gcs_bucket: str, bring_all: Bring
) -> None:
    # Once for the client's own look at the bucket, in the background.
    gcs.faults.plan(Fault(status=403, method="GET", path=f"/b/{gcs_bucket}", times=2))
    assert bring_all() == [True]
    [state] = anchor_states(ACME)
    assert "does not let us see" in state.warning


def test_an_s3_that_ignores_the_lock_is_told_to_the_operator(
    log: Log, s3: S3Server, settings: Settings, bring_all: Bring
) -> None:
    s3.client().create_bucket(Bucket="open")
    settings.ANCHOR_BUCKET = [f"s3://open?endpoint={s3.url}&region=us-east-1"]
    outcome = bring_all()
    [state] = anchor_states(ACME)
    assert "lock" in f"{state.problem}{state.warning}".lower()
    assert outcome == [not state.problem]
