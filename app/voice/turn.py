"""Credentials for TURN that end by themselves (draft-uberti-behave-turn-rest-00). Pure.

The user name is `<expiry, Unix seconds>:<pid>`, the password base64(HMAC-SHA1(secret, user
name)): coturn's `use-auth-secret` computes the same. SHA-1 is what that protocol has.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from app.realtime.protocol import Ice, IceServer

TTL = 600


def ice(
    pid: str, now: float, *, stun: Sequence[str], turn: Sequence[str], secret: str, ttl: int = TTL
) -> Ice:
    """The servers for one participant, with credentials for `ttl` seconds from `now` (Unix)."""
    servers = []
    if stun:
        servers.append(IceServer(urls=list(stun)))
    if turn:
        username = f"{int(now) + ttl}:{pid}"
        servers.append(IceServer(list(turn), username, password(username, secret)))
    return Ice(servers, ttl)


def password(username: str, secret: str) -> str:
    """What proves that we made `username`."""
    mac = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return base64.b64encode(mac).decode()
