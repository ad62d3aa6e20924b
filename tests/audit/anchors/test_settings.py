"""What an operator writes about anchors is read exactly, or named."""

import os
import subprocess
import sys

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from app.audit.anchors.configured import configured, names
from app.settings.env import bucket_urls, mail_server, witness_pairs
from tests.fakes.witness import WitnessServer


def found() -> list[str]:
    return [each.msg for each in run_checks() if each.id == "parley.audit.E003"]


def test_a_witness_without_a_proper_key_and_two_anchors_of_one_name_stop_the_start(
    settings: Settings,
) -> None:
    with WitnessServer.running("witness.example/w1") as witness:
        vkey = witness.vkey
    settings.ANCHOR_WITNESS = [("https://w.example", vkey)]
    settings.ANCHOR_BUCKET = ["s3://a/b", "gs://a/b"]
    assert found() == []
    settings.ANCHOR_WITNESS = [("https://w.example", vkey[:-4]), ("https://v.example", vkey)]
    settings.ANCHOR_BUCKET = ["s3://a/b", "s3://a/b/?endpoint=https://other.example"]
    assert found() == [
        "ANCHOR_WITNESS: the vkey after https://w.example: an Ed25519 public key has 32 bytes",
        "two anchors have the name s3://a/b",
    ]


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


def test_buckets_witnesses_and_mail_servers_are_read() -> None:
    assert bucket_urls("s3://a/b?region=x, gs://c") == ["s3://a/b?region=x", "gs://c"]
    pairs = witness_pairs("https://w.example/p name+0+k, http://127.0.0.1:1 other+0+k")
    assert pairs == [("https://w.example/p", "name+0+k"), ("http://127.0.0.1:1", "other+0+k")]
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
    "value", ["", "file:///tmp", "s3://", "https://bucket", "s3://a,,file:///b"]
)
def test_what_is_no_bucket_is_refused(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        bucket_urls(value)


@pytest.mark.parametrize("value", ["", "https://w.example", "w.example name+0+k", "a b c"])
def test_what_is_no_witness_is_refused(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        witness_pairs(value)


@pytest.mark.parametrize("value", ["mail.example", "http://mail.example", "smtp://"])
def test_what_is_no_mail_server_is_refused(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        mail_server(value)
