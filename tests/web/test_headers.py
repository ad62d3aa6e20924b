"""What browsers are forbidden, on every answer."""

import pytest
from django.test import Client

from app.accounts.models import User
from tests.accounts.conftest import bearer, tokens


@pytest.mark.parametrize("path", ["/sign-in", "/api/me", "/api/no-such", "/no-such"])
def test_pages_and_answers_of_the_api_forbid_the_same(alice: User, path: str) -> None:
    for headers in ({}, bearer(tokens(alice))):
        answer = Client().get(path, headers=headers)
        policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["script-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert answer["X-Frame-Options"] == "DENY"
        assert "camera=(self)" in answer["Permissions-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == answer["Cross-Origin-Opener-Policy"] == "same-origin"
