"""Mail: whoever keeps it can show what was signed, and when it came."""

import smtplib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.core.mail import EmailMessage

from app.audit.anchors.anchor import AnchorFailed, Kept, NotForThisLog, Submission

_TEXT = """\
This is a checkpoint of a log: a signed statement of all {size} entries that it had until now.

Keep this mail. If anybody rewrites the log later, the checkpoint shows it:

    manage.py audit_verify --checkpoint {file}

and for an export that you were given: verify.py PACKAGE --checkpoint {file}

{note}"""


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
        origin = submission.note.partition("\n")[0]
        file = f"checkpoint-{submission.organization}-{submission.size}.txt"
        message = EmailMessage(
            subject=f"Checkpoint of {origin} at {submission.size} entries",
            body=_TEXT.format(size=submission.size, file=file, note=submission.note),
            to=to,
        )
        # Not as text: on its way mail may change the line ends of that.
        message.attach(file, submission.note.encode(), "application/octet-stream")
        try:
            message.send()
        except (smtplib.SMTPException, OSError) as error:
            raise AnchorFailed(_reason(error)) from error
        return Kept()

    def kept(self, submission: Submission, last: int) -> None:
        """Only whoever has the mail can read it: see `audit_verify --checkpoint`."""


def _reason(error: Exception) -> str:
    """Without addresses: the server's code, or the kind of error."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
