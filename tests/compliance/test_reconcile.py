"""The command and the job around the comparison; what it finds is shown in `tests/attacks`."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from app.audit.models import Entry
from app.compliance.tasks import reconcile
from tests.compliance.conftest import Ward
from tests.live import LiveDatabase


def say_so(*arguments: str) -> str:
    output = io.StringIO()
    call_command("reconcile", *arguments, stdout=output)
    return output.getvalue()


def steal_a_role(live_db: LiveDatabase) -> None:
    with live_db.acting_as("owner"), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_user SET role = 'administrator' WHERE role = 'member'")


def results() -> list[str]:
    names = Entry.objects.filter(action_name__startswith="content:").order_by("id")
    return list(names.values_list("action_name", flat=True))


def test_a_week_of_talk_agrees_and_the_command_says_how_much(
    live_db: LiveDatabase, ward: Ward
) -> None:
    assert "agrees; 8 versions, 0 of them erased" in say_so()
    document = json.loads(say_so("--json"))
    assert (document["ok"], document["versions"], document["problems"]) == (True, 8, [])
    assert results() == [], "not asked to remember"


def test_what_differs_is_named_and_ends_with_one(live_db: LiveDatabase, ward: Ward) -> None:
    steal_a_role(live_db)
    with pytest.raises(CommandError, match="1 of 1 organizations differ") as raised:
        say_so("--remember")
    assert raised.value.returncode == 1
    assert results() == ["content:verification_failed"]


def test_the_daily_job_remembers(live_db: LiveDatabase, ward: Ward) -> None:
    reconcile()
    steal_a_role(live_db)
    reconcile()
    assert results() == ["content:verified", "content:verification_failed"]
    failed = Entry.objects.get(action_name="content:verification_failed").document
    assert failed["after"]["first"]["code"] == "role"


def test_an_unknown_organization_is_an_error(live_db: LiveDatabase, ward: Ward) -> None:
    with pytest.raises(CommandError, match="there is no organization"):
        say_so("--organization", "00000000-0000-4000-8000-000000000000")
