"""What the version before would not bear is refused in words, and what it bears is let through."""

from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from dev.migrations import problems, released

THING = [
    migrations.CreateModel(
        "Thing",
        [
            ("id", models.BigAutoField(primary_key=True)),
            ("colour", models.CharField(max_length=10, null=True)),
            ("size", models.IntegerField(db_default=0)),
            ("name", models.CharField(max_length=10)),
        ],
    )
]


def before() -> ProjectState:
    state = ProjectState()
    for operation in THING:
        operation.state_forwards("chat", state)
    return state


def said(*operations: Operation, **more: Any) -> list[str]:
    members = {"operations": list(operations)} | more
    migration = type("Migration", (migrations.Migration,), members)("0009_planted", "chat")
    return problems("chat", migration, before(), {"1.4.0"})


def text(**more: Any) -> Any:
    return models.CharField(max_length=10, **more)


INDEX = models.Index(fields=["name"], name="by_name")
UNIQUE = models.UniqueConstraint(fields=["name"], name="one_name")
REFUSED = {
    "removed": migrations.RemoveField("thing", "colour"),
    "chat.thing is removed": migrations.DeleteModel("Thing"),
    "Rename field": migrations.RenameField("thing", "colour", "color"),
    "Rename model": migrations.RenameModel("Thing", "Item"),
    "Rename table": migrations.AlterModelTable("Thing", "things"),
    "is added NOT NULL": migrations.AddField("thing", "weight", text(default="")),
    "asked for (NOT NULL": migrations.AlterField("thing", "colour", text(default="")),
    "default of the database": migrations.AlterField("thing", "size", models.IntegerField()),
    "integer to text": migrations.AlterField("thing", "size", models.TextField(db_default="")),
    "varchar(10) to varchar(9)": migrations.AlterField(
        "thing", "name", models.CharField(max_length=9)
    ),
    "becomes the column label": migrations.AlterField("thing", "name", text(db_column="label")),
    "one_name is asked": migrations.AddConstraint("thing", UNIQUE),
    "unique_together": migrations.AlterUniqueTogether("thing", {("name", "size")}),
    "by_name: nobody could write": migrations.AddIndex("thing", INDEX),
    "code: nobody could write": migrations.AddField("thing", "code", text(null=True, unique=True)),
    "name: nobody could write": migrations.AlterField("thing", "name", text(db_index=True)),
    "DROP COLUMN": migrations.RunSQL("ALTER TABLE chat_thing DROP COLUMN colour"),
    "SET NOT NULL": migrations.RunSQL(["alter table x alter column y set not null"]),
    "CREATE INDEX": migrations.RunSQL("CREATE INDEX x ON chat_thing (name)"),
    "RENAME": migrations.SeparateDatabaseAndState(
        [migrations.RunSQL("ALTER TABLE chat_thing RENAME TO things")]
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_the_version_before_does_not_bear_is_refused(words: str) -> None:
    (line,) = said(REFUSED[words])
    assert line.startswith("chat.0009_planted: ")
    assert words in line


def test_what_it_bears_is_let_through() -> None:
    other = migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))])
    borne = [
        migrations.AddField("thing", "weight", text(null=True)),
        migrations.AddField("thing", "height", text(db_default="")),
        migrations.AddField("thing", "self", models.ForeignKey("Thing", models.PROTECT, null=True)),
        migrations.AlterField("thing", "name", models.CharField(max_length=20)),
        migrations.AlterField("thing", "name", models.TextField()),
        AddIndexConcurrently("thing", INDEX),
        migrations.RemoveIndex("thing", "by_name"),
        other,
        # Nobody uses what this migration makes.
        migrations.AddField("other", "weight", text(default="")),
        migrations.AddConstraint("other", models.UniqueConstraint(fields=["weight"], name="w")),
        migrations.RunSQL(
            "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN END $$ LANGUAGE plpgsql"
        ),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY x ON chat_thing (name)"),
    ]
    assert said(*borne) == []


def test_what_fell_out_of_use_in_a_released_version_may_go() -> None:
    removal = REFUSED["removed"]
    assert said(removal, borne_since={"chat.thing.colour": "1.4.0"}) == []
    (early,) = said(removal, borne_since={"chat.thing.colour": "1.5.0"})
    assert "has not as a released version" in early
    lines = said(removal, borne_since={"chat.thing.size": "1.4.0"})
    assert ["is removed" in line for line in lines] == [True, False]
    assert "which this migration does not break" in lines[1]
    # No version bears a column of another name: there is nothing to say of it.
    assert said(REFUSED["Rename field"], borne_since={"chat.thing.colour": "1.4.0"})


def test_what_is_to_come_is_not_released() -> None:
    assert "Unreleased" not in released()
