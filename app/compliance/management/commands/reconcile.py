"""Compares the database with the trail; exits with 1 and names what differs and where."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.accounts.models import Organization
from app.compliance.reconciliation import Comparison, reconcile, remember


class Command(BaseCommand):
    help = "Compare messages, memberships and roles with what the trail says of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", type=UUID, help="only this one")
        parser.add_argument("--json", action="store_true", help="one JSON document a line")
        parser.add_argument("--remember", action="store_true", help="put the result in the trail")

    def handle(self, *args: Any, **options: Any) -> None:
        known = list(Organization.objects.values_list("pk", flat=True).order_by("pk"))
        chosen = [options["organization"]] if options["organization"] else known
        if unknown := set(chosen) - set(known):
            raise CommandError(f"--organization: there is no organization {unknown.pop()}")
        wrong = 0
        for organization in chosen:
            found = reconcile(organization)
            if options["remember"]:
                remember(found)
            self.stdout.write(json.dumps(found.document()) if options["json"] else text(found))
            wrong += not found.ok
        if wrong:
            raise CommandError(
                f"{wrong} of {len(chosen)} organizations differ from their trail", returncode=1
            )


def text(found: Comparison) -> str:
    """The comparison for people: a verdict, then a line for each problem."""
    verdict = "agrees" if found.ok else f"DOES NOT AGREE, {found.found} problems"
    lines = [
        f"{found.organization}: {verdict}; {found.versions} versions, {found.erased} of them "
        f"erased, {found.seconds:.1f} s"
    ]
    lines += [f"  {each.place}: {each.message} [{each.fault}]" for each in found.problems]
    if found.found > len(found.problems):
        lines.append(f"  and {found.found - len(found.problems)} more")
    return "\n".join(lines)
