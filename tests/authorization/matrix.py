"""Who is refused what: a row for each endpoint and method, a column for each kind of asker.

The askers have nothing to do with the things that a route names: those belong to alice and
bob, and to olga. A row gives the statuses for: somebody who is not signed in; a member, an
officer, an administrator of the same organization; the same three of another one.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

ASKERS = (
    "nobody",
    "member",
    "officer",
    "administrator",
    "foreign member",
    "foreign officer",
    "foreign administrator",
)

OK = "answered"  # neither refused nor hidden nor broken


@dataclass(frozen=True)
class Row:
    method: str
    route: str
    expected: tuple[Any, ...]
    body: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} /{self.route}"


def by_subject(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows by what they are about: those of one subject are shown in one world, which takes
    longer to make than to ask about."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        subject = row.route.removeprefix("api/").partition("/")[0]
        found.setdefault(subject or "start", []).append(row)
    return found


@contextmanager
def undone() -> Iterator[None]:
    """What is written within is taken back afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


EVERYBODY = (OK,) * 7
SIGNED_IN = (401, OK, OK, OK, OK, OK, OK)
HIDDEN = (401, 404, 404, 404, 404, 404, 404)
OWN_ORGANIZATION = (401, OK, OK, OK, 404, 404, 404)
OFFICERS = (401, 403, OK, 403, 403, OK, 403)
OFFICERS_OF_IT = (401, 403, OK, 403, 403, 404, 403)
ADMINISTRATORS = (401, 403, 403, OK, 403, 403, OK)
ADMINISTRATORS_OF_IT = (401, 403, 403, OK, 403, 403, 404)


