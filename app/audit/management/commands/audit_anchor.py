"""Brings the last checkpoints to the anchors now, due or not; exits with 1 if one fails."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.audit.access import anchor_states, organizations
from app.audit.anchoring import bring, enrolled
from app.audit.anchors.configured import names
from app.audit.management.commands.audit_status import in_words


class Command(BaseCommand):
    help = "Have the logs' last checkpoints kept outside: in buckets, by witnesses, by mail."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", type=UUID, help="only this one's log")
        parser.add_argument("--anchor", help="only this one, by the name that audit_status shows")

    def handle(self, *args: Any, **options: Any) -> None:
        if not names():
            raise CommandError(
                "no anchor is configured: ANCHOR_BUCKET, ANCHOR_WITNESS, ANCHOR_MAIL"
            )
        failed = 0
        for organization in [only] if (only := options["organization"]) else organizations():
            for anchor_id in enrolled(organization, options["anchor"]):
                failed += not bring(anchor_id, although_nothing_is_new=True)
            for anchor in anchor_states(organization):
                if options["anchor"] in {None, anchor.name}:
                    self.stdout.write(f"{organization} {in_words(anchor)}")
        if failed:
            raise CommandError(f"{failed} anchorings failed", returncode=1)
