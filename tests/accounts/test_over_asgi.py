"""The same over the real server, where requests hop between threads and contexts."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.accounts.models import Session, User
from dev.redis_server import RedisServer
from tests.accounts.conftest import Trail, tokens
from tests.cast import PASSWORD
from tests.server import WebServer


def asked(
    server: WebServer, method: str, path: str, body: Any = None, token: str = ""
) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        server.base_url + path,
        method=method,
        headers=headers,
        data=json.dumps(body).encode() if body is not None else None,
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_each_bearer_acts_as_themselves_also_all_at_once(
    server: WebServer, alice: User, bob: User, trail: Trail
) -> None:
    pairs = {user: tokens(user) for user in (alice, bob)}

    def rename(number: int) -> None:
        user = (alice, bob)[number % 2]
        given = {"display_name": f"{user.role} {number}"}
        status, me = asked(server, "PATCH", "/api/me", given, pairs[user].access)
        assert (status, me["id"]) == (200, str(user.pk))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rename, range(12)))
    entries = trail("user:changed")
    assert len(entries) == 12
    for entry in entries:
        assert entry["actor"]["id"] == entry["target"]["id"]
        session = Session.objects.get(pk=entry["origin"]["session"])
        assert (str(session.user_id), entry["origin"]["method"]) == (entry["actor"]["id"], "jwt")
        assert entry["origin"]["address"] == "127.0.0.1"


def test_one_refresh_token_used_twice_at_once_ends_the_family(
    server: WebServer, alice: User
) -> None:
    given = {"refresh": tokens(alice).refresh}
    with ThreadPoolExecutor(2) as pool:
        asks = [
            pool.submit(asked, server, "POST", "/api/auth/token/refresh", given) for _ in range(2)
        ]
        answers = sorted(ask.result()[0] for ask in asks)
    assert answers == [200, 401]
    assert Session.objects.get().ended_reason == "token_reused"


def test_parallel_guesses_do_not_slip_through_the_limit(server: WebServer, alice: User) -> None:
    wrong = {"email": alice.email, "password": PASSWORD + "?"}
    with ThreadPoolExecutor(8) as pool:
        asks = [pool.submit(asked, server, "POST", "/api/auth/token", wrong) for _ in range(24)]
        answers = [ask.result()[0] for ask in asks]
    assert answers.count(401) == 10
    assert answers.count(429) == 14


def test_signing_out_needs_no_redis(
    server: WebServer, redis_server: RedisServer, alice: User
) -> None:
    pair = tokens(alice)
    redis_server.stop()
    assert asked(server, "POST", "/api/auth/sign-out", token=pair.access)[0] == 204
    assert asked(server, "GET", "/api/me", token=pair.access)[0] == 401
