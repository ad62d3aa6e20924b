"""`make compose`: the secrets, keys and roles that docker-compose.yml reads, made once.

Everything is in `.parley/compose/`, a folder of its maker's alone. The standard library is
enough for it: whoever has Docker needs no environment here.
"""

import secrets
import sys
from pathlib import Path

from dev.state import PROJECT, State, new_secrets, read_env, write_env

_ROLES = """\
CREATE ROLE parley_app NOLOGIN;
CREATE ROLE parley_sealer NOLOGIN;
CREATE ROLE parley_owner LOGIN PASSWORD '{owner}';
CREATE ROLE parley_web LOGIN PASSWORD '{app}' IN ROLE parley_app;
CREATE ROLE parley_log LOGIN PASSWORD '{sealer}' IN ROLE parley_sealer;
CREATE DATABASE parley OWNER parley_owner;
REVOKE ALL ON DATABASE parley FROM PUBLIC;
GRANT CONNECT ON DATABASE parley TO parley_owner, parley_web, parley_log;
"""
_LOGINS = {"owner": "parley_owner", "app": "parley_web", "sealer": "parley_log"}


def prepare(folder: Path) -> None:
    """Write what is not there yet; what is there stays."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = read_env(folder / "passwords") or {
        name: secrets.token_hex(24) for name in (*_LOGINS, "postgres", "turn")
    }
    write_env(folder / "passwords", passwords)
    places = {
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "CSRF_TRUSTED_ORIGINS": "https://localhost:8443",
        "TRUSTED_PROXY_COUNT": "1",
        "CHECKPOINT_ORIGIN": "localhost/log",
        "STATE_DIR": "/srv/parley",
        "ERASURE_LIST": "/srv/parley/erasures.list",
        "REDIS_URL": "redis://redis:6379/0",
    }
    url = {
        role: f"postgres://{login}:{passwords[role]}@postgresql:5432/parley?sslmode=disable"
        for role, login in _LOGINS.items()
    }
    app = {
        "KEY_ENCRYPTION_KEY_FILE": "/run/secrets/key-encryption.key",
        "DATABASE_URL": url["app"],
        "TURN_SECRET": passwords["turn"],
    }
    own_words = {  # such as TURN_URLS, LIVEKIT_URL, ANCHOR_BUCKET
        name: value for name, value in read_env(folder / "env").items() if name not in places | app
    }
    write_env(folder / "env", places | app | new_secrets(own_words) | own_words)
    write_env(folder / "env.owner", {"OWNER_DATABASE_URL": url["owner"]})
    signing = {"SEALER_SIGNING_KEY_FILE": "/run/secrets/sealer-signing.key"}
    sealer = {"DATABASE_ROLE": "sealer", "DATABASE_URL": url["sealer"]}
    write_env(folder / "env.sealer", places | signing | sealer)
    write_env(folder / "env.postgresql", {"POSTGRES_PASSWORD": passwords["postgres"]})
    turn = {"TURN_REALM": "localhost", "TURN_ADDRESS": "127.0.0.1"}
    turn |= {name: value for name, value in read_env(folder / "env.turn").items() if name in turn}
    write_env(folder / "env.turn", {"TURN_SECRET": passwords["turn"]} | turn)
    _readable(folder / "roles.sql", _ROLES.format(**passwords))
    for name in ("key-encryption.key", "sealer-signing.key"):
        _readable(folder / name, State(folder).key_file(name).read_text())


def _readable(path: Path, text: str) -> None:
    """For the container's user, whom the folder keeps out but Docker lets in."""
    path.write_text(text)
    path.chmod(0o644)


def main() -> None:
    """Prepare `.parley/compose/`, or the folder that is the argument."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / ".parley/compose"
    prepare(folder)
    print(f"The secrets and keys of docker-compose.yml are in {folder}: back them up.")


if __name__ == "__main__":
    main()
