"""API tokens: short-lived, each refresh good for once, a copy betrays itself."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, Token

from app.accounts import services
from app.accounts.authentication import Verified
from app.accounts.identity import Bearer
from app.accounts.models import Session, User
from app.errors import Unauthenticated
from tests.accounts.conftest import Trail, bearer, browser_session, tokens
from tests.cast import PASSWORD


def refreshed(client: Client, token: str) -> Any:
    return client.post(
        "/api/auth/token/refresh", {"refresh": token}, content_type="application/json"
    )


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def test_tokens_name_user_session_and_organization_and_last_as_promised(alice: User) -> None:
    pair = tokens(alice)
    access, refresh = claims(pair.access), claims(pair.refresh)
    session = Session.objects.get()
    for one in (access, refresh):
        assert one["sub"] == str(alice.pk)
        assert one["sid"] == str(session.pk)
        assert one["org"] == str(alice.organization_id)
    # Counted from when the refresh token was made: a second may have turned since.
    assert timedelta(minutes=15).total_seconds() - (access["exp"] - access["iat"]) in {0, 1}
    assert refresh["exp"] - refresh["iat"] == timedelta(days=7).total_seconds()


def test_a_refresh_gives_a_pair_that_works_in_the_same_session(
    alice: User, client: Client, trail: Trail
) -> None:
    answer = refreshed(client, tokens(alice).refresh)
    assert answer.status_code == 200
    access = answer.json()["access"]
    me = client.get("/api/me", headers={"Authorization": f"Bearer {access}"}).json()
    assert me["session"]["id"] == str(Session.objects.get().pk)
    [entry] = trail("token:refreshed")
    assert entry["origin"]["method"] == "jwt"


def test_a_refresh_token_that_comes_back_ends_the_whole_family(
    alice: User, client: Client, trail: Trail
) -> None:
    stolen = tokens(alice)
    next_pair = refreshed(client, stolen.refresh).json()
    assert refreshed(client, stolen.refresh).status_code == 401
    assert refreshed(client, next_pair["refresh"]).status_code == 401
    for access in (stolen.access, next_pair["access"]):
        answer = client.get("/api/me", headers={"Authorization": f"Bearer {access}"})
        assert answer.status_code == 401
    assert Session.objects.get().ended_reason == "token_reused"
    assert [entry["outcome"] for entry in trail("token:reused")] == ["failure"]


def test_a_reuse_leaves_other_sessions_of_the_user_alone(alice: User, client: Client) -> None:
    elsewhere = tokens(alice)
    stolen = tokens(alice)
    refreshed(client, stolen.refresh)
    refreshed(client, stolen.refresh)
    assert client.get("/api/me", headers=bearer(elsewhere)).status_code == 200


def test_an_access_token_does_not_refresh_and_a_refresh_token_does_not_open(
    alice: User, client: Client
) -> None:
    pair = tokens(alice)
    assert refreshed(client, pair.access).status_code == 401
    answer = client.get("/api/me", headers={"Authorization": f"Bearer {pair.refresh}"})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("change", [{"sid": "not-a-uuid"}, {"sub": None}, {"exp": 1}])
def test_a_token_with_other_claims_is_refused(
    alice: User, client: Client, change: dict[str, Any]
) -> None:
    forged = claims(tokens(alice).access) | change
    key = str(settings.SIMPLE_JWT["SIGNING_KEY"])
    token = jwt.encode({k: v for k, v in forged.items() if v is not None}, key, "HS256")
    answer = client.get("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_signed_by_somebody_else_is_refused(
    alice: User, client: Client, algorithm: str
) -> None:
    forged = claims(tokens(alice).access)
    key = "" if algorithm == "none" else "somebody else's key" * 3
    token = jwt.encode(forged, key, algorithm)
    answer = client.get("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_a_token_that_was_good_is_refused_once_its_session_has_ended(
    alice: User, client: Client
) -> None:
    headers = bearer(tokens(alice))
    assert client.get("/api/me", headers=headers).status_code == 200
    Session.objects.update(ended_at=timezone.now(), ended_reason="signed_out")
    assert client.get("/api/me", headers=headers).status_code == 401


def test_a_token_is_verified_once_and_again_when_it_has_run_out(alice: User) -> None:
    verified = Verified(most=2)
    good, other, third, old = (_access() for _ in range(4))
    old.set_exp(lifetime=timedelta(seconds=-1))
    asked: list[bytes] = []

    def bearer_of(raw: bytes, token: Token) -> Bearer:
        def validated(raw: bytes) -> Token:
            asked.append(raw)
            return token

        return verified.bearer(raw, validated)

    assert bearer_of(b"good", good) == bearer_of(b"good", third)
    assert str(bearer_of(b"good", third).session) == good["sid"]
    assert asked == [b"good"]
    bearer_of(b"old", old)
    bearer_of(b"old", old)
    assert asked == [b"good", b"old", b"old"]
    for raw in (b"other", b"good"):  # no more than `most` are remembered
        bearer_of(raw, other)
    assert asked[3:] == [b"other", b"good"]


def _access() -> Token:
    token = AccessToken()
    for claim in ("sid", "sub", "org"):
        token[claim] = str(uuid4())
    return token


def test_a_token_of_one_user_does_not_open_the_session_of_another(
    alice: User, bob: User, client: Client
) -> None:
    session = browser_session(bob)
    mixed = claims(tokens(alice).access) | {"sid": str(session.pk)}
    token = jwt.encode(mixed, str(settings.SIMPLE_JWT["SIGNING_KEY"]), "HS256")
    answer = client.get("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer é", "Basic YTpi", "Bearer x.y"])
def test_a_malformed_header_is_refused(alice: User, client: Client, header: str) -> None:
    answer = client.get("/api/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"


def test_no_token_is_kept_in_the_database(alice: User, client: Client) -> None:
    refreshed(client, tokens(alice).refresh)
    assert set(OutstandingToken.objects.values_list("token", flat=True)) == {""}
    assert OutstandingToken.objects.count() == 2


def test_a_token_refused_at_signing_in_is_not_made(alice: User) -> None:
    with pytest.raises(Unauthenticated):
        services.issue_tokens(email=alice.email, password=PASSWORD + "x")
    assert not OutstandingToken.objects.exists()
