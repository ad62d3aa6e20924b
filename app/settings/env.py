"""Reads the environment, loudly: the only module that does.

A missing or malformed value stops the start and is named, all of them at once;
a value is never echoed, because it may be a secret.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import dj_database_url
from decouple import Config, RepositoryEmpty, RepositoryEnv, UndefinedValueError
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


class _Environment:
    """The process's environment, then the fallback that a place chose (dev: a file).

    It collects what is wrong, so that an operator mends everything in one go.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._config = Config(RepositoryEmpty())

    def fall_back_to_files(self, *paths: Path) -> None:
        """Take what the environment does not say from lines of `NAME=value`, if there are any."""
        values: dict[str, str] = {}
        for path in filter(Path.is_file, paths):
            values |= RepositoryEnv(str(path)).data
        self.fall_back_to(values)

    def fall_back_to(self, values: Mapping[str, str]) -> None:
        """Take what the environment does not say from `values`: tests alone have such."""
        self._config = Config(_Values(values))

    def required(
        self,
        name: str,
        cast: Callable[[str], T],
        *,
        why: str,
        spare: Callable[[], str] | None = None,
    ) -> T:
        """The value of `name`, or what `spare` makes. Missing without one, or malformed, it is
        noted for `check()`.

        What is returned then must not be used: `check()` raises before anything can.
        """
        raw = self._raw(name) or (spare() if spare else "")
        if raw == "":
            self.problems.append(f"{name} is missing: {why}")
            return None  # type: ignore[return-value]
        return self._cast(name, raw, cast, why)

    def optional(self, name: str, cast: Callable[[str], T], *, default: T, why: str = "") -> T:
        """The value of `name`, or `default` where it is not set or empty."""
        raw = self._raw(name)
        return default if raw == "" else self._cast(name, raw, cast, why)

    def check(self) -> None:
        """Raise ImproperlyConfigured with every problem that was noted."""
        if self.problems:
            problems, self.problems = self.problems, []
            raise ImproperlyConfigured(
                "Parley does not start:\n" + "\n".join(f"  - {line}" for line in problems)
            )

    def _raw(self, name: str) -> str:
        try:
            return str(self._config(name)).strip()
        except UndefinedValueError:
            return ""

    def _cast(self, name: str, raw: str, cast: Callable[[str], T], why: str) -> T:
        try:
            return cast(raw)
        except ValueError:
            # Without the cause: its message quotes the value.
            self.problems.append(f"{name} is malformed: {why or cast.__doc__}")
            return None  # type: ignore[return-value]


class _Values(RepositoryEmpty):  # type: ignore[misc]  # decouple has no types
    def __init__(self, values: Mapping[str, str]) -> None:
        self.data = values

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def __getitem__(self, key: str) -> str:
        return self.data[key]


env = _Environment()


def flag(value: str) -> bool:
    """`true/1/yes/on` or `false/0/no/off`."""
    lowered = value.strip().lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off"}:
        return False
    raise ValueError("expected true or false")


def words(value: str) -> list[str]:
    """A list separated by commas; blanks are dropped."""
    return [word.strip() for word in value.split(",") if word.strip()]


def some_words(value: str) -> list[str]:
    """At least one word; several are separated by commas."""
    found = words(value)
    if not found:
        raise ValueError("expected at least one")
    return found


def long_text(value: str) -> str:
    """At least 50 characters (`openssl rand -base64 48`)."""
    if len(value) < 50:
        raise ValueError("too short")
    return value


def key_bytes(value: str) -> bytes:
    """32 bytes in base64 (`openssl rand -base64 32`), the URL-safe alphabet being fine too."""
    try:
        key = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if len(key) != 32:
        raise ValueError("not 32 bytes")
    return key


def key_text(value: str) -> str:
    """32 bytes in URL-safe base64, as Fernet wants them (`openssl rand -base64 32 | tr +/ -_`)."""
    return base64.urlsafe_b64encode(key_bytes(value)).decode()


