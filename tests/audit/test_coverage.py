"""Whatever can change something leaves an entry, or is named with the reason why not."""

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from django.core.management import get_commands
from django.urls import get_resolver

import app
from app.accounts.models import User
from app.audit.actions import Action
from app.audit.models import Entry
from app.celery import application
from app.realtime.protocol import AnyCommand
from tests.audit.coverage import COMMANDS, JOBS, OPS, ROUTES, WITHOUT_ENTRY
from tests.authorization.matrix import API, PAGES, Row, by_subject, undone
from tests.authorization.test_matrix import (
    METHODS,
    World,
    ask,
    client_for,
    routes,
    world,  # noqa: F401 - a fixture
)

APP = Path(app.__path__[0])
CHANGING = set(METHODS) - {"get"}


def changing_routes() -> Iterator[str]:
    """`METHOD route` of each method that is not GET, and of each page that reads a POST."""
    for path, pattern in routes(get_resolver()):
        view = getattr(pattern.callback, "view_class", None)
        if view is not None:
            yield from (f"{each.upper()} {path}" for each in CHANGING if hasattr(view, each))
        elif "POST" in inspect.getsource(inspect.unwrap(pattern.callback)):
            yield f"POST {path}"


def ops() -> set[str]:
    return {command.__struct_config__.tag for command in get_args(AnyCommand)}


def jobs() -> set[str]:
    application.loader.import_default_modules()
    return {name for name in application.tasks if not name.startswith("celery.")}


def commands() -> set[str]:
    return {name for name, app in get_commands().items() if str(app).startswith("app.")}


def test_every_route_command_and_job_that_changes_something_has_an_action_or_a_reason() -> None:
    found = {
        *changing_routes(),
        *(f"op {name}" for name in ops()),
        *(f"job {name}" for name in jobs()),
        *(f"command {name}" for name in commands()),
    }
    named = {
        *ROUTES,
        *(f"op {name}" for name in OPS),
        *(f"job {name}" for name in JOBS),
        *(f"command {name}" for name in COMMANDS),
    }
    assert not named & set(WITHOUT_ENTRY), "both with an action and without"
    assert found - named - set(WITHOUT_ENTRY) == set(), "no action and no reason"
    assert (named | set(WITHOUT_ENTRY)) - found == set(), "stale: there is no such thing any more"
    assert all(actions for table in (ROUTES, OPS, JOBS, COMMANDS) for actions in table.values())


def test_every_action_is_one_and_is_recorded_somewhere() -> None:
    """The catalogue promises nothing that no code writes."""
    told = {
        name
        for table in (ROUTES, OPS, JOBS, COMMANDS)
        for names in table.values()
        for name in names
    }
    assert told <= {action.value for action in Action}
    spoken_of = {"actions.py", "catalogue.py", "trail_words.py"}
    sources = (path for path in APP.rglob("*.py") if path.name not in spoken_of)
    recorded = set(re.findall(r"\bAction\.([A-Z_]+)", "\n".join(map(Path.read_text, sources))))
    assert {action.name for action in Action} - recorded == set()


# What takes more than a person who may and the matrix's body; tests of its own show it.
_SECRET = "takes a password, a token or a code"
_STATE = "takes something in another state than the matrix's"
_REQUESTS = "what officers asked for and decided, by ids, each step of it recorded"
NOT_SHOWN_HERE: dict[str, str] = {
    "POST api/auth/token": _SECRET,
    "POST api/auth/token/refresh": _SECRET,
    "POST api/me/password": _SECRET,
    "POST settings/password": _SECRET,
    "POST api/invitations/accept": _SECRET,
    "POST api/conversations/<uuid:conversation>/join": _STATE,
    "POST api/conversations/<uuid:conversation>/members": _STATE,
    "DELETE api/messages/<uuid:message>/reactions/<str:emoji>": _STATE,
    "DELETE api/attachments/<uuid:attachment>": _STATE,
    "POST api/attachments/<uuid:attachment>/complete": _STATE,
    "POST api/compliance/holds": "takes whom or what to hold",
    "POST api/compliance/holds/<uuid:hold>/release": _STATE,
    "POST api/compliance/holds/<uuid:hold>/keep": _STATE,
    "POST api/compliance/erasures": "takes a month that no other request covers",
    "POST holds/<uuid:hold_id>/release": _STATE,
    "POST holds/<uuid:hold_id>/keep": _STATE,
    "POST people/<uuid:person_id>/enable": _STATE,
    "POST exports/<uuid:export_id>/download": _STATE,
}


