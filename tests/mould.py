"""A migrated cluster that is made once and then copied, so that a run starts in a second.

It is kept in `.parley/test/`, named by a hash of all that shapes a schema: the migrations,
what they import from the project, SQL files, the locked packages and PostgreSQL itself.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.binaries import postgresql_programs, postgresql_version
from dev.postgresql import Cluster
from dev.roles import LOGINS, Passwords, create_database, create_roles

ROOT = Path(__file__).resolve().parent.parent
MOULDS = ROOT / ".parley" / "test"
TEMPLATE = "parley_template"
TEST_DATABASE = "parley_test"
_KEPT = 3


def copy_of_the_mould(folder: Path) -> tuple[Cluster, Passwords]:
    """A stopped cluster in `folder` with `parley_template` and `parley_test`, migrated."""
    MOULDS.mkdir(mode=0o700, parents=True, exist_ok=True)
    mould = MOULDS / f"mould-{_fingerprint()}"
    with _lock():
        if not (mould / "passwords.json").is_file():
            shutil.rmtree(Cluster(mould).data, ignore_errors=True)
            shutil.rmtree(mould)
            _make(mould)
        os.utime(mould)
        _forget_old_ones()
        made, cluster = Cluster(mould), Cluster(folder, durable=False)
        for source, target in [
            (made.data, cluster.data),
            (mould / "superuser.password", folder / "superuser.password"),
        ]:
            subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)
        passwords = Passwords(**json.loads((mould / "passwords.json").read_text()))
    return cluster, passwords


def _make(mould: Path) -> None:
    cluster = Cluster(mould, durable=False)
    cluster.create()
    cluster.start()
    try:
        passwords = Passwords.fresh()
        create_roles(cluster.url(), passwords)
        create_database(cluster.url(), TEMPLATE)
        _migrate(cluster.url(TEMPLATE, LOGINS["owner"], passwords.owner))
        create_database(cluster.url(), TEST_DATABASE, template=TEMPLATE)
    finally:
        cluster.stop()
    record = mould / "passwords.json"
    record.touch(mode=0o600)
    record.write_text(json.dumps(passwords.as_dict()))


def _migrate(owner_url: str) -> None:
    """By the command that an operator runs, as the role that an operator uses."""
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "-v", "0"],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "app.settings.test", "OWNER_DATABASE_URL": owner_url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"manage.py migrate failed:\n{done.stdout}{done.stderr}")


def _fingerprint() -> str:
    digest = hashlib.sha256(str(postgresql_version(postgresql_programs())).encode())
    for path in sorted(_shaping_files()):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _shaping_files() -> set[Path]:
    migrations = set((ROOT / "app").glob("*/migrations/*.py"))
    found = migrations | set((ROOT / "app").rglob("*.sql"))
    found |= {ROOT / "requirements-lock.txt", ROOT / "app/settings/base.py", Path(__file__)}
    found |= {ROOT / "dev/postgresql.py", ROOT / "dev/roles.py"}
    for migration in migrations:
        for module in re.findall(r"^(?:from|import) (app[.\w]*)", migration.read_text(), re.M):
            path = ROOT / (module.replace(".", "/") + ".py")
            found |= {path} if path.is_file() else set()
    return found


@contextmanager
def _lock() -> Iterator[None]:
    with (MOULDS / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _forget_old_ones() -> None:
    moulds = sorted(MOULDS.glob("mould-*"), key=lambda path: path.stat().st_mtime)
    for mould in moulds[:-_KEPT]:
        shutil.rmtree(Cluster(mould).data)
        shutil.rmtree(mould)
