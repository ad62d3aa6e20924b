"""Fills an empty database with the demonstration organization, and prints its sign-ins."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from app.accounts.access import organization_exists
from app.audit.context import Origin, acting_from
from app.chat import demonstration


class Command(BaseCommand):
    help = "Seed the demonstration organization into an empty database; print its sign-ins."

    def handle(self, *args: Any, **options: Any) -> None:
        with acting_from(Origin(method="command")), transaction.atomic():
            if not organization_exists():
                demonstration.seed()
        if not organization_exists(demonstration.SLUG):
            return
        self.stdout.write("Demonstration sign-ins (invented people, one password for all):")
        for person in demonstration.PEOPLE:
            self.stdout.write(f"  {person.email:38} {person.role.label}")
        self.stdout.write(f"  password: {demonstration.PASSWORD}")
