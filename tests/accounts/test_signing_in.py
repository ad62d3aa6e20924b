"""Signing in: who gets in, what the others learn, and what the trail keeps."""

import json
from uuid import UUID

import pytest
from django.contrib.auth import hashers
from django.test import Client
from django.utils import timezone

from app.accounts import backends, limits, services
from app.accounts.limits import Limited
from app.accounts.models import Limit, Session, SessionKind, User
from app.audit.context import Origin, acting_from
from app.errors import RateLimited, Unauthenticated
from tests.accounts.conftest import Trail, browser_session, tokens
from tests.cast import PASSWORD, address


def attempt(email: str, password: str = PASSWORD) -> Session:
    return services.sign_in(email=email, password=password, kind=SessionKind.BROWSER)


def test_a_member_signs_in_and_the_trail_says_so(alice: User, trail: Trail) -> None:
    with acting_from(Origin(request_id="r1", address="192.0.2.7", agent="Tests/1")):
        session = attempt(address("alice"))
    assert (session.user, session.address, session.agent) == (alice, "192.0.2.7", "Tests/1")
    [entry] = trail("session:started")
    assert entry["actor"] == {"kind": "user", "id": str(alice.pk), "role": "member"}
    assert entry["target"] == {"type": "session", "id": str(session.pk), "parent": str(alice.pk)}
    assert entry["origin"]["session"] == str(session.pk)


def test_a_wrong_password_is_refused_and_recorded_in_the_organization(
    alice: User, trail: Trail
) -> None:
    with pytest.raises(Unauthenticated):
        attempt(address("alice"), "wrong")
    [entry] = trail("session:refused")
    assert entry["organization"] == str(alice.organization_id)
    assert (entry["outcome"], entry["actor"]["kind"]) == ("failure", "anonymous")
    assert entry["target"] == {"type": "user", "id": str(alice.pk), "parent": ""}


def test_an_unknown_address_is_recorded_without_being_kept(alice: User, trail: Trail) -> None:
    with pytest.raises(Unauthenticated):
        attempt("nobody@example.org")
    [entry] = trail("session:refused")
    assert entry["organization"] == str(UUID(int=0))
    assert entry["target"]["type"] == "address"
    assert "nobody" not in json.dumps(entry)