def random_key() -> str:
    """What `key_bytes` and `key_text` take, of this process alone."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def random_text() -> str:
    """What `long_text` takes, of this process alone."""
    return secrets.token_urlsafe(64)


def key_provider(value: str) -> str:
    """`local` or `cloud-kms`."""
    if value not in {"local", "cloud-kms"}:
        raise ValueError("no such provider")
    return value


def kms_key(value: str) -> str:
    """`projects/…/locations/…/keyRings/…/cryptoKeys/…`, without a version."""
    if not re.fullmatch(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+", value):
        raise ValueError("not a key of Cloud KMS")
    return value


def loopback(value: str) -> str:
    """`127.0.0.1:port`: nothing but this machine is spoken to without TLS."""
    host, _, port = value.rpartition(":")
    if host not in {"127.0.0.1", "localhost", "[::1]"} or not port.isdigit():
        raise ValueError("not on this machine")
    return value


def receipts_stream(value: str) -> str:
    """`stdout`, `stderr` or `off`."""
    if value not in {"stdout", "stderr", "off"}:
        raise ValueError("no such stream")
    return value


def redis_url(value: str) -> str:
    """`redis://host:port/number`, or `rediss://` for TLS."""
    parts = urlsplit(value)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ValueError("not a URL of Redis")
    return value


def storage_url(value: str) -> str:
    """`file:///folder`, `gs://bucket/prefix` or `s3://bucket/prefix?endpoint=https://…&region=…`."""
    parts = urlsplit(value)
    whole = parts.path.startswith("/") and not parts.netloc
    if not (whole if parts.scheme == "file" else parts.scheme in {"gs", "s3"} and parts.netloc):
        raise ValueError("not the URL of a storage")
    return value


def bucket_urls(value: str) -> list[str]:
    """Buckets, separated by commas: `s3://bucket/prefix?endpoint=…&region=…`, `gs://bucket/prefix`.

    None of them twice: options do not make another of it.
    """
    found = [storage_url(word) for word in some_words(value)]
    if any(urlsplit(url).scheme == "file" for url in found):
        raise ValueError("a folder keeps nothing from us")
    if len({url.partition("?")[0].rstrip("/") for url in found}) < len(found):
        raise ValueError("one of them is there twice")
    return found


def witness_pairs(value: str) -> list[tuple[str, str]]:
    """Witnesses, separated by commas, each its URL, a space and its whole vkey, of another name:
    `https://… name+…+…`.
    """
    from app.audit.cosignature import WitnessKey  # noqa: PLC0415 - only where there is a witness

    found = [tuple(word.split()) for word in some_words(value)]
    if any(len(pair) != 2 or not pair[0].startswith(("https://", "http://")) for pair in found):
        raise ValueError("not a URL and a vkey")
    if len({WitnessKey.parse(vkey).name for _, vkey in found}) < len(found):
        raise ValueError("two have one name")
    return [(url, vkey) for url, vkey in found]


def mail_server(value: str) -> dict[str, Any]:
    """`smtp://user:password@host:587` (STARTTLS, but on loopback) or `smtps://…:465` (TLS)."""
    parts = urlsplit(value)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("not the URL of a mail server")
    tls, near = parts.scheme == "smtps", parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return {
        "HOST": parts.hostname,
        "PORT": parts.port or (465 if tls else 587),
        "HOST_USER": unquote(parts.username or ""),
        "HOST_PASSWORD": unquote(parts.password or ""),
        "USE_SSL": tls,
        "USE_TLS": not tls and not near,
    }


def ice_urls(value: str) -> list[str]:
    """`stun:host:port`, `turn:host:port?transport=udp`, with commas between (RFC 7065)."""
    found = some_words(value)
    if any(not re.fullmatch(r"(stuns?|turns?):[^\s/]+", url) for url in found):
        raise ValueError("not the address of a STUN or TURN server")
    return found


def turn_secret(value: str) -> str:
    """At least 32 characters, the same as coturn's `static-auth-secret`."""
    if len(value) < 32:
        raise ValueError("too short")
    return value


def livekit_url(value: str) -> str:
    """`wss://host`, where clients connect to and our calls of its API go (`ws://` on loopback)."""
    parts = urlsplit(value)
    near = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("not the address of a LiveKit")
    if parts.scheme != "wss" and not (near and parts.scheme == "ws"):
        raise ValueError("not encrypted")
    return value.rstrip("/")


def livekit_secret(value: str) -> str:
    """At least 32 characters, as LiveKit itself wants them (RFC 7518, 3.2)."""
    if len(value) < 32:
        raise ValueError("too short")
    return value


def postgresql(value: str) -> dict[str, Any]:
    """`postgres://user:password@host:port/database`: PostgreSQL is the one engine there is."""
    database = dict(dj_database_url.parse(value))
    if database.get("ENGINE") != "django.db.backends.postgresql" or not database.get("NAME"):
        raise ValueError("not a URL of PostgreSQL")
    return database


def database_role(value: str) -> str:
    """`app`, `owner`, `sealer` or `admin`."""
    if value not in {"app", "owner", "sealer", "admin"}:
        raise ValueError("no such role")
    return value


def listening(value: str) -> tuple[str, range] | None:
    """`127.0.0.1:9464-9479` (or one port): each process takes the first port that is free."""
    host, _, ports = value.rpartition(":")
    first, _, last = ports.partition("-")
    found = range(int(first), int(last or first) + 1)
    if not host or not found or found[0] < 1 or found[-1] > 65535:
        raise ValueError("not an address and ports")
    return host.strip("[]"), found


def collector_url(value: str) -> str:
    """`https://…`; `http://` on this machine alone."""
    parts = urlsplit(value)
    near = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or (parts.scheme != "https" and not (near and parts.scheme == "http")):
        raise ValueError("not encrypted")
    return value


def natural(value: str) -> int:
    """A whole number, 0 or above."""
    number = int(value)
    if number < 0:
        raise ValueError("negative")
    return number
