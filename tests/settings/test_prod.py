"""Production starts complete or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.settings.production import production_environment

PROJECT = Path(__file__).resolve().parents[2]
REQUIRED = sorted(set(production_environment()) - {"DJANGO_SETTINGS_MODULE"})
# For each case: a fresh import of the settings, and what it says.
_TRY = """
import importlib, json, os, sys
from django.core.exceptions import ImproperlyConfigured
cases, said = json.load(sys.stdin), []
for case in cases:
    os.environ.clear(); os.environ.update(case)
    for name in [name for name in sys.modules if name.startswith("app")]:
        del sys.modules[name]
    try:
        settings = importlib.import_module("app.settings.prod")
        said.append("")
    except ImproperlyConfigured as problem:
        said.append(str(problem))
print(json.dumps(said))
"""


def _start(*environments: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _TRY],
        input=json.dumps(environments),
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def _manage(*arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "manage.py", *arguments],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]} | production_environment() | changes,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_starts_with_everything_it_needs() -> None:
    assert _start(production_environment()) == [""]


def test_an_empty_environment_is_refused_and_every_missing_name_is_said_at_once() -> None:
    (said,) = _start({})
    assert [name for name in REQUIRED if f"{name} is missing" not in said] == []


def test_each_missing_value_alone_is_enough_to_refuse_and_nothing_else_is_named() -> None:
    complete = production_environment()
    answers = _start(*({k: v for k, v in complete.items() if k != name} for name in REQUIRED))
    for name, said in zip(REQUIRED, answers, strict=True):
        named = [other for other in REQUIRED if f"- {other} is" in said]
        assert named == [name], said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("JWT_SIGNING_KEY", "short"),
        ("FIELD_ENCRYPTION_KEY", "not base64!"),
        ("LIVEKIT_URL", "ws://livekit.example.org"),
        ("AUDIT_PSEUDONYM_KEY", "dG9vIHNob3J0"),
        ("BLIND_INDEX_KEY", "QUJD"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "mysql://web:very-secret@db/parley"),
        ("REDIS_URL", "http://very-secret@cache"),
        ("TRUSTED_PROXY_COUNT", "-1"),
        ("DATABASE_ROLE", "superuser"),
        ("METRICS_LISTEN", "0.0.0.0"),
        ("METRICS_LISTEN", "127.0.0.1:9479-9464"),
        ("METRICS_LISTEN", "127.0.0.1:70000"),
        ("SIEM_URL", "http://siem.example.org/very-secret"),
        ("ALLOWED_HOSTS", " , "),
    ],
)
def test_a_malformed_value_is_named_and_never_echoed(name: str, value: str) -> None:
    (said,) = _start(production_environment() | {name: value})
    assert f"{name} is malformed" in said
    assert value not in said
    assert "very-secret" not in said


def test_an_sfu_without_its_key_and_a_good_secret_is_refused() -> None:
    given = {"LIVEKIT_URL": "wss://livekit.example.org", "LIVEKIT_API_KEY": "APIx"}
    complete = production_environment() | given
    missing, short, enough = _start(
        complete,
        complete | {"LIVEKIT_API_SECRET": "x" * 31},
        complete | {"LIVEKIT_API_SECRET": "x" * 32},
    )
    assert "LIVEKIT_API_SECRET is missing" in missing
    assert "LIVEKIT_API_SECRET is malformed" in short
    assert enough == ""


def test_the_deployment_checks_are_clean() -> None:
    done = _manage("check", "--deploy", "--fail-level", "INFO")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_manage_py_fails_loudly_in_production_without_a_secret() -> None:
    done = _manage("check", SECRET_KEY="")
    assert done.returncode != 0
    assert "SECRET_KEY is missing" in done.stderr


def test_the_database_is_reached_over_tls_alone_unless_it_is_on_this_machine() -> None:
    program = "from django.conf import settings as s; print(s.DATABASES['default'].get('OPTIONS'))"
    for host, expected in [("db.example.org", "{'sslmode': 'require'}"), ("127.0.0.1", "None")]:
        url = f"postgres://web:x@{host}/parley"
        done = _manage("shell", "--no-imports", "-c", program, DATABASE_URL=url)
        assert done.stdout.strip() in {expected, "{}" if expected == "None" else expected}
