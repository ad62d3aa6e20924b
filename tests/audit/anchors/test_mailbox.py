"""The checkpoint comes by mail, and the attachment is what `audit_verify --checkpoint` takes."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.management import call_command
from pytest_django import Settings

from app import outside
from app.accounts.models import User
from app.audit.access import anchor_states
from app.audit.anchoring import bring, enrolled
from app.audit.anchors import mailbox
from app.audit.anchors.anchor import Submission
from app.audit.models import Anchor, Checkpoint
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
    mail, other = smtp.mails
    assert smtp.recipients == [["olga@acme.example"], ["auditor@elsewhere.example"]]
    assert mail["To"] == "olga@acme.example"  # and does not say who else is told
    assert mail["Message-ID"] != other["Message-ID"]
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
    assert state.problem == "2 of 2 mails are kept to be sent: SMTPRecipientsRefused 550"
    smtp.refuse = None
    assert bring_all() == [True]
    assert len(smtp.mails) == 2


def test_a_server_that_is_away_is_said(
    log: Log, smtp: SmtpServer, settings: Settings, bring_all: Bring
) -> None:
    with socket.socket() as nobody:  # bound, and never listening
        nobody.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = nobody.getsockname()[1]
        assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.problem == "2 of 2 mails are kept to be sent: ConnectionRefusedError"


# Each recipient once.


def got(smtp: SmtpServer) -> dict[str, list[str]]:
    """By recipient: the subjects of their mails, those of one Message-ID taken for one."""
    mails: dict[str, dict[str, str]] = {}
    for (to,), mail in zip(smtp.recipients, smtp.mails, strict=True):
        mails.setdefault(to, {})[mail["Message-ID"]] = mail["Subject"].split()[-2]
    return {to: list(sizes.values()) for to, sizes in mails.items()}


OLGA, AUDITOR = "olga@acme.example", "auditor@elsewhere.example"


def test_one_whose_mail_is_refused_is_no_reason_to_write_to_the_others_again(
    log: Log, smtp: SmtpServer, bring_all: Bring
) -> None:
    smtp.refuse, smtp.refused = 450, {OLGA}
    assert bring_all() == [False]
    [state] = anchor_states(ACME)
    assert state.problem == "1 of 2 mails are kept to be sent: SMTPRecipientsRefused 450"
    log.grow(5)
    assert bring_all() == [False]
    smtp.refuse = None
    assert bring_all() == [True]
    assert smtp.recipients == [[AUDITOR], [OLGA]]
    assert got(smtp) == {OLGA: ["300"], AUDITOR: ["300"]}  # the same that the other has
    [state] = anchor_states(ACME)
    assert state.size == 300  # not more than what all of them keep


@pytest.mark.parametrize(("cut", "came"), [("before", 2), ("after", 3)])
def test_a_mail_whose_answer_is_lost_comes_again_as_the_same_mail(
    log: Log,
    smtp: SmtpServer,
    bring_all: Bring,
    cut: Literal["before", "after"],
    came: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outside, "PAUSE", 0.0)
    smtp.cut = cut
    assert bring_all() == [False]
    log.grow(5)
    assert bring_all() == [True]
    assert len(smtp.mails) == came  # SMTP cannot tell us more
    assert got(smtp) == {OLGA: ["300"], AUDITOR: ["300"]}


def test_who_has_a_mail_is_known_before_the_next_is_written_to(
    log: Log, smtp: SmtpServer, bring_all: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed between two of them leaves the rest to another."""
    make = mailbox._mail

    def killed(submission: Submission, address: str, who: str) -> EmailMessage:
        if address == AUDITOR:
            raise SystemExit
        return make(submission, address, who)

    monkeypatch.setattr(mailbox, "_mail", killed)
    with pytest.raises(SystemExit):
        bring_all()
    monkeypatch.setattr(mailbox, "_mail", make)
    log.grow(5)
    assert bring_all() == [True]
    assert smtp.recipients == [[OLGA], [AUDITOR]]


def test_an_address_that_is_gone_keeps_nobody_from_the_next_day_s_mail(
    log: Log, smtp: SmtpServer, bring_all: Bring
) -> None:
    smtp.refuse, smtp.refused = 550, {OLGA}
    assert bring_all() == [False]
    log.grow(5)
    Anchor.objects.update(round_at=datetime.now(UTC) - timedelta(days=1))
    assert bring_all() == [False]
    assert bring_all() == [False]
    first, second = map(int, got(smtp)[AUDITOR])
    assert first == 300 < second
    assert OLGA not in got(smtp)


def test_a_server_that_is_away_is_tried_a_few_times_and_then_left_alone(
    log: Log, smtp: SmtpServer, settings: Settings, bring_all: Bring
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = nobody.getsockname()[1]
        assert bring_all() == [False]
    assert outside.away("mail")
    settings.EMAIL_PORT = smtp.port
    assert bring_all() == [False]
    assert smtp.connections == 0, "it was asked although it was away a moment ago"
    outside.forget()  # the pause is over
    assert bring_all() == [True]
    assert got(smtp) == {OLGA: ["300"], AUDITOR: ["300"]}


def test_a_server_that_comes_back_in_time_is_not_noticed(
    log: Log, smtp: SmtpServer, bring_all: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "_PAUSE", 0.01)
    opened = EmailBackend.open
    refusals = [ConnectionRefusedError(), ConnectionResetError()]

    def shaky(self: EmailBackend) -> bool | None:
        if refusals and self.connection is None:
            raise refusals.pop()
        return opened(self)

    monkeypatch.setattr(EmailBackend, "open", shaky)
    assert bring_all() == [True]
    assert got(smtp) == {OLGA: ["300"], AUDITOR: ["300"]}


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
