"""What an operator writes about anchors is read exactly, or named."""

import os
import subprocess
import sys

import pytest
from pytest_django import Settings

from app.audit.anchors.configured import configured, names
from app.audit.checkpoint import Signer
from app.audit.cosignature import WitnessKey
from app.settings.env import bucket_urls, mail_server, witness_pairs
from tests.fakes.witness import WitnessServer


@pytest.fixture(scope="module")
def vkeys() -> list[str]:
    """Of two witnesses; the third has the name of the first."""
    seeds = {"w.example/1": b"1", "w.example/2": b"2", " w.example/1": b"3"}
    return [
        WitnessKey(name.strip(), Signer(name.strip(), seed * 32).public.raw).vkey
        for name, seed in seeds.items()
    ]


def test_a_witness_that_could_never_work_stops_the_start_of_every_process(
    vkeys: list[str],
) -> None:
    """The application behind gunicorn makes no system checks: the settings themselves refuse."""
    script = "import django; django.setup()"
    for vkey, code in ((vkeys[0], 0), (vkeys[0][:-4], 1)):
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "app.settings.test",
            "ANCHOR_WITNESS": f"https://w.example {vkey}",
        }
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
    assert "ANCHOR_WITNESS is malformed" in done.stderr


def test_what_is_shown_is_named_as_what_is_reached_is(settings: Settings) -> None:
    with WitnessServer.running("witness.example/w1") as witness:
        settings.ANCHOR_WITNESS = [(witness.url, witness.vkey)]
    settings.ANCHOR_BUCKET = ["s3://a/b/?region=x", "gs://c", "gs://d/e/f"]
    settings.ANCHOR_MAIL = ["officers"]
    assert names() == [anchor.name for anchor in configured()]
    assert names() == ["s3://a/b", "gs://c", "gs://d/e/f", "witness.example/w1", "mail"]


def test_to_name_the_anchors_loads_no_client() -> None:
    """The officer's page and the schedule ask for names; boto3 alone takes half a second."""
    script = (
        "import django, sys; django.setup()\n"
        "from app.audit.anchors.configured import names\n"
        "import app.audit.tasks\n"
        "assert names() == ['s3://a', 'gs://b'], names()\n"
        "assert not {'boto3', 'botocore', 'google.cloud.storage'} & set(sys.modules)\n"
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "app.settings.test",
        "ANCHOR_BUCKET": "s3://a?region=x,gs://b",
    }
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_buckets_witnesses_and_mail_servers_are_read(vkeys: list[str]) -> None:
    assert bucket_urls("s3://a/b?region=x, gs://c") == ["s3://a/b?region=x", "gs://c"]
    one, other, _ = vkeys
    pairs = witness_pairs(f"https://w.example/p {one}, http://127.0.0.1:1 {other}")
    assert pairs == [("https://w.example/p", one), ("http://127.0.0.1:1", other)]
    server = mail_server("smtp://u:p%40ss@mail.example")
    assert (server["HOST"], server["PORT"], server["HOST_PASSWORD"]) == (
        "mail.example",
        587,
        "p@ss",
    )
    assert (server["USE_TLS"], server["USE_SSL"]) == (True, False)
    assert mail_server("smtps://mail.example")["PORT"] == 465
    assert mail_server("smtp://localhost:25")["USE_TLS"] is False


@pytest.mark.parametrize(
    "value",
    [
        "",
        "file:///tmp",
        "s3://",
        "https://bucket",
        "s3://a,,file:///b",
        "s3://a/b,s3://a/b/?endpoint=https://other.example",
    ],
)
def test_what_is_no_bucket_is_refused(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        bucket_urls(value)


@pytest.mark.parametrize(
    "value",
    [
        "", "https://w.example", "w.example {0}", "a b c", "https://w.example name+0+k",
        "https://w.example {0}, https://v.example {2}",
    ],
)  # fmt: skip
def test_what_is_no_witness_is_refused(value: str, vkeys: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        witness_pairs(value.format(*vkeys))


@pytest.mark.parametrize("value", ["mail.example", "http://mail.example", "smtp://"])
def test_what_is_no_mail_server_is_refused(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        mail_server(value)
