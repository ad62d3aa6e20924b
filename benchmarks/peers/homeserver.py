"""Synapse as somebody would run it for one organization: one process, PostgreSQL, no federation.

Presence is off and caches are four times the default, as its documentation advises for speed;
limits of rate are out of reach. Push rules and unread counts stay, which its clients need.
"""

import hashlib
import hmac
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from benchmarks.peers import install
from benchmarks.peers.programs import DOMAIN, Program
from dev.errors import SetupProblem
from dev.ports import LOOPBACK

_SECRET = "for accounts that live for a minute, on loopback"  # noqa: S105
_FREE = {"per_second": 1e6, "burst_count": 1e6}
_FREELY = {"local": _FREE, "remote": _FREE}


def homeserver(database_url: str) -> Callable[[int, Path], Program]:
    """Synapse on an empty database, whose collation must be C."""

    def program(port: int, folder: Path) -> Program:
        python = str(install.synapse())
        settings = folder / "homeserver.yaml"  # JSON is YAML
        settings.write_text(json.dumps(_settings(port, folder, database_url)))
        (folder / "log.yaml").write_text(json.dumps(_LOG))
        command = [python, "-m", "synapse.app.homeserver", "--config-path", str(settings)]
        done = subprocess.run(
            [*command, "--generate-keys"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SetupProblem(f"Synapse does not accept its settings:\n{done.stderr[-2000:]}")
        return Program(command)

    return program


_LOG = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"level": "ERROR", "handlers": ["console"]},
    "disable_existing_loggers": False,
}


def _settings(port: int, folder: Path, database_url: str) -> dict[str, Any]:
    address = urlsplit(database_url)
    return {
        "server_name": DOMAIN,
        "listeners": [
            {
                "port": port,
                "type": "http",
                "bind_addresses": [LOOPBACK],
                "resources": [{"names": ["client"]}],
            }
        ],
        "database": {
            "name": "psycopg2",
            "args": {
                "user": address.username,
                "password": unquote(address.password or ""),
                "host": address.hostname,
                "port": address.port,
                "dbname": address.path[1:],
                "cp_min": 5,
                "cp_max": 10,
            },
        },
        "signing_key_path": str(folder / "signing.key"),
        "media_store_path": str(folder / "media"),
        "log_config": str(folder / "log.yaml"),
        "registration_shared_secret": _SECRET,
        "macaroon_secret_key": _SECRET,
        "form_secret": _SECRET,
        "bcrypt_rounds": 4,  # nobody signs in while something is measured
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "presence": {"enabled": False},
        "caches": {"global_factor": 2.0},
        "report_stats": False,
        "rc_message": _FREE,
        "rc_registration": _FREE,
        "rc_joins": _FREELY,
        "rc_joins_per_room": _FREE,
        "rc_invites": {"per_room": _FREE, "per_user": _FREE, "per_issuer": _FREE},
        "rc_login": {"address": _FREE, "account": _FREE, "failed_attempts": _FREE},
        "rc_room_creation": _FREE,
    }


class Guest:
    """A person with an account. `ask` is for what happens before anything is measured."""

    def __init__(self, port: int, name: str) -> None:
        self.port, self.token = port, ""
        path = "/_synapse/admin/v1/register"
        nonce = self.ask("GET", path)["nonce"]
        said = "\0".join((nonce, name, name, "notadmin")).encode()
        account = self.ask(
            "POST",
            path,
            nonce=nonce,
            username=name,
            password=name,
            admin=False,
            mac=hmac.new(_SECRET.encode(), said, hashlib.sha1).hexdigest(),
        )
        self.token, self.user = account["access_token"], account["user_id"]

    def ask(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """Return what Synapse answers. Raises SetupProblem where it refuses."""
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.port}{path}",
            method=method,
            data=json.dumps(fields).encode() if method != "GET" else None,
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise SetupProblem(f"Synapse refused {path}: {error.read().decode()}") from None


def room_of(guests: list[Guest]) -> str:
    """Put all of them into one private room; returns its id."""
    first, *others = guests
    invited = [other.user for other in others]
    path = "/_matrix/client/v3/createRoom"
    room = str(first.ask("POST", path, preset="private_chat", invite=invited)["room_id"])
    for other in others:
        other.ask("POST", f"/_matrix/client/v3/join/{quote(room)}")
    return room
