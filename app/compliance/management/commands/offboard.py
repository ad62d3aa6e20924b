"""The end of an organization: nobody is let in, and, when that is asked for, nothing opens."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.accounts.models import Organization
from app.accounts.services import disable_everybody
from app.audit.context import Origin, acting_from
from app.audit.services import SYSTEM
from app.chat.models import Conversation
from app.encryption.destruction import Reason, destroy_data_keys
from app.errors import DomainError


class Command(BaseCommand):
    help = (
        "Let nobody of an organization in any more. With --erase, destroy the keys of all that its "
        "people wrote; what is under a legal hold stays. The trail and people's names remain."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the organization's short name")
        parser.add_argument("--erase", action="store_true", help="there is no way back")
        parser.add_argument("--yes", action="store_true", help="do it")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = Organization.objects.filter(slug=options["slug"]).first()
        if organization is None:
            raise CommandError(f"There is no organization {options['slug']!r}.")
        conversations = list(
            Conversation.objects.filter(organization=organization).values_list("pk", flat=True)
        )
        if not options["yes"]:
            erased = f" and erase {len(conversations)} conversations" if options["erase"] else ""
            raise CommandError(
                f"This would shut everybody of {organization.slug} out{erased}. Its officers' last"
                " export should be made and verified. Then say --yes."
            )
        with acting_from(Origin(method="command")):
            self.stdout.write(f"{disable_everybody(organization)} people are shut out")
            if options["erase"]:
                self._erase(organization, conversations)

    def _erase(self, organization: Organization, conversations: list[Any]) -> None:
        keys, kept = 0, []
        for conversation in conversations:
            try:
                keys += len(
                    destroy_data_keys(
                        organization=organization.pk,
                        conversation=conversation,
                        actor=SYSTEM,
                        reason=Reason.OPERATOR,
                    )
                )
            except DomainError as refused:
                kept.append(conversation)
                self.stdout.write(f"{conversation}: {refused.message}")
        self.stdout.write(f"{keys} data keys of {len(conversations)} conversations are destroyed")
        if kept:
            raise CommandError(
                f"{len(kept)} conversations were not erased: see above, and run this again."
            )
