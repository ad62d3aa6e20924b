"""The API against its own description: whatever is sent, no 500 and no other shape of answer."""

from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

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


def test_the_document_is_openapi_3_1_and_valid() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate_schema(DOCUMENT)  # type: ignore[no-untyped-call]


@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_nothing_that_is_sent_breaks_the_server(
    case: schemathesis.Case[Any], server: WebServer, token: dict[str, str]
) -> None:
    role = _who_may(case.path)
    case.call_and_validate(
        base_url=server.base_url,
        headers={"Authorization": f"Bearer {token[role]}"},
        checks=CHECKED,
    )


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
