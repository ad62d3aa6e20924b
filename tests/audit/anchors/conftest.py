"""A log of 310 leaves, and each kind of anchor to bring it to."""

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from app.audit.checkpoint import Signer
from tests.audit.trail import ACME, ORIGIN, SEED, a_sealer, write
from tests.fakes.gcs import GcsServer
from tests.fakes.s3 import S3Server
from tests.fakes.witness import WitnessServer
from tests.live import LiveDatabase

VKEY = Signer(f"{ORIGIN}/{ACME}", SEED).public.vkey


class Log:
    """ACME's log, which a test lets grow."""

    def __init__(self, live_db: LiveDatabase) -> None:
        self.live_db = live_db
        self.sealer = a_sealer()

    def grow(self, count: int = 1) -> None:
        write(count)
        self.seal()

    def seal(self) -> None:
        with self.live_db.acting_as("sealer"):
            self.sealer.seal()


@pytest.fixture
def log(live_db: LiveDatabase) -> Log:
    log = Log(live_db)
    log.grow(300)
    return log


@pytest.fixture(autouse=True)
def no_anchor(settings: Settings) -> None:
    settings.ANCHOR_BUCKET, settings.ANCHOR_WITNESS, settings.ANCHOR_MAIL = [], [], []
    settings.ANCHOR_MINUTES, settings.ANCHOR_KEEP_DAYS = 60, 30


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server.running() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    s3_server.faults.clear()
    return s3_server


@pytest.fixture
def s3_bucket(s3: S3Server, settings: Settings) -> str:
    """A locked bucket, which is the only anchor; returns its name."""
    bucket = f"kept-{secrets.token_hex(4)}"
    s3.client().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    settings.ANCHOR_BUCKET = [f"s3://{bucket}/logs?endpoint={s3.url}&region=us-east-1"]
    return bucket


@pytest.fixture
def gcs() -> Iterator[GcsServer]:
    with GcsServer.running() as server:
        yield server


@pytest.fixture
def gcs_bucket(gcs: GcsServer, settings: Settings) -> str:
    """A bucket with a locked policy, which is the only anchor; returns its name."""
    bucket = f"kept-{secrets.token_hex(4)}"
    gcs.make_bucket(bucket, retention=timedelta(days=30), locked=True)
    settings.ANCHOR_BUCKET = [f"gs://{bucket}/logs?endpoint={gcs.url}"]
    return bucket


@pytest.fixture
def witness(settings: Settings) -> Iterator[WitnessServer]:
    """A witness that trusts ACME's log, and is the only anchor."""
    with WitnessServer.running("witness.example/w1") as server:
        server.trust(VKEY)
        settings.ANCHOR_WITNESS = [(server.url, server.vkey)]
        yield server


@pytest.fixture
def bring_all() -> Callable[[], list[bool]]:
    """Bring ACME's log to every anchor, due or not."""
    from app.audit.anchoring import bring, enrolled

    return lambda: [bring(each, although_nothing_is_new=True) for each in enrolled(ACME)]


def keys_of(s3: S3Server, bucket: str) -> list[str]:
    found: dict[str, Any] = s3.client().list_objects_v2(Bucket=bucket)
    return [each["Key"] for each in found.get("Contents", ())]