CHANGES = by_subject(row for row in API + PAGES if f"{row.method} {row.route}" in ROUTES)


@pytest.mark.parametrize("subject", CHANGES)
def test_what_is_done_leaves_the_entry_that_is_named(
    subject: str,
    world: World,  # noqa: F811 - the fixture
    alice: User,
    bob: User,
    ada: User,
    olga: User,
) -> None:
    people = (alice, bob, ada, olga, world.askers["officer"], None)
    for row in CHANGES[subject]:
        with undone():
            _leaves_the_entry_that_is_named(row, world, people)


def _leaves_the_entry_that_is_named(row: Row, there: World, people: Iterable[User | None]) -> None:
    name = f"{row.method} {row.route}"
    for person in people:
        client = client_for(row, person)
        before = Entry.objects.latest("id").pk
        status = ask(row, person, there, client)
        found = Entry.objects.filter(pk__gt=before).values_list("action_name", flat=True)
        if ROUTES[name] & set(found):
            assert name not in NOT_SHOWN_HERE, f"{name}: stale, it is shown here now"
            return
        # What is there already is answered well, and changes and writes nothing.
        good = status >= 300 or name in NOT_SHOWN_HERE
        assert good, f"{name}: done, and written: {sorted(found)}"
    could = name in NOT_SHOWN_HERE
    assert could, f"{name}: nobody could do it, give the matrix's row a body that works"


# What an officer may see without an entry: nothing that a member wrote, and no names.
NOT_A_LOOK = {
    "officer/search": "a form: what it finds is shown on another page",
    "api/compliance/exports": _REQUESTS,
    "api/compliance/exports/<uuid:export>": _REQUESTS,
    "api/compliance/holds": _REQUESTS,
    "api/compliance/holds/<uuid:hold>": _REQUESTS,
    "api/compliance/erasures": _REQUESTS,
    "api/compliance/erasures/<uuid:erasure>": _REQUESTS,
    "api/compliance/exports/<uuid:export>/download": "not built here; tests/compliance shows it",
    "exports/<uuid:export_id>/package": "given only to whom a download's entry already names",
}


def for_officers_alone(row: Row) -> bool:
    _, member, officer, administrator, *_ = row.expected
    return row.method == "GET" and member == administrator == 403 != officer


LOOKS = by_subject(row for row in API + PAGES if for_officers_alone(row))


@pytest.mark.parametrize("subject", LOOKS)
def test_whatever_an_officer_alone_may_see_leaves_an_entry_of_the_look(
    subject: str,
    world: World,  # noqa: F811 - the fixture
    olga: User,
) -> None:
    for row in LOOKS[subject]:
        with undone():
            _leaves_an_entry_of_the_look(row, world, olga)


def _leaves_an_entry_of_the_look(row: Row, there: World, olga: User) -> None:
    for officer in (there.askers["officer"], olga):
        client = client_for(row, officer)
        before = Entry.objects.latest("id").pk
        if ask(row, officer, there, client) == 200:
            break
    found = Entry.objects.filter(pk__gt=before).values_list("action_name", flat=True)
    looked = any(Action(name).is_disclosure for name in found)
    assert looked is (row.route not in NOT_A_LOOK), f"{row}, written: {sorted(found)}"
