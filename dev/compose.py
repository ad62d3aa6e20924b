"""`make compose`: the secrets and keys that docker-compose.yml reads, made once.

Everything is in `.parley/compose/`, a folder of its maker's alone. The standard library is
enough for it: whoever has Docker needs no environment here.
"""

import secrets
import sys
from pathlib import Path

from dev.state import PROJECT, State, new_secrets, read_env, write_env

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
    administrator = f"postgres://postgres:{passwords['postgres']}@postgresql:5432/postgres"
    write_env(
        folder / "env.owner",
        {
            "ADMIN_DATABASE_URL": f"{administrator}?sslmode=disable",
            "OWNER_DATABASE_URL": url["owner"],
            "SEALER_DATABASE_URL": url["sealer"],
        },
    )
    signing = {"SEALER_SIGNING_KEY_FILE": "/run/secrets/sealer-signing.key"}
    sealer = {"DATABASE_ROLE": "sealer", "DATABASE_URL": url["sealer"]}
    write_env(folder / "env.sealer", places | signing | sealer)
    write_env(folder / "env.postgresql", {"POSTGRES_PASSWORD": passwords["postgres"]})
    turn = {"TURN_REALM": "localhost", "TURN_ADDRESS": "127.0.0.1"}
    turn |= {name: value for name, value in read_env(folder / "env.turn").items() if name in turn}
    write_env(folder / "env.turn", {"TURN_SECRET": passwords["turn"]} | turn)
    for name in ("key-encryption.key", "sealer-signing.key"):
        # For the container's user: the folder keeps others out, and Docker lets it in.
        State(folder).key_file(name).chmod(0o644)


def main() -> None:
    """Prepare `.parley/compose/`, or the folder that is the argument."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / ".parley/compose"
    prepare(folder)
    print(f"The secrets and keys of docker-compose.yml are in {folder}: back them up.")


if __name__ == "__main__":
    main()
