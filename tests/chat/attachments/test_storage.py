"""The three storages keep one promise, whatever goes wrong: all of an object, or nothing."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from google.api_core.retry import Retry
from google.cloud.storage.retry import DEFAULT_RETRY

from app import outside
from app.chat.attachments.storage import Missing, Reason, Storage, StorageFailed
from app.chat.attachments.storage import gcs as google
from app.chat.attachments.storage.folder import FolderStorage
from app.settings.base import BASE_DIR
from tests.fakes.faults import Fault, Faults
from tests.fakes.gcs import GcsServer
from tests.fakes.s3 import S3Server

DATA = bytes(range(256)) * 2000


@dataclass
class Place:
    """A storage, and what is really in it."""

    storage: Storage
    names: Callable[[], list[str]]
    faults: Faults | None = None


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    root = tmp_path / "kept"

    def names() -> list[str]:
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    return Place(FolderStorage(str(root)), names)


def _quick(patience: float) -> Retry:
    retry: Retry = DEFAULT_RETRY.with_timeout(patience).with_delay(initial=0.01, maximum=0.05)
    return retry


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    # As in production, with less time between attempts.
    monkeypatch.setattr(google, "_RETRY", _quick(10.0))
    with GcsServer.running() as server:
        bucket = server.make_bucket("files")
        storage = google.GoogleStorage("files", "/some/prefix", {"endpoint": server.url})
        yield Place(storage, lambda: sorted(bucket.objects), server.faults)
        storage._bucket.client.close()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    from app.chat.attachments.storage.s3 import S3Storage

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with S3Server.running() as server:
        bucket = f"files-{uuid4().hex[:8]}"
        client = server.client()
        client.create_bucket(Bucket=bucket)

        def names() -> list[str]:
            found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
            return sorted(one["Key"] for one in found)

        options = {"endpoint": server.url, "region": "us-east-1"}
        storage = S3Storage(bucket, "/some/prefix", options)
        yield Place(storage, names, server.faults)
        client.close()
        storage._client.close()


@pytest.fixture(params=["folder", "gcs", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["gcs", "s3"])
def far(request: pytest.FixtureRequest) -> tuple[Place, Faults]:
    """One at the other end of a network."""
    found: Place = request.getfixturevalue(request.param)
    assert found.faults
    return found, found.faults


def test_what_was_put_is_there_until_it_is_deleted(place: Place) -> None:
    storage = place.storage
    storage.put("o/a/content-0000", DATA)
    assert storage.get("o/a/content-0000") == DATA
    assert storage.exists("o/a/content-0000")
    assert not storage.exists("o/a/content-0001")
    storage.delete("o/a/content-0000")
    assert not storage.exists("o/a/content-0000")
    assert place.names() == []
    storage.delete("o/a/content-0000")  # again, and nothing happens


def test_google_s_client_asks_nothing_behind_our_back(gcs: Place) -> None:
    before = set(threading.enumerate())
    gcs.storage.put("one", DATA)
    with pytest.raises(Missing):
        gcs.storage.get("none")
    # What the fake answers in is no thread of the client.
    assert {
        one.name for one in set(threading.enumerate()) - before if "background" in one.name
    } == set()


def test_what_is_there_stays_as_it_is(place: Place) -> None:
    place.storage.put("o/a/x", b"first")
    place.storage.put("o/a/x", b"other")
    assert place.storage.get("o/a/x") == b"first"
    assert len(place.names()) == 1


def test_what_is_not_there_is_missing_not_failed(place: Place) -> None:
    with pytest.raises(Missing):
        place.storage.get("o/a/never")


# The network.


@pytest.mark.parametrize("cut", ["before", "midway", "after"])
def test_a_cut_connection_is_tried_again_and_the_object_is_whole(
    cut: str, far: tuple[Place, Faults]
) -> None:
    place, faults = far
    faults.plan(Fault(cut=cut, method="POST"), Fault(cut=cut, method="PUT"))  # type: ignore[arg-type]
    place.storage.put("o/a/x", DATA)
    faults.clear()
    assert place.storage.get("o/a/x") == DATA
    faults.plan(Fault(cut=cut, method="GET", path="x"))  # type: ignore[arg-type]
    assert place.storage.get("o/a/x") == DATA


@pytest.mark.parametrize("harm", ["cut", "unavailable"])
def test_a_storage_that_stays_away_is_said_so_and_nothing_is_there(
    harm: str, far: tuple[Place, Faults], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, faults = far
    monkeypatch.setattr(google, "_RETRY", _quick(1.0))
    monkeypatch.setattr(outside, "PAUSE", 0.0)
    always = 10**9
    faults.plan(
        Fault(cut="before", times=always) if harm == "cut" else Fault(status=503, times=always)
    )
    for call in (
        lambda: place.storage.put("o/a/x", DATA),
        lambda: place.storage.get("o/a/x"),
        lambda: place.storage.exists("o/a/x"),
        lambda: place.storage.delete("o/a/x"),
    ):
        with pytest.raises(StorageFailed) as failed:
            call()
        assert failed.value.reason == Reason.UNREACHABLE
        assert failed.value.status == 503
    faults.clear()
    monkeypatch.setattr(google, "_RETRY", _quick(10.0))
    assert place.names() == []
    place.storage.put("o/a/x", DATA)  # it is back, and so are we


def test_a_storage_that_refuses_us_is_named_to_the_operator_and_not_to_the_member(
    far: tuple[Place, Faults], caplog: pytest.LogCaptureFixture
) -> None:
    place, faults = far
    faults.plan(Fault(status=403, times=99))
    with caplog.at_level(logging.ERROR), pytest.raises(StorageFailed) as failed:
        place.storage.put("o/a/x", DATA)
    assert failed.value.reason == Reason.DENIED
    (line,) = caplog.records
    told = line.__dict__
    assert (line.message, told["reason"], told["object"]) == ("storage_failed", "denied", "o/a/x")
    assert told["storage"].endswith(("gs://files",)) or told["storage"].startswith("s3://files-")
    assert "files" in told["storage"]
    assert "o/a/x" not in failed.value.message


def test_a_bucket_that_is_not_there_is_not_a_missing_object(gcs: Place, s3: Place) -> None:
    from app.chat.attachments.storage.s3 import S3Storage

    assert isinstance(s3.storage, S3Storage)
    s3.storage._bucket = "no-such-bucket"
    assert isinstance(gcs.storage, google.GoogleStorage)
    gcs.storage._bucket = gcs.storage._bucket.client.bucket("no-such-bucket")
    for place in (gcs, s3):
        with pytest.raises(StorageFailed) as put:
            place.storage.put("x", b"1")
        with pytest.raises(StorageFailed) as got:
            place.storage.get("x")
        assert {put.value.reason, got.value.reason} == {Reason.NO_BUCKET}


# The folder.


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/passwd"])
def test_no_name_leaves_the_folder(name: str, folder: Place) -> None:
    with pytest.raises(ValueError, match="leaves the folder"):
        folder.storage.put(name, b"1")


def test_what_a_killed_process_left_unfinished_is_swept_away(tmp_path: Path) -> None:
    FolderStorage(str(tmp_path))
    old, new = (tmp_path / ".unfinished" / name for name in ("old", "new"))
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (0, 0))
    FolderStorage(str(tmp_path))
    assert not old.exists()
    assert new.exists()  # somebody is at it


def test_files_are_readable_by_us_alone(folder: Place, tmp_path: Path) -> None:
    folder.storage.put("o/a/x", b"1")
    assert (tmp_path / "kept/o/a/x").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "kept/o").stat().st_mode & 0o777 == 0o700


PUT = """
import os, resource, signal, sys
sys.path.insert(0, {base!r})
from app.chat.attachments.storage import StorageFailed
from app.chat.attachments.storage.folder import FolderStorage
storage = FolderStorage({root!r})
{harm}
try:
    storage.put("o/a/x", b"x" * 3_000_000)
