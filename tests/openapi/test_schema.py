"""The API against its own description: whatever is sent, no 500 and no other shape of answer."""

from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from app.accounts.models import User
from tests.chat.talk import room, say
from tests.realtime.speaker import bearer
from tests.server import WebServer

load_all_checks()
generator: Any = SchemaGenerator
DOCUMENT: Mapping[str, Any] = generator().get_schema(request=None, public=True)
CHECKED: list[Any] = [
    check
    for check in CHECKS.get_all()
    if check.__name__
    in {
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    }
]
# Signing out would end the session that the other examples use.
schema = schemathesis.openapi.from_dict(dict(DOCUMENT)).exclude(operation_id="sign_out")


def test_every_operation_is_among_them() -> None:
    asked = {(one.method.upper(), one.path) for some in ABOUT.values() for one in some}
    methods = {"get", "post", "put", "patch", "delete"}
    described = {
        (method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method in methods & {*item}
    }
    assert len(described - asked) == 1  # signing out


def test_the_document_is_openapi_3_1_and_valid() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate_schema(DOCUMENT)  # type: ignore[no-untyped-call]


Operation = schemathesis.APIOperation[Any, Any, Any, Any]
# By what they are about: an operation each would have its own database, and takes twice as long.
# (`schema.parametrize` gives all the same name, of which xdist runs one.)
ABOUT: dict[str, list[Operation]] = {}
for found in schema.get_all_operations():
    if isinstance(found, Ok):  # else the document is wrong, and operations are missing below
        ABOUT.setdefault(found.ok().path.split("/")[2], []).append(found.ok())


@pytest.mark.parametrize("about", ABOUT)
def test_nothing_that_is_sent_breaks_the_server(
    about: str, server: WebServer, token: dict[str, str]
) -> None:
    for operation in ABOUT[about]:
        headers = {"Authorization": f"Bearer {token[_who_may(operation.path)]}"}
        _is_sent_anything(operation, server.base_url, headers)


def _is_sent_anything(operation: Operation, url: str, headers: dict[str, str]) -> None:
    @settings(
        max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy())
    def answers(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKED)

    answers()


def _who_may(path: str) -> str:
    """Whoever gets furthest into the endpoint; who is refused is the matrix's business."""
    if path.startswith("/api/compliance/"):
        return "officer"
    if path.startswith(("/api/invitations", "/api/people/")):
        return "administrator"
    return "member"


@pytest.fixture
def token(alice: User, bob: User, olga: User, ada: User) -> dict[str, str]:
    say(alice, room(alice, bob), "something to ask about")
    return {"member": bearer(alice), "officer": bearer(olga), "administrator": bearer(ada)}
