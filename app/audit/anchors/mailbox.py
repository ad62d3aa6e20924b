"""Mail: whoever keeps it can show what was signed, and when it came.

Each recipient is sent a mail of their own, and that they have it is noted at once: a try again
leaves them out. Where the server took a mail and its answer was lost, or we were killed before we
noted it, the mail is sent again under the same Message-ID, by which the two are one.
"""

import smtplib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from random import SystemRandom
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from app.audit import leaves
from app.audit.anchors.anchor import AnchorFailed, Kept, NotForThisLog, Submission
from app.outside import LeftAlone, Service

_TEXT = """\
This is a checkpoint of a log: a signed statement of all {size} entries that it had until now.

Keep this mail. If anybody rewrites the log later, the checkpoint shows it:

    manage.py audit_verify --checkpoint {file}

and for an export that you were given: verify.py PACKAGE --checkpoint {file}

{note}"""
PATIENCE = 300.0
"""Seconds for all of a log's mails, below the lease that a worker has; the rest comes later."""
_ATTEMPTS = 3
_PAUSE = 1.0  # seconds at most before the second attempt, twice that before the third
_OF_ONE_MAIL = (
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPSenderRefused,
    smtplib.SMTPDataError,
    smtplib.SMTPNotSupportedError,
)


def _away(error: Exception) -> str:
    # All of smtplib's errors are an OSError.
    if isinstance(error, OSError) and not isinstance(error, _OF_ONE_MAIL):
        return _reason(error)
    return ""


_SERVICE = Service("mail", away=_away)


@dataclass(frozen=True)
class Mailbox:
    """`addresses` tells whom the checkpoints of an organization's log go to."""

    addresses: Callable[[UUID], Sequence[str]]
    every: timedelta

    name = "mail"

    def keep(self, submission: Submission, last: int) -> Kept:
        to = list(self.addresses(submission.organization))
        if not to and not submission.organization.int:
            raise NotForThisLog("the installation's own log has no officers")
        if not to:
            raise AnchorFailed("there is nobody to write to")
        until, problems = time.monotonic() + PATIENCE, dict[str, str]()
        for address in to:
            who = _pseudonym(submission.organization, address)
            if submission.has(who):
                continue
            if problem := _sent(_mail(submission, address, who), until):
                problems[who] = problem
            else:
                submission.note_has(who)
        if problems:
            why = ", ".join(sorted(set(problems.values())))
            raise AnchorFailed(f"{len(problems)} of {len(to)} mails are kept to be sent: {why}")
        return Kept()

    def kept(self, submission: Submission, last: int) -> None:
        """Only whoever has the mail can read it: see `audit_verify --checkpoint`."""


def _pseudonym(organization: UUID, address: str) -> str:
    master = settings.AUDIT_PSEUDONYM_KEY
    return leaves.pseudonym(master, leaves.RECIPIENT, organization, address.encode())


def _mail(submission: Submission, address: str, who: str) -> EmailMessage:
    origin = submission.note.partition("\n")[0]
    file = f"checkpoint-{submission.organization}-{submission.size}.txt"
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    message = EmailMessage(
        subject=f"Checkpoint of {origin} at {submission.size} entries",
        body=_TEXT.format(size=submission.size, file=file, note=submission.note),
        to=[address],
        # The same whenever it is sent (RFC 5322, 3.6.4).
        headers={"Message-ID": f"<{submission.organization}.{submission.size}.{who}@{domain}>"},
    )
    # Not as text: on its way mail may change the line ends of that.
    message.attach(file, submission.note.encode(), "application/octet-stream")
    return message


def _sent(mail: EmailMessage, until: float) -> str:
    """Send it; why it could not be, "" if it was."""
    if time.monotonic() > until:
        return "there was no time for all"
    connection = get_connection()
    try:
        with _SERVICE.asked():
            _open(connection)
            connection.send_messages([mail])
    except LeftAlone as left:
        return left.told
    except OSError as error:
        return _reason(error)
    finally:
        with suppress(OSError):  # it is taken, or it is not: a goodbye changes nothing
            connection.close()
    return ""


def _open(connection: BaseEmailBackend) -> None:
    """Nothing is sent yet, so it may be tried again."""
    for attempt in range(1, _ATTEMPTS):
        try:
            connection.open()
        except smtplib.SMTPAuthenticationError:
            raise
        except OSError:
            time.sleep(SystemRandom().uniform(0, _PAUSE * attempt))
        else:
            return
    connection.open()


def _reason(error: OSError) -> str:
    """Without addresses: the server's code, or the kind of error."""
    code = getattr(error, "smtp_code", None)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = next((code for code, _ in error.recipients.values()), None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
