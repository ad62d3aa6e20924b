"""`manage.py keys status`: which keys exist and how far they are used. Shows no key."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from app.encryption.access import KeyStatus, key_status
from app.encryption.envelope import SealError
from app.encryption.keys import key_encryption
from app.encryption.services import USE_LIMIT


class Command(BaseCommand):
    help = "What there is to know about the keys of each organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        status = steps.add_parser("status", help="list the keys; changes nothing")
        status.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        statuses = key_status()
        for status in statuses:
            facts = _facts(status)
            self.stdout.write(json.dumps(facts) if options["json"] else _lines(facts))
        if not statuses and not options["json"]:
            self.stdout.write("No organization has a key yet: the first sealed text makes one.")


def _facts(status: KeyStatus) -> dict[str, Any]:
    key = status.key
    return {
        "organization": str(status.organization),
        "key_encryption_key": str(key.id),
        "provider": key.provider,
        "reference": key.reference,
        "state": "retired" if key.retired_at else _state(status),
        "data_keys": status.data_keys,
        "destroyed": status.destroyed,
        "uses_reserved": status.uses,
        "most_used": status.most_used,
        "use_limit": USE_LIMIT,
    }


def _state(status: KeyStatus) -> str:
    try:
        key_encryption(status.key)
    except SealError as error:
        return f"not held by this process: {error}"
    return "in force"


def _lines(facts: dict[str, Any]) -> str:
    return (
        f"organization {facts['organization']}\n"
        f"  key encryption key {facts['key_encryption_key']}"
        f" ({facts['provider']} {facts['reference']}): {facts['state']}\n"
        f"  data keys: {facts['data_keys']}, of which destroyed: {facts['destroyed']}\n"
        f"  uses reserved: {facts['uses_reserved']};"
        f" most by one data key: {facts['most_used']} of {facts['use_limit']}"
    )
