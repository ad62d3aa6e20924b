"""Says what a restored database lacks; exits with 1 unless it is whole."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from app.compliance import backups


class Command(BaseCommand):
    help = "After a restore: are erased keys alive, do the logs agree, what is missing?"
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        found = backups.recovery()
        if found.alive:
            self.stdout.write(
                f"{found.alive} erased data keys are alive: run `manage.py keys replay-erasures`;"
                " nobody is let in before."
            )
        for log in found.logs:
            self.stdout.write(line(log))
            for unread in log.report.unread:
                self.stdout.write(f"  not asked: {unread}")
            for problem in log.report.problems:
                self.stdout.write(f"  {problem.fault} {problem.place}: {problem.message}")
        if not found.whole:
            raise CommandError("the database is not whole: see above, and docs/operations.md")


def line(log: backups.Standing) -> str:
    """One log in a line."""
    report = log.report
    if log.missing:
        verdict = (
            f"{log.missing} ENTRIES ARE MISSING: {log.by} has seen {log.outside}. What members and"
            " officers did in them is lost, unless another backup has it"
        )
    elif not report.ok:
        verdict = f"DOES NOT AGREE, {report.found} problems"
    elif log.outside:
        verdict = f"whole up to {log.outside}, which {log.by} has seen"
    else:
        verdict = "agrees with itself; nobody outside has seen it, so what is missing is not known"
    return f"{report.organization}: {report.size} entries, {verdict}"
