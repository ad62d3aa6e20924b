"""`manage.py keys …`: what keys there are; new ones for old; erasing. Shows no key."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from app.audit.context import Origin, acting_from
from app.audit.services import SYSTEM
from app.encryption import erasures
from app.encryption.access import (
    KeyStatus,
    erased_but_alive,
    key_status,
    organizations_with_keys,
)
from app.encryption.destruction import Reason, destroy_data_keys, replay_erasures
from app.encryption.envelope import SealError
from app.encryption.keys import key_encryption
from app.encryption.rotation.resealing import rotate_data_keys
from app.encryption.rotation.wrapping import rotate_key_encryption_key
from app.encryption.services import USE_LIMIT
from app.errors import DomainError
from app.settings.env import kms_key


class Command(BaseCommand):
    help = "The keys of each organization: look at them, replace them, destroy them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        status = steps.add_parser("status", help="list the keys; changes nothing")
        wrapping = steps.add_parser(
            "rotate-kek", help="wrap all data keys with a new key encryption key"
        )
        wrapping.add_argument(
            "--kms-key", type=kms_key, help="a Cloud KMS key for this organization alone"
        )
        data = steps.add_parser("rotate-data", help="seal all texts anew under new data keys")
        data.add_argument("--conversation", type=UUID, help="only this one's")
        destroy = steps.add_parser("destroy", help="erase what was written, for good")
        destroy.add_argument("--organization", type=UUID, required=True)
        destroy.add_argument("--conversation", type=UUID, required=True)
        destroy.add_argument("--month", type=_month, action="append", help="2026-11; else all")
        destroy.add_argument("--reason", type=Reason, choices=[*Reason][:3], required=True)
        destroy.add_argument("--request", type=UUID, help="what was approved")
        destroy.add_argument("--yes", action="store_true", help="do it: there is no way back")
        replay = steps.add_parser(
            "replay-erasures", help="after a restore: destroy again what was erased"
        )
        replay.add_argument(
            "--despite-hold",
            action="store_true",
            help="also under a hold that the backup brought back; needs DATABASE_ROLE=owner",
        )
        for each in (wrapping, data):
            each.add_argument("--organization", type=UUID, help="else every one that has keys")
        for each in (status, wrapping, data, destroy, replay):
            each.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        self._json = bool(options["json"])
        steps: dict[str, Callable[[dict[str, Any]], None]] = {
            "status": self._status,
            "rotate-kek": self._rotate_kek,
            "rotate-data": self._rotate_data,
            "destroy": self._destroy,
            "replay-erasures": self._replay,
        }
        try:
            with acting_from(Origin(method="command")):
                steps[options["step"]](options)
        except (DomainError, SealError) as error:
            raise CommandError(str(error)) from error

    def _tell(self, step: str, **facts: object) -> None:
        if self._json:
            self.stdout.write(json.dumps({"step": step} | facts, default=str))
        else:
            told = ", ".join(f"{name.replace('_', ' ')} {fact}" for name, fact in facts.items())
            self.stdout.write(f"{step}: {told}")
        self.stdout.flush()

    def _status(self, options: dict[str, Any]) -> None:
        statuses = key_status()
        for status in statuses:
            facts = _facts(status)
            self.stdout.write(json.dumps(facts) if self._json else _lines(facts))
        if not statuses and not self._json:
            self.stdout.write("No organization has a key yet: the first sealed text makes one.")
        if alive := erased_but_alive(erasures.listed()):
            raise CommandError(
                f"{alive} data keys were erased and are alive: a backup was restored. Nobody is"
                " let in until `manage.py keys replay-erasures` was run."
            )

    def _rotate_kek(self, options: dict[str, Any]) -> None:
        if options["kms_key"] and not options["organization"]:
            raise CommandError("--kms-key needs --organization")
        failed = self._each(
            options,
            lambda one: rotate_key_encryption_key(one, tell=self._tell, kms_key=options["kms_key"]),
        )
        if failed:
            raise CommandError("Some data keys were not rewrapped: see above, then run it again.")

    def _rotate_data(self, options: dict[str, Any]) -> None:
        def rotate(organization: UUID) -> int:
            outcome = rotate_data_keys(
                organization, tell=self._tell, conversation=options["conversation"]
            )
            return len(outcome.unreadable)

        if options["conversation"] and not options["organization"]:
            raise CommandError("--conversation needs --organization")
        if self._each(options, rotate):
            raise CommandError(
                "Rows that do not open, named above, keep their old data keys from being destroyed."
            )

    def _each(self, options: dict[str, Any], work: Callable[[UUID], int]) -> int:
        """One organization's trouble does not keep the others from having it done."""
        chosen = options["organization"]
        failed = 0
        for organization in [chosen] if chosen else organizations_with_keys():
            try:
                failed += work(organization)
            except (DomainError, SealError) as error:
                failed += 1
                self._tell("failed", organization=organization, why=str(error))
            else:
                self._tell("done", organization=organization)
        return failed

    def _destroy(self, options: dict[str, Any]) -> None:
        if not options["yes"]:
            raise CommandError("This erases for good what was written there. Add --yes to do it.")
        destroyed = destroy_data_keys(
            organization=options["organization"],
            conversation=options["conversation"],
            months=options["month"],
            actor=SYSTEM,
            reason=options["reason"],
            request=options["request"],
        )
        self._tell("destroyed", data_keys=len(destroyed))

    def _replay(self, options: dict[str, Any]) -> None:
        destroyed = replay_erasures(despite_hold=options["despite_hold"])
        self._tell("destroyed", data_keys=destroyed, listed=len(erasures.listed()))


def _month(text: str) -> date:
    return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()


def _facts(status: KeyStatus) -> dict[str, Any]:
    key = status.key
    return {
        "organization": str(status.organization),
        "key_encryption_key": str(key.id),
        "provider": key.provider,
        "reference": key.reference,
        "state": _state(status),
        "data_keys": status.data_keys,
        "closed": status.closed,
        "destroyed": status.destroyed,
        "uses_reserved": status.uses,
        "most_used": status.most_used,
        "use_limit": USE_LIMIT,
    }


def _state(status: KeyStatus) -> str:
    if status.key.retired_at:
        return "retired"
    try:
        key_encryption(status.key)
    except SealError as error:
        return f"not held by this process: {error}"
    return "being replaced" if status.key.superseded_at else "in force"


def _lines(facts: dict[str, Any]) -> str:
    return (
        f"organization {facts['organization']}\n"
        f"  key encryption key {facts['key_encryption_key']}"
        f" ({facts['provider']} {facts['reference']}): {facts['state']}\n"
        f"  data keys: {facts['data_keys']}, of which destroyed: {facts['destroyed']},"
        f" being replaced: {facts['closed']}\n"
        f"  uses reserved: {facts['uses_reserved']};"
        f" most by one data key: {facts['most_used']} of {facts['use_limit']}"
    )
