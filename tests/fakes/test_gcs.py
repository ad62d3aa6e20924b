"""Google's own client finds in the fake what Google's service would give it."""

import io
import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed, ServiceUnavailable
from google.cloud.storage import Bucket, Client

from tests.fakes.faults import Fault
from tests.fakes.gcs import GcsServer


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsServer]:
    with GcsServer.running() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        server.make_bucket("files")
        yield server


@pytest.fixture
def client(gcs: GcsServer) -> Iterator[Client]:
    client = Client(project="nothing")
    yield client
    client.close()


@pytest.fixture
def bucket(client: Client) -> Bucket:
    return client.bucket("files")


def test_what_was_uploaded_comes_back(bucket: Bucket) -> None:
    blob = bucket.blob("a/b c.txt")
    blob.metadata = {"sha256": "ab"}
    blob.upload_from_string(b"content", content_type="text/plain")
    found = bucket.get_blob("a/b c.txt")
    assert found is not None
    assert (found.size, found.content_type, found.metadata) == (7, "text/plain", {"sha256": "ab"})
    assert found.download_as_bytes() == b"content"
    assert found.download_as_bytes(start=2, end=3) == b"nt"
    assert [each.name for each in bucket.list_blobs(prefix="a/")] == ["a/b c.txt"]
    found.delete()
    assert bucket.get_blob("a/b c.txt") is None
    with pytest.raises(NotFound):
        found.delete()


def test_a_large_upload_goes_in_pieces_and_survives_a_cut(bucket: Bucket, gcs: GcsServer) -> None:
    content = secrets.token_bytes(3 * 256 * 1024 + 17)
    blob = bucket.blob("large", chunk_size=256 * 1024)
    gcs.faults.plan(Fault(status=503, method="PUT"), Fault(cut="after", method="PUT"))
    blob.upload_from_file(io.BytesIO(content))
    assert gcs.read("files", "large") == content
    assert blob.download_as_bytes() == content


def test_a_generation_is_never_written_over_when_none_was_expected(bucket: Bucket) -> None:
    bucket.blob("once").upload_from_string(b"first", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        bucket.blob("once").upload_from_string(b"second", if_generation_match=0)
    assert bucket.blob("once").download_as_bytes() == b"first"


def test_a_retention_policy_refuses_to_delete_and_to_replace(
    client: Client, gcs: GcsServer
) -> None:
    gcs.make_bucket("kept", retention=timedelta(days=1), locked=True)
    bucket = client.get_bucket("kept")
    assert (bucket.retention_period, bucket.retention_policy_locked) == (86400, True)
    blob = bucket.blob("kept")
    blob.upload_from_string(b"first")
    with pytest.raises(Forbidden, match="retention policy"):
        blob.delete()
    with pytest.raises(Forbidden, match="retention policy"):
        blob.upload_from_string(b"second")
    bucket.retention_period = 60
    with pytest.raises(Forbidden):
        bucket.patch()


def test_faults_are_seen_by_the_client(bucket: Bucket, gcs: GcsServer) -> None:
    gcs.faults.plan(Fault(status=403, path="/upload/"))
    with pytest.raises(Forbidden):
        bucket.blob("x").upload_from_string(b"x")
    gcs.faults.plan(Fault(status=503, path="/upload/"))
    with pytest.raises(ServiceUnavailable):
        bucket.blob("x").upload_from_string(b"x", retry=None)
    gcs.faults.plan(Fault(cut="before", path="/upload/"))
    with pytest.raises(requests.ConnectionError):
        bucket.blob("x").upload_from_string(b"x", retry=None)
    assert bucket.get_blob("x") is None


def test_what_arrives_damaged_is_refused(bucket: Bucket, gcs: GcsServer) -> None:
    answer = requests.post(
        f"{gcs.url}/upload/storage/v1/b/files/o?uploadType=multipart",
        data=b'--x\r\nContent-Type: application/json\r\n\r\n{"name": "d", "crc32c": "AAAAAA=="}'
        b"\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n",
        headers={"Content-Type": "multipart/related; boundary=x"},
        timeout=5,
    )
    assert answer.status_code == 400
    assert bucket.get_blob("d") is None
