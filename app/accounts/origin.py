"""Where a request came from, as far as it can be believed.

Headers are the client's own words unless a proxy of ours added them; nothing here may fail
on what they contain, because a malformed header must not turn into a refused trail entry.
"""

import unicodedata
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest

from app.audit.context import Origin


def client_address(meta: dict[str, str]) -> str:
    """The canonical IP address of the client, or "" where none can be believed.

    Each of the N trusted proxies appended the address of its peer to X-Forwarded-For, so the
    client is the N-th from the right; what stands left of it is hearsay. With fewer entries
    than proxies the request did not come through all of them, and the peer itself counts.
    """
    trusted = int(settings.TRUSTED_PROXY_COUNT)
    forwarded = meta.get("HTTP_X_FORWARDED_FOR", "") if trusted else ""
    hops = forwarded.rsplit(",", trusted)[-trusted:] if forwarded else []
    claimed = hops[0] if hops and len(hops) == trusted else meta.get("REMOTE_ADDR", "")
    return _canonical(claimed.strip()[:64])


def _canonical(text: str) -> str:
    if text.startswith("["):  # [2001:db8::1]:4711
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:4711
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def one_line(text: str, limit: int) -> str:
    """The text without control characters, so that it cannot forge a line of a log."""
    kept = (mark for mark in text[: limit * 2] if unicodedata.category(mark)[0] != "C")
    return "".join(kept)[:limit]


def origin_of(request: HttpRequest) -> Origin:
    """The origin of a request whose session is not known yet, with a request id of our own."""
    return Origin(
        request_id=uuid4().hex,
        address=client_address(request.META),
        agent=one_line(request.META.get("HTTP_USER_AGENT", ""), 256),
    )


def socket_origin(scope: Mapping[str, Any]) -> Origin:
    """The origin of a socket, from its ASGI handshake: believed as a request's headers are."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        text = value.decode("latin-1")
        # A header that comes twice is one list (RFC 9110 section 5.3).
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    peer = (scope.get("client") or ("",))[0]
    return Origin(
        request_id=uuid4().hex,
        address=client_address(headers | {"REMOTE_ADDR": peer}),
        agent=one_line(headers.get("HTTP_USER_AGENT", ""), 256),
        method="socket",
    )