@pytest.fixture
def hashings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for each Argon2 computation."""
    done: list[str] = []
    hasher = hashers.get_hasher()
    kind = type(hasher)
    encode, verify = kind.encode, kind.verify

    def counted_encode(self: object, password: str, salt: str) -> str:
        done.append("encode")
        return str(encode(self, password, salt))  # type: ignore[arg-type]

    def counted_verify(self: object, password: str, encoded: str) -> bool:
        done.append("verify")
        return bool(verify(self, password, encoded))  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "encode", counted_encode)
    monkeypatch.setattr(kind, "verify", counted_verify)
    return done


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (address("alice"), "wrong"),
        (address("nobody"), "wrong"),
        (address("bob"), PASSWORD),
        (address("bob"), "wrong"),
    ],
    ids=["wrong password", "unknown address", "disabled", "disabled and wrong"],
)
def test_every_refusal_has_one_text_one_hashing_and_one_entry(
    bob: User, alice: User, *, hashings: list[str], trail: Trail, email: str, password: str
) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    hashings.clear()
    with pytest.raises(Unauthenticated) as refusal:
        attempt(email, password)
    assert refusal.value.message == "That address and password do not open an account here."
    assert len(hashings) == 1
    assert len(trail("session:refused")) == 1


def test_a_user_without_a_password_cannot_sign_in_and_costs_the_same(
    alice: User, hashings: list[str]
) -> None:
    alice.set_unusable_password()
    User.objects.filter(pk=alice.pk).update(password=alice.password)
    hashings.clear()
    with pytest.raises(Unauthenticated):
        attempt(address("alice"))
    assert len(hashings) == 1


def test_guessing_at_one_account_is_stopped_from_any_address(alice: User) -> None:
    burst = Limited.SIGN_IN_BY_ACCOUNT.value.burst
    for number in range(burst):
        with (
            acting_from(Origin(address=f"192.0.2.{number}")),
            pytest.raises(Unauthenticated),
        ):
            attempt(address("alice"), "wrong")
    with (
        acting_from(Origin(address="198.51.100.1")),
        pytest.raises(RateLimited) as refusal,
    ):
        attempt(" ALICE@example.org ")
    assert 1 <= refusal.value.retry_after <= 60


def test_guessing_from_one_address_is_stopped_for_any_account(alice: User) -> None:
    burst = Limited.SIGN_IN_BY_ADDRESS.value.burst
    with acting_from(Origin(address="192.0.2.1")):
        for number in range(burst):
            with pytest.raises(Unauthenticated):
                attempt(f"guess-{number}@example.org")
        with pytest.raises(RateLimited):
            attempt(address("alice"))
    with acting_from(Origin(address="192.0.2.2")):
        assert attempt(address("alice"))


def test_one_customer_of_ipv6_is_one_subject() -> None:
    assert limits.network("2001:db8:1:2::1") == limits.network("2001:db8:1:2:ffff::9")
    assert limits.network("2001:db8:1:2::1") != limits.network("2001:db8:1:3::1")


def test_signing_in_well_costs_no_attempts(alice: User) -> None:
    for _ in range(Limited.SIGN_IN_BY_ACCOUNT.value.burst + 5):
        attempt(address("alice"))


def test_a_limit_lets_one_more_in_after_its_interval(alice: User) -> None:
    rate = Limited.PASSWORD_BY_ACCOUNT
    for _ in range(rate.value.burst):
        limits.spend(rate, "x")
    with pytest.raises(RateLimited) as refusal:
        limits.spend(rate, "x")
    assert 55 <= refusal.value.retry_after <= 60
    row = Limit.objects.get()
    Limit.objects.update(arrival=row.arrival - rate.value.interval)
    limits.spend(rate, "x")
    with pytest.raises(RateLimited):
        limits.spend(rate, "x")


def test_what_limits_nobody_any_more_is_forgotten(alice: User) -> None:
    limits.spend(Limited.PASSWORD_BY_ACCOUNT, "x")
    assert limits.forget() == 0
    Limit.objects.update(arrival=timezone.now())
    assert limits.forget() == 1


def test_too_many_attempts_are_told_when_to_come_back(alice: User, client: Client) -> None:
    wrong = {"email": address("alice"), "password": "wrong"}
    for _ in range(Limited.SIGN_IN_BY_ACCOUNT.value.burst):
        assert client.post("/sign-in", wrong).status_code == 401
    page = client.post("/sign-in", wrong)
    assert page.status_code == 429
    assert int(page["Retry-After"]) >= 1
    assert "Try again in" in page.content.decode()
    answer = client.post("/api/auth/token", wrong, content_type="application/json")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) >= 1
    assert answer.json()["error"]["code"] == "rate_limited"


def test_limits_hold_with_redis_stopped(alice: User, redis_server: object) -> None:
    redis_server.stop()  # type: ignore[attr-defined]
    for _ in range(Limited.SIGN_IN_BY_ACCOUNT.value.burst):
        with pytest.raises(Unauthenticated):
            attempt(address("alice"), "wrong")
    with pytest.raises(RateLimited):
        attempt(address("alice"))


def test_a_person_disabled_between_check_and_session_does_not_get_in(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = backends.verified

    def then_disabled(user: User | None, password: str) -> bool:
        good = checked(user, password)
        User.objects.filter(pk=alice.pk).update(is_active=False)
        return good

    monkeypatch.setattr("app.accounts.services.signing.verified", then_disabled)
    with pytest.raises(Unauthenticated):
        attempt(address("alice"))
    assert not Session.objects.exists()


def test_tokens_and_browser_sessions_are_told_apart(alice: User) -> None:
    browser_session(alice)
    tokens(alice)
    assert set(Session.objects.values_list("kind", flat=True)) == {"browser", "api"}
