"""The checkpoint comes by mail, and the attachment is what `audit_verify --checkpoint` takes."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from app.accounts.models import User
from app.audit.access import anchor_states
from app.audit.anchoring import bring, enrolled
from app.audit.models import Checkpoint
from app.audit.services import INSTALLATION
from app.audit.tasks import heartbeat
from tests.audit.anchors.conftest import Log
from tests.audit.trail import ACME, a_sealer
from tests.fakes.smtp import SmtpServer
from tests.live import LiveDatabase

Bring = Callable[[], list[bool]]


@pytest.fixture
def smtp(settings: Settings) -> Iterator[SmtpServer]:
    with SmtpServer.running() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_TIMEOUT = 5
        settings.DEFAULT_FROM_EMAIL = "parley@chat.example"
        settings.ANCHOR_MAIL = ["olga@acme.example", "auditor@elsewhere.example"]
        yield server


def test_the_checkpoint_is_in_the_mail_and_verifies(
    log: Log, smtp: SmtpServer, bring_all: Bring, tmp_path: Path
) -> None:
    assert bring_all() == [True]
    note = Checkpoint.objects.get(organization_id=ACME).note
    [mail] = smtp.mails
    assert smtp.recipients == [["olga@acme.example", "auditor@elsewhere.example"]]
    assert mail["Subject"] == f"Checkpoint of parley.test/log/{ACME} at 300 entries"
    text = mail.get_body()
    assert text is not None
    assert note in text.get_content().replace("\r\n", "\n")
    [file] = mail.iter_attachments()
    assert file.get_filename() == f"checkpoint-{ACME}-300.txt"
    assert file.get_content() == note.encode()
    (tmp_path / "kept").write_bytes(file.get_content())
    call_command("audit_verify", "--offline", "--checkpoint", str(tmp_path / "kept"))
    [state] = anchor_states(ACME)
    assert (state.name, state.size) == ("mail", 300)


def test_a_server_that_refuses_is_said_without_an_address(
    log: Log, smtp: SmtpServer, bring_all: Bring
) -> None:
    smtp.refuse = 550
    assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.problem == "SMTPRecipientsRefused"
    smtp.refuse = None
    assert bring_all() == [True]
    assert len(smtp.mails) == 1


def test_a_server_that_is_away_is_said(
    log: Log, smtp: SmtpServer, settings: Settings, bring_all: Bring
) -> None:
    with socket.socket() as nobody:  # bound, and never listening
        nobody.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = nobody.getsockname()[1]
        assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.problem == "ConnectionRefusedError"


def test_each_organization_s_officers_are_written_to_and_nobody_else(
    live_db: LiveDatabase,
    alice: User,
    olga: User,
    oscar: User,
    eve: User,
    smtp: SmtpServer,
    settings: Settings,
) -> None:
    settings.ANCHOR_MAIL = ["officers"]
    User.objects.filter(pk=oscar.pk).update(is_active=False)
    heartbeat()  # the installation's own log too, which has no officers
    with live_db.acting_as("sealer"):
        a_sealer().seal()
    outcomes = {
        organization: [bring(each) for each in enrolled(organization)]
        for organization in (INSTALLATION, olga.organization_id, eve.organization_id)
    }
    assert outcomes == {
        INSTALLATION: [True],
        olga.organization_id: [True],
        eve.organization_id: [False],
    }
    assert smtp.recipients == [["olga@example.org"]]
    [state] = anchor_states(eve.organization_id)
    assert state.problem == "there is nobody to write to"
    [state] = anchor_states(INSTALLATION)
    assert (state.problem, state.kept_at) == ("", None)
