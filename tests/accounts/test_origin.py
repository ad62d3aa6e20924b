"""The client's address is what our own proxies say, and nothing that a client can make up."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from app.accounts.models import Session, User
from app.accounts.origin import client_address, one_line, socket_origin
from tests.accounts.conftest import Trail
from tests.cast import sign_in_browser


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 198.51.100.2", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "[2001:DB8::1]:4711", "2001:db8::1"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "garbage", ""),
        (1, "1" * 5000, ""),
        (1, "203.0.113.9\r\nX: y", ""),
    ],
)
def test_the_address_is_the_last_one_that_our_proxies_added(
    settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    meta = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(meta if forwarded else {"REMOTE_ADDR": "192.0.2.1"}) == address


def test_an_agent_cannot_forge_a_line_of_a_log() -> None:
    assert one_line("a\r\nb\x1b[31m\u202ec" + "x" * 999, 20) == "ab[31mc" + "x" * 13


def test_hostile_headers_do_not_keep_anybody_out(
    alice: User, client: Client, settings: Any, trail: Trail
) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    client.defaults["HTTP_X_FORWARDED_FOR"] = "nonsense" * 100
    client.defaults["HTTP_USER_AGENT"] = "Mozilla\x00\r\n" + "é" * 5000
    client.defaults["HTTP_X_REQUEST_ID"] = "mine"
    sign_in_browser(client, alice)
    session = Session.objects.get()
    assert (session.address, len(session.agent)) == (None, 256)
    [entry] = trail("session:started")
    assert entry["origin"]["request_id"] != "mine"


def test_a_socket_comes_from_where_its_handshake_came_from(settings: Settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    headers = [
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"user-agent", b"browser\r\nforged line"),
    ]
    found = socket_origin({"headers": headers, "client": ("10.0.0.1", 4711)})
    assert (found.address, found.method) == ("192.0.2.7", "socket")
    assert found.agent == "browserforged line"
    settings.TRUSTED_PROXY_COUNT = 0
    assert socket_origin({"headers": headers, "client": ("10.0.0.1", 1)}).address == "10.0.0.1"
