"""A new organization with its first administrator, who invites everybody else."""

import sys
from getpass import getpass
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email, validate_slug
from django.db import IntegrityError, transaction

from app.accounts.checks import checked_name, checked_password
from app.accounts.models import Role
from app.accounts.services import add_user, found_organization
from app.audit.context import Origin, acting_from
from app.errors import Invalid


class Command(BaseCommand):
    help = "Found an organization and its first administrator, who invites everybody else."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its short name: letters, digits, hyphens")
        parser.add_argument("--name", required=True, help="as people read it")
        parser.add_argument("--email", required=True, help="the administrator's address")
        parser.add_argument("--administrator", required=True, help="the administrator's name")
        parser.add_argument(
            "--password-file",
            help="the first line of it; - is standard input; else you are asked",
        )

    def handle(self, *args: Any, slug: str, **options: Any) -> None:
        password = _password(options["password_file"])
        email = options["email"].strip()
        try:
            validate_slug(slug)
            validate_email(email)
            name = checked_name(options["administrator"])
            checked_password(password, email=email, name=name)
            with acting_from(Origin(method="command")), transaction.atomic():
                organization = found_organization(slug=slug, name=checked_name(options["name"]))
                add_user(
                    organization=organization,
                    email=email,
                    display_name=name,
                    role=Role.ADMINISTRATOR,
                    password=password,
                )
        except IntegrityError:
            raise CommandError(f"The slug {slug!r} or the address is taken already.") from None
        except ValidationError as refused:
            raise CommandError(" ".join(refused.messages)) from None
        except Invalid as refused:
            said = [text for texts in (refused.fields or {}).values() for text in texts]
            raise CommandError(" ".join(said) or refused.message) from None
        self.stdout.write(f"founded {slug} ({organization.pk}); the administrator can sign in")


def _password(file: str | None) -> str:
    if file == "-":
        return sys.stdin.readline().rstrip("\n")
    if file:
        try:
            return Path(file).read_text().partition("\n")[0]
        except OSError as error:
            raise CommandError(f"--password-file: {error.strerror}") from None
    password = getpass("The administrator's password: ")
    if getpass("Once more: ") != password:
        raise CommandError("That was not the same.")
    return password