except StorageFailed as failed:
    print(failed.reason, storage.exists("o/a/x"), len(os.listdir({root!r} + "/.unfinished")))
"""


def put_apart(root: Path, harm: str, *before: str) -> str:
    """In a process of its own, on which the kernel has put a limit."""
    program = PUT.format(base=str(BASE_DIR), root=str(root), harm=harm)
    command = [*before, sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_limit_on_files_is_a_full_storage_and_leaves_nothing(tmp_path: Path) -> None:
    harm = "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    assert put_apart(tmp_path, harm).strip() == "full False 0"


SMALL_DISK = 'mount -t tmpfs -o size=1m tmpfs {0} && exec "$@"'
READ_ONLY = 'mkdir {0}/.unfinished && mount -t tmpfs -o ro tmpfs {0}/.unfinished && exec "$@"'


@pytest.mark.parametrize(
    ("mount", "said"), [(SMALL_DISK, "full False 0"), (READ_ONLY, "denied False 0")]
)
def test_a_full_and_a_read_only_disk(mount: str, said: str, tmp_path: Path) -> None:
    apart = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run(
        [*apart, "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this kernel lets nobody mount a disk of their own")
    told = put_apart(tmp_path, "", *apart, mount.format(tmp_path), "sh")
    assert told.strip() == said
