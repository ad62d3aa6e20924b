"""Each endpoint asked by each kind of person; a new endpoint without a row fails."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from pytest_django import Settings

from app.accounts.models import Organization, Role, Session, User
from app.accounts.services import invite
from app.audit.models import Entry
from app.compliance.scope import Scope
from app.compliance.services import (
    open_conversation,
    place_hold,
    request_erasure,
    request_export,
)
from app.compliance.services.searches import begin_search
from tests.authorization.matrix import API, ASKERS, OK, PAGES, Row, by_subject, undone
from tests.cast import api_client, join, sign_in_browser
from tests.chat.attachments.files import picture, send_files, uploaded
from tests.chat.talk import room, say
from tests.voice.room import Device

METHODS = ("get", "post", "put", "patch", "delete")


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, path)
        else:
            yield path, pattern


def test_every_endpoint_and_method_has_a_row() -> None:
    rows = [(row.method, row.route) for row in API + PAGES]
    assert len(rows) == len(set(rows))
    for path, pattern in routes(get_resolver()):
        view = getattr(pattern.callback, "view_class", None)
        if view is None:
            assert path in {route for _, route in rows}, f"no row for the page /{path}"
            continue
        for method in METHODS:
            if hasattr(view, method):
                assert (method.upper(), path) in rows, f"no row for {method.upper()} /{path}"
    known = {path for path, _ in routes(get_resolver())}
    assert {route for _, route in rows} <= known, "a row for an endpoint that is gone"


@dataclass
class World:
    """Things that belong to alice, bob and olga; and seven people who ask for them."""

    arguments: dict[str, str]
    askers: dict[str, User | None]


@pytest.fixture
def world(
    organization: Organization,
    other_organization: Organization,
    alice: User,
    bob: User,
    olga: User,
    ada: User,
    tmp_path: Path,
    settings: Settings,
) -> World:
    settings.EXPORT_DIR = tmp_path
    settings.ATTACHMENT_STORAGE = f"file://{tmp_path}/attachments"
    ward = room(alice, bob)
    message = say(alice, ward, "for us")
    attachment = uploaded(alice, ward, picture()).id
    send_files(alice, ward, attachment)
    invitation, _ = invite(by=ada, role=Role.MEMBER, uses=1, lifetime=timedelta(days=1))
    api_client(alice)
    export = request_export(officer=olga, scope=Scope(), reason="A complaint.")
    month = timezone.now().date().replace(day=1)
    search = begin_search(olga, query="ward", matter="7", reason="A complaint.")
    reading = open_conversation(olga, ward.pk, matter="7", reason="A complaint.")
    erasure = request_erasure(olga, ward.pk, first=None, last=month, reason="Asked for.")
    hold = place_hold(olga, people=[ada.pk], matter="7", reason="A complaint.")
    entry = Entry.objects.filter(scope_id=ward.pk).latest("id")
    call = Device(alice).join(ward).call
    conversation, asked = str(ward.pk), str(export.pk)
    arguments = {
        "<uuid:conversation>": conversation,
        "<uuid:conversation_id>": conversation,
        "<uuid:message>": message.id,
        "<uuid:attachment>": attachment,
        "<int:part>": "0",
        "<uuid:user>": str(bob.pk),
        "<uuid:person_id>": str(bob.pk),
        "<uuid:session_id>": str(Session.objects.filter(user=alice).latest("created_at").pk),
        "<uuid:invitation_id>": str(invitation.pk),
        "<uuid:organization>": str(organization.pk),
        "<str:leaf_hash>": entry.leaf_hash.hex(),
        "<path:tile>": "0/000.p/1",
        "<uuid:export>": asked,
        "<uuid:export_id>": asked,
        "<uuid:call>": call,
        "<uuid:call_id>": call,
        "<uuid:hold>": str(hold.pk),
        "<uuid:hold_id>": str(hold.pk),
        "<uuid:search>": str(search.pk),
        "<uuid:search_id>": str(search.pk),
        "<uuid:reading>": str(reading.pk),
        "<uuid:reading_id>": str(reading.pk),
        "<uuid:erasure>": str(erasure.pk),
        "<uuid:erasure_id>": str(erasure.pk),
        "<int:entry>": str(entry.pk),
        "<str:emoji>": "👍",
        "<str:code>": "no-such-code",
    }
    askers: dict[str, User | None] = {"nobody": None}
    for home, prefix in ((organization, ""), (other_organization, "foreign ")):
        for role in Role:
            name = f"{prefix}{role}"
            askers[name] = join(home, f"asker-{name.replace(' ', '-')}", role)
    return World(arguments, askers)


def ask(row: Row, asker: User | None, world: World, client: Client) -> int:
    path = "/" + row.route
    for name, value in world.arguments.items():
        path = path.replace(name, value)
    if row.route.startswith("api/"):
        body = {
            key: str(asker.pk)
            if value == "<asker>" and asker
            else world.arguments.get(str(value), value)
            for key, value in row.body.items()
        }
        sent: dict[str, Any] = {"data": json.dumps(body), "content_type": "application/json"}
    else:
        sent = {"data": row.body}
    call: Callable[..., Any] = getattr(client, row.method.lower())
    return int(call(path, **({} if row.method == "GET" else sent)).status_code)


def client_for(row: Row, asker: User | None) -> Client:
    if asker is None:
        return Client()
    return api_client(asker) if row.route.startswith("api/") else sign_in_browser(Client(), asker)


ROWS = by_subject(API + PAGES)


@pytest.mark.parametrize("subject", ROWS)
def test_the_endpoint_refuses_whom_it_should(subject: str, world: World) -> None:
    for row in ROWS[subject]:
        with undone():
            _refuses_whom_it_should(row, world)


def _refuses_whom_it_should(row: Row, world: World) -> None:
    for name, expected in zip(ASKERS, row.expected, strict=True):
        asker = world.askers[name]
        status = ask(row, asker, world, client_for(row, asker))
        if expected == OK:
            assert status < 500, f"{row}: {name} got {status}"
            refused = {401, 403, 404} if asker else {403, 404}
            assert status not in refused, f"{row}: {name} is refused with {status}"
        else:
            assert status == expected, f"{row}: {name} got {status}, not {expected}"
