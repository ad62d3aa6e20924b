"""Credentials for TURN: whose, for how long, and that coturn computes the same."""

import base64
import hashlib
import hmac

from app.voice import turn

SECRET = "a secret that coturn has as well, 32"
URLS = ["turn:turn.example.org:3478"]


def test_coturn_774_a_page_open_for_25_hours_gets_credentials_that_are_good_then() -> None:
    joined, later = 1_800_000_000.5, 1_800_000_000.5 + 25 * 3600
    for now in (joined, later):
        found = turn.ice("a-pid", now, stun=[], turn=URLS, secret=SECRET)
        (server,) = found.servers
        expiry, _, pid = server.username.partition(":")
        assert (int(expiry) - int(now), found.ttl, pid) == (600, 600, "a-pid")
        mac = hmac.new(SECRET.encode(), server.username.encode(), hashlib.sha1)
        assert base64.b64decode(server.credential) == mac.digest()


def test_without_servers_there_is_nothing_to_give() -> None:
    assert turn.ice("a-pid", 0, stun=[], turn=[], secret="").servers == []
    (server,) = turn.ice("a-pid", 0, stun=["stun:x"], turn=[], secret="").servers
    assert (server.urls, server.username, server.credential) == (["stun:x"], "", "")
