"""Whether the version before bears each migration: it goes on serving while that is applied.

    python -m dev.migrations       # part of `make lint`

A deployment brings the schema up to date first and moves the traffic afterwards; rolling back
moves the traffic alone. So what the version before reads must stay, what it does not write must
not be asked of it, and no table that it writes to may be locked for as long as reading it takes.

What would break it is refused, unless the migration says since which released version nothing
depends on it any more:

    class Migration(migrations.Migration):
        borne_since = {"chat.message.colour": "1.4.0"}   # 1.4.0 neither reads nor writes it
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import django
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import AlterTogetherOptionOperation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

PROJECT = Path(__file__).resolve().parent.parent
# The newest of the first version, which nothing served before.
FIRST = {
    "accounts": "0002",
    "audit": "0006",
    "chat": "0006",
    "compliance": "0006",
    "encryption": "0004",
    "realtime": "0001",
    "voice": "0004",
}
_SQL = re.compile(
    r"\bDROP\s+(TABLE|COLUMN)|\bRENAME\b|\bSET\s+NOT\s+NULL|\bTRUNCATE\b|\bVACUUM\s+FULL"
    r"|\bALTER\s+COLUMN\s+\S+\s+(SET\s+DATA\s+)?TYPE\b|\bADD\s+(CONSTRAINT|UNIQUE|CHECK)\b"
    r"|\bCREATE\s+(UNIQUE\s+)?INDEX\b(?!\s+CONCURRENTLY)|\bLOCK\s+TABLE",
    re.IGNORECASE,
)
_SLOWLY = "nobody could write meanwhile: AddIndexConcurrently, in a migration that is not atomic"
_NEVER = "add the new one, fill it, and remove the old one in a later version"


class Breach(NamedTuple):
    """What the version before does not bear. `what` is what `borne_since` would name; "" if no
    version ever bears it, and it has to be done in another way."""

    what: str
    why: str


def breaches(app: str, migration: migrations.Migration, before: ProjectState) -> Iterator[Breach]:
    """What of a migration the version before does not bear, whatever it says of itself."""
    state = before.clone()
    made: set[str] = set()
    for operation in _flat(migration.operations):
        yield from _breach(app, operation, state, made)
        if isinstance(operation, migrations.CreateModel):
            made.add(operation.name_lower)
        operation.state_forwards(app, state)


def problems(
    app: str, migration: migrations.Migration, before: ProjectState, released: Iterable[str]
) -> list[str]:
    """A line for each breach that `borne_since` does not answer for, or for what is wrong in it."""
    said: Mapping[str, str] = getattr(migration, "borne_since", {})
    found = list(breaches(app, migration, before))
    lines = [
        f"{breach.why}; if no version that may still serve depends on it, say since which:"
        f' borne_since = {{"{breach.what}": "1.2.3"}}'
        if breach.what
        else breach.why
        for breach in found
        if not breach.what or breach.what not in said
    ]
    lines += [
        f"borne_since names {what!r}, which this migration does not break"
        for what in said
        if what not in {breach.what for breach in found}
    ]
    lines += [
        f"borne_since says {version!r} of {what}, which CHANGELOG.md has not as a released version"
        for what, version in said.items()
        if version not in released
    ]
    return [f"{app}.{migration.name}: {line}" for line in lines]


def _flat(operations: Iterable[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _breach(app: str, operation: Any, state: ProjectState, made: set[str]) -> Iterator[Breach]:
    """`made` are the models that this migration creates: nobody uses those yet."""
    model = getattr(operation, "model_name_lower", getattr(operation, "name_lower", ""))
    there = f"{app}.{model}"
    if model in made:
        return
    match operation:
        case migrations.AddField():
            yield from _added(f"{there}.{operation.name}", operation.field)
        case migrations.AlterField():
            yield from _altered(app, f"{there}.{operation.name}", operation, state)
        case migrations.AddConstraint():
            name = operation.constraint.name
            yield Breach(f"{there}.{name}", f"{name} is asked of the rows of {there}")
        case AlterTogetherOptionOperation():
            yield Breach(f"{there}.{operation.option_name}", operation.describe())
        case migrations.AddIndex() if not isinstance(operation, AddIndexConcurrently):
            yield Breach("", f"{there}, {operation.index.name}: {_SLOWLY}")
        case migrations.RunSQL():
            if found := _SQL.search(_text(operation.sql)):
                yield Breach(f"{app}.sql", f"its SQL has {found[0].upper()}")
        case _:
            yield from _taken_away(there, operation)


def _taken_away(there: str, operation: Any) -> Iterator[Breach]:
    match operation:
        case migrations.RemoveField():
            yield Breach(f"{there}.{operation.name}", f"{there}.{operation.name} is removed")
        case migrations.DeleteModel():
            yield Breach(there, f"{there} is removed")
        case migrations.RenameField() | migrations.RenameModel() | migrations.AlterModelTable():
            yield Breach("", f"{operation.describe()}: {_NEVER}")


def _added(named: str, field: Any) -> Iterator[Breach]:
    if _is_asked_for(field):
        remedy = "the version before does not write it: null=True, or db_default"
        yield Breach("", f"{named} is added NOT NULL, and {remedy}")
    if _is_indexed(field):
        yield Breach("", f"{named}: {_SLOWLY}")


def _altered(
    app: str, named: str, operation: migrations.AlterField, state: ProjectState
) -> Iterator[Breach]:
    after = state.clone()
    operation.state_forwards(app, after)
    old, new = (
        one.apps.get_model(app, operation.model_name)._meta.get_field(operation.name)
        for one in (state, after)
    )
    assert isinstance(old, models.Field)
    assert isinstance(new, models.Field)
    if old.column != new.column:
        yield Breach("", f"{named} becomes the column {new.column}: {_NEVER}")
    if not _fits(old.db_type(connection) or "", new.db_type(connection) or ""):
        kinds = f"{old.db_type(connection)} to {new.db_type(connection)}"
        yield Breach("", f"{named} goes from {kinds}: {_NEVER}")
    if _is_asked_for(new) and not _is_asked_for(old):
        yield Breach(named, f"{named} is asked for (NOT NULL, without a default of the database's)")
    if _is_indexed(new) and not _is_indexed(old):
        yield Breach("", f"{named}: {_SLOWLY}")


def _is_asked_for(field: Any) -> bool:
    """Whether an INSERT must name it: a default of Python's is not one of the database's."""
    if field.many_to_many or field.generated or field.null or field.primary_key:
        return False
    return field.db_default is NOT_PROVIDED


def _is_indexed(field: Any) -> bool:
    # The index of a foreign key is made with its column, which is empty.
    return bool(field.unique or (field.db_index and not field.is_relation))


def _fits(old: str, new: str) -> bool:
    """Whether each old value is a new one, in the same bytes: nothing is written anew."""
    if old == new or (new == "text" and old.startswith("varchar")):
        return True
    lengths = [re.fullmatch(r"varchar\((\d+)\)", one) for one in (old, new)]
    return all(lengths) and int(lengths[0][1]) <= int(lengths[1][1])  # type: ignore[index]


def _text(sql: Any) -> str:
    if isinstance(sql, str):
        return sql
    return ";".join(one if isinstance(one, str) else one[0] for one in sql)


def released() -> set[str]:
    """The versions that CHANGELOG.md has, without those that are to come."""
    headings = re.findall(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    return {one.strip("[]") for one in headings} - {"Unreleased"}


def main() -> int:
    """Check every migration of ours that came after the first version."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.test")
    django.setup()
    loader, versions = MigrationLoader(None), released()
    found = [
        line
        for (app, name), migration in sorted(loader.disk_migrations.items())
        if migration.__module__.startswith("app.") and name[:4] > FIRST.get(app, "")
        for line in problems(
            app, migration, loader.project_state((app, name), at_end=False), versions
        )
    ]
    print("\n".join(found) or "Each is borne by the version before.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
