"""An image, the services that its instances need, and what starts them."""

import os
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from dev.redis_server import RedisServer
from tests.cloudrun.balancer import Balancer
from tests.cloudrun.image import Instance, build
from tests.cloudrun.rendered import container, rendered
from tests.fakes.gcs import GcsServer
from tests.fakes.kms import KmsServer
from tests.live import LiveDatabase

SHARED = (
    "SECRET_KEY",
    "JWT_SIGNING_KEY",
    "FIELD_ENCRYPTION_KEY",
    "AUDIT_PSEUDONYM_KEY",
    "BLIND_INDEX_KEY",
)


@pytest.fixture(scope="session")
def image() -> Iterator[Path]:
    # Not pytest's folder, which its user alone may enter.
    folder = Path(tempfile.mkdtemp(prefix="parley-image-"))
    try:
        build(folder)
        yield folder
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.fixture
def there(
    live_db: LiveDatabase, redis_server: RedisServer, settings: Settings
) -> Iterator[dict[str, str]]:
    """Where the services of a deployment are on this machine, and the secrets that the test has."""
    state = Path(tempfile.mkdtemp(prefix="parley-state-"))
    os.chmod(state, 0o777)
    with GcsServer.running() as gcs, KmsServer.running() as kms:
        gcs.make_bucket("files")
        [key] = [
            one["value"] for one in container(rendered()["web"])["env"] if one["name"] == "KMS_KEY"
        ]
        kms.make_key(key)
        seed = state / "seed"
        seed.write_text("A" * 43 + "=")
        settings.KEY_PROVIDER, settings.KMS_KEY = "cloud-kms", key
        settings.KMS_INSECURE_LOOPBACK_ENDPOINT = kms.address
        shared = {name: getattr(settings, name) for name in SHARED}
        yield {name: _as_text(value) for name, value in shared.items()} | {
            "DATABASE_URL": live_db.app_url,
            "OWNER_DATABASE_URL": live_db.owner_url,
            "REDIS_URL": redis_server.url,
            "METRICS_LISTEN": "127.0.0.1:9500-9699",  # several of them are on one machine here
            "ATTACHMENT_STORAGE": f"gs://files/a?endpoint={gcs.url}",
            "ANCHOR_BUCKET": f"gs://files/log?endpoint={gcs.url}",
            "KMS_INSECURE_LOOPBACK_ENDPOINT": kms.address,
            "STATE_DIR": str(state),
            "ERASURE_LIST": str(state / "erasures.list"),
            "SEALER_SIGNING_KEY_FILE": str(seed),
        }
    shutil.rmtree(state)


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else b64encode(value).decode()


Starts = Callable[..., Instance]


@pytest.fixture
def starts(image: Path, there: dict[str, str], tmp_path: Path) -> Iterator[Starts]:
    """Start an instance of a template, of another image if one is given; all end with the test."""
    begun: list[Instance] = []

    def start(name: str, of: Path = image, *, now: bool = True, **changes: str) -> Instance:
        log = tmp_path / f"{name}-{len(begun)}.log"
        begun.append(Instance(of, name, there | changes, log))
        if now:
            begun[-1].start()
        return begun[-1]

    yield start
    for one in begun:
        one.kill()


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    with Balancer.running() as running:
        yield running