def page(expected: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same for a page, which sends somebody who is not signed in to the sign-in page."""
    return tuple(302 if status == 401 else status for status in expected)


SECRET = "correct horse battery staple"
READING = {"conversation": "<uuid:conversation>", "matter": "7", "reason": "A complaint."}
ERASURE = {"conversation": "<uuid:conversation>", "last": "2020-01-01"}
API = [
    Row("GET", "api/schema", EVERYBODY),
    Row("POST", "api/auth/token", EVERYBODY, {"email": "nobody@example.org"}),
    Row("POST", "api/auth/token/refresh", EVERYBODY),
    Row("POST", "api/realtime/ticket", SIGNED_IN),
    Row("POST", "api/auth/sign-out", SIGNED_IN),
    Row("GET", "api/me", SIGNED_IN),
    Row("PATCH", "api/me", SIGNED_IN, {"display_name": "Somebody"}),
    Row("POST", "api/me/password", SIGNED_IN),
    Row("GET", "api/me/sessions", SIGNED_IN),
    Row("DELETE", "api/me/sessions/<uuid:session_id>", HIDDEN),
    Row("GET", "api/people", SIGNED_IN),
    Row("PATCH", "api/people/<uuid:person_id>", ADMINISTRATORS_OF_IT, {"is_active": False}),
    Row("GET", "api/invitations", ADMINISTRATORS),
    Row("POST", "api/invitations", ADMINISTRATORS, {"role": "member"}),
    Row("POST", "api/invitations/accept", EVERYBODY),
    Row("DELETE", "api/invitations/<uuid:invitation_id>", ADMINISTRATORS_OF_IT),
    Row("GET", "api/conversations", SIGNED_IN),
    Row("POST", "api/conversations", SIGNED_IN, {"kind": "private", "name": "mine"}),
    Row("GET", "api/conversations/<uuid:conversation>", HIDDEN),
    Row("PATCH", "api/conversations/<uuid:conversation>", HIDDEN, {"name": "mine now"}),
    Row("POST", "api/conversations/<uuid:conversation>/join", HIDDEN),
    Row("POST", "api/conversations/<uuid:conversation>/leave", HIDDEN),
    Row("GET", "api/conversations/<uuid:conversation>/members", HIDDEN),
    Row("POST", "api/conversations/<uuid:conversation>/members", HIDDEN, {"user": "<asker>"}),
    Row("DELETE", "api/conversations/<uuid:conversation>/members/<uuid:user>", HIDDEN),
    Row("GET", "api/conversations/<uuid:conversation>/messages", HIDDEN),
    Row(
        "POST",
        "api/conversations/<uuid:conversation>/messages",
        HIDDEN,
        {"id": "00000000-0000-4000-8000-000000000001", "body": "let me in"},
    ),
    Row("POST", "api/conversations/<uuid:conversation>/read", HIDDEN, {"offset": 1}),
    Row("GET", "api/conversations/<uuid:conversation>/voice", HIDDEN),
    Row("GET", "api/conversations/<uuid:conversation>/calls", HIDDEN),
    # For the SFU alone, by its signature, and where there is one: tests/voice/sfu shows it.
    Row("POST", "api/voice/sfu/webhook", (404,) * 7),
    Row("GET", "api/calls/policy", SIGNED_IN),
    Row("PUT", "api/calls/policy", ADMINISTRATORS, {"recording": True, "monitoring": False}),
    Row("GET", "api/messages/<uuid:message>", HIDDEN),
    Row("PATCH", "api/messages/<uuid:message>", HIDDEN, {"body": "changed", "revision": 1}),
    Row("DELETE", "api/messages/<uuid:message>", HIDDEN),
    Row("GET", "api/messages/<uuid:message>/versions", HIDDEN),
    Row("GET", "api/messages/<uuid:message>/receipt", HIDDEN),
    Row("PUT", "api/messages/<uuid:message>/reactions/<str:emoji>", HIDDEN),
    Row("DELETE", "api/messages/<uuid:message>/reactions/<str:emoji>", HIDDEN),
    Row(
        "POST",
        "api/conversations/<uuid:conversation>/attachments",
        HIDDEN,
        {"id": "00000000-0000-4000-8000-000000000002", "name": "mine.txt", "size": 1},
    ),
    Row("GET", "api/attachments/<uuid:attachment>", HIDDEN),
    Row("DELETE", "api/attachments/<uuid:attachment>", HIDDEN),
    Row("PUT", "api/attachments/<uuid:attachment>/parts/<int:part>", HIDDEN),
    Row("POST", "api/attachments/<uuid:attachment>/complete", HIDDEN),
    Row("GET", "api/attachments/<uuid:attachment>/preview", HIDDEN),
    # Nothing is signed yet: a conflict, for those who may know of it.
    Row("GET", "api/audit/checkpoint", SIGNED_IN),
    Row("GET", "api/audit/entries", SIGNED_IN),
    Row("GET", "api/audit/proof", SIGNED_IN),
    # Leaf hashes are of an organization: another's are known to nobody.
    Row("GET", "api/audit/receipts/<str:leaf_hash>", OWN_ORGANIZATION),
    Row("GET", "api/audit/logs/<uuid:organization>/checkpoint", OWN_ORGANIZATION),
    Row("GET", "api/audit/logs/<uuid:organization>/tile/<path:tile>", OWN_ORGANIZATION),
    # Foreigners search as well: each their own conversations.
    Row("POST", "api/search", SIGNED_IN, {"query": "ward"}),
    Row("GET", "api/search/index", ADMINISTRATORS),
    Row("PUT", "api/search/index", ADMINISTRATORS, {"on": False}),
    Row("GET", "api/compliance/trail", OFFICERS),
    Row("GET", "api/compliance/trail/<int:entry>", OFFICERS_OF_IT),
    Row("POST", "api/compliance/searches", OFFICERS, {"query": "a", "matter": "b", "reason": "c"}),
    Row("GET", "api/compliance/searches/<uuid:search>", (401, 403, 404, 403, 403, 404, 403)),
    Row("GET", "api/compliance/calls", OFFICERS),
    Row("GET", "api/compliance/calls/<uuid:call>", OFFICERS_OF_IT),
    Row("GET", "api/compliance/exports", OFFICERS),
    Row("POST", "api/compliance/exports", OFFICERS, {"reason": "A complaint."}),
    Row("POST", "api/compliance/exports/preview", OFFICERS),
    Row("GET", "api/compliance/exports/<uuid:export>", OFFICERS_OF_IT),
    Row("POST", "api/compliance/exports/<uuid:export>/approve", OFFICERS_OF_IT),
    Row("POST", "api/compliance/exports/<uuid:export>/refuse", OFFICERS_OF_IT),
    # What another officer asked for is not this one's to withdraw.
    Row(
        "POST", "api/compliance/exports/<uuid:export>/withdraw", (401, 403, 403, 403, 403, 404, 403)
    ),
    # Not built yet: a conflict, for those who may know of it.
    Row("GET", "api/compliance/exports/<uuid:export>/download", OFFICERS_OF_IT),
    Row("GET", "api/compliance/holds", OFFICERS),
    Row("POST", "api/compliance/holds", OFFICERS, {"matter": "7", "reason": "A complaint."}),
    Row("GET", "api/compliance/holds/<uuid:hold>", OFFICERS_OF_IT),
    Row("POST", "api/compliance/holds/<uuid:hold>/ask-release", OFFICERS_OF_IT, {"reason": "Done"}),
    Row("POST", "api/compliance/holds/<uuid:hold>/release", OFFICERS_OF_IT),
    Row("POST", "api/compliance/holds/<uuid:hold>/keep", OFFICERS_OF_IT),
    Row("GET", "api/compliance/conversations", OFFICERS),
    Row("POST", "api/compliance/readings", OFFICERS_OF_IT, READING),
    # A reading serves the officer who gave the reason, and no other.
    Row("GET", "api/compliance/readings/<uuid:reading>", (401, 403, 404, 403, 403, 404, 403)),
    Row(
        "GET",
        "api/compliance/readings/<uuid:reading>/files/<uuid:attachment>",
        (401, 403, 404, 403, 403, 404, 403),
    ),
    Row("GET", "api/compliance/erasures", OFFICERS),
    Row("POST", "api/compliance/erasures", OFFICERS_OF_IT, ERASURE | {"reason": "Asked for."}),
    Row("POST", "api/compliance/erasures/preview", OFFICERS_OF_IT, ERASURE),
    Row("GET", "api/compliance/erasures/<uuid:erasure>", OFFICERS_OF_IT),
    Row("POST", "api/compliance/erasures/<uuid:erasure>/approve", OFFICERS_OF_IT),
    Row("POST", "api/compliance/erasures/<uuid:erasure>/refuse", OFFICERS_OF_IT),
    Row(
        "POST",
        "api/compliance/erasures/<uuid:erasure>/withdraw",
        (401, 403, 403, 403, 403, 404, 403),
    ),
]

PAGES = [
    Row("GET", "verify.py", EVERYBODY),
    Row("GET", "", page(SIGNED_IN)),
    # The page is a shell; what is in the conversation comes by REST, refused above.
    Row("GET", "c/<uuid:conversation_id>", page(SIGNED_IN)),
    Row("GET", "sign-in", EVERYBODY),
    Row("POST", "sign-out", EVERYBODY),
    # An unknown code, which tells nobody more than that.
    Row("GET", "invitation/<str:code>", (404,) * 7),
    Row("GET", "settings", page(SIGNED_IN)),
    Row("POST", "settings/name", page(SIGNED_IN), {"display_name": "Somebody"}),
    Row("POST", "settings/password", page(SIGNED_IN)),
    Row("POST", "settings/appearance", EVERYBODY),
    Row("POST", "settings/sessions/<uuid:session_id>/end", page(HIDDEN)),
    Row("GET", "people", page(ADMINISTRATORS)),
    Row("GET", "people/<uuid:person_id>", page(ADMINISTRATORS_OF_IT)),
    Row("POST", "people/<uuid:person_id>/role", page(ADMINISTRATORS_OF_IT), {"role": "officer"}),
    Row("POST", "people/<uuid:person_id>/disable", page(ADMINISTRATORS_OF_IT)),
    Row("POST", "people/<uuid:person_id>/enable", page(ADMINISTRATORS_OF_IT)),
    Row("GET", "invitations", page(ADMINISTRATORS)),
    Row("GET", "search-index", page(ADMINISTRATORS)),
    Row("GET", "call-policy", page(ADMINISTRATORS)),
    Row("POST", "call-policy", page(ADMINISTRATORS), {"recording": "on"}),
    Row("GET", "officer/search", page(OFFICERS)),
    # Their own searches alone: what another officer looked for is in the trail, not here.
    Row("GET", "officer/search/<uuid:search_id>", page((401, 403, 404, 403, 403, 404, 403))),
    Row("POST", "invitations/<uuid:invitation_id>/revoke", page(ADMINISTRATORS_OF_IT)),
    Row("GET", "trail", page(OFFICERS)),
    Row("GET", "who-may-read", page(SIGNED_IN)),
    Row("GET", "conversations", page(OFFICERS)),
    Row("GET", "conversations/<uuid:conversation_id>", page(OFFICERS_OF_IT)),
    Row("POST", "conversations/<uuid:conversation_id>", page(OFFICERS_OF_IT), READING),
    # A reading serves the officer who gave the reason, and no other.
    Row("GET", "readings/<uuid:reading_id>", page((401, 403, 404, 403, 403, 404, 403))),
    Row(
        "POST",
        "readings/<uuid:reading_id>/files/<uuid:attachment>",
        page((401, 403, 404, 403, 403, 404, 403)),
    ),
    Row("GET", "calls", page(OFFICERS)),
    Row("GET", "calls/<uuid:call_id>", page(OFFICERS_OF_IT)),
    Row("GET", "holds", page(OFFICERS)),
    Row("GET", "holds/new", page(OFFICERS)),
    Row("GET", "holds/<uuid:hold_id>", page(OFFICERS_OF_IT)),
    Row("POST", "holds/<uuid:hold_id>/ask-release", page(OFFICERS_OF_IT), {"reason": "Done"}),
    Row("POST", "holds/<uuid:hold_id>/release", page(OFFICERS_OF_IT)),
    Row("POST", "holds/<uuid:hold_id>/keep", page(OFFICERS_OF_IT)),
    Row("GET", "erasures", page(OFFICERS)),
    Row("GET", "erasures/new", page(OFFICERS)),
    Row("GET", "erasures/<uuid:erasure_id>", page(OFFICERS_OF_IT)),
    Row("POST", "erasures/<uuid:erasure_id>/approve", page(OFFICERS_OF_IT)),
    Row("POST", "erasures/<uuid:erasure_id>/refuse", page(OFFICERS_OF_IT)),
    Row("POST", "erasures/<uuid:erasure_id>/withdraw", page((401, 403, 302, 403, 403, 404, 403))),
    Row("GET", "exports", page(OFFICERS)),
    Row("GET", "exports/new", page(OFFICERS)),
    Row("GET", "exports/<uuid:export_id>", page(OFFICERS_OF_IT)),
    Row("POST", "exports/<uuid:export_id>/approve", page(OFFICERS_OF_IT)),
    Row("POST", "exports/<uuid:export_id>/refuse", page(OFFICERS_OF_IT)),
    # Refused as by REST above; the page says so on the way back to the export.
    Row("POST", "exports/<uuid:export_id>/withdraw", page((401, 403, 302, 403, 403, 404, 403))),
    Row("POST", "exports/<uuid:export_id>/download", page(OFFICERS_OF_IT)),
    Row("GET", "exports/<uuid:export_id>/package", page(OFFICERS_OF_IT)),
]
