"""Says how the trail is guarded and how it stands; exits with 1 if a guard is missing."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from app.audit import guards
from app.audit.access import (
    AnchorState,
    VerificationState,
    anchor_states,
    organizations,
    verification_state,
)


class Command(BaseCommand):
    help = "Show the trail's guards, sealing and last verification."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help="as the owner: create missing roles, triggers and rights first",
        )

    def handle(self, *args: Any, repair: bool, **options: Any) -> None:
        if repair:
            with transaction.atomic():
                guards.install(connection)
        self._logs()
        missing = guards.missing(connection)
        mighty = guards.mighty_login(connection)
        if mighty and not repair:  # repairing takes the owner
            missing.append(mighty)
        for line in missing:
            self.stdout.write(f"missing: {line}")
        if missing:
            raise CommandError(f"{len(missing)} guards of the trail are missing", returncode=1)
        self.stdout.write("guards: roles, rights and triggers are in place")

    def _logs(self) -> None:
        for organization in organizations():
            state = verification_state(organization)
            verified = {True: "agreed", False: "DID NOT AGREE", None: "not verified yet"}[state.ok]
            waiting = f"{state.waiting} waiting"
            if state.waiting_since:
                waiting += f" since {state.waiting_since:%Y-%m-%d %H:%M:%S}Z"
            at = f" at {state.verified_at:%Y-%m-%d %H:%M:%S}Z" if state.verified_at else ""
            self.stdout.write(
                f"{organization}: {state.size} leaves, {waiting}; last verification: {verified}{at}"
            )
            self.stdout.write(f"  {_life(state)}")
            for anchor in anchor_states(organization):
                self.stdout.write(f"  {in_words(anchor)}")


def _life(state: VerificationState) -> str:
    def moment(at: datetime | None) -> str:
        return f"{at:%Y-%m-%d %H:%M:%S}Z" if at else "none yet"

    still = "; THE LOG STANDS STILL" if state.stands_still else ""
    return (
        f"last checkpoint: {moment(state.checkpoint_at)}; "
        f"last heartbeat: {moment(state.heartbeat_at)}{still}"
    )


def in_words(anchor: AnchorState) -> str:
    """How it stands, in a line; times are UTC."""
    said = f"{anchor.name}: nothing anchored yet"
    if anchor.kept_at:
        said = (
            f"{anchor.name}: anchored {anchor.size} leaves at {anchor.kept_at:%Y-%m-%d %H:%M:%S}Z"
        )
    if anchor.warning:
        said += f", BUT {anchor.warning}"
    if anchor.failing_since:
        word = "DISAGREES" if anchor.disagrees else "FAILING"
        said += f"; {word} since {anchor.failing_since:%Y-%m-%d %H:%M:%S}Z: {anchor.problem}"
    return said
