"""Where a request came from, as far as it can be believed.

Headers are the client's own words unless a proxy of ours added them; nothing here may fail
on what they contain, because a malformed header must not turn into a refused trail entry.
"""

import re
import unicodedata
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest

from app.audit.context import Origin, current_origin


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
    if text.isprintable():  # as most are: then nothing in it is of category C
        return text[:limit]
    kept = (mark for mark in text[: limit * 2] if unicodedata.category(mark)[0] != "C")
    return "".join(kept)[:limit]


# https://cloud.google.com/trace/docs/trace-context and https://www.w3.org/TR/trace-context/
_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})(?:/([0-9]{1,20}))?(?:;o=[0-9])?")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def trace_of(meta: Mapping[str, str]) -> str:
    """`trace/span` in hex, "" where no proxy of ours can have said so, or not in their form."""
    if not settings.TRUSTED_PROXY_COUNT:
        return ""
    if found := _TRACEPARENT.fullmatch(meta.get("HTTP_TRACEPARENT", "")):
        return f"{found[1]}/{found[2]}"
    found = _CLOUD_TRACE.fullmatch(meta.get("HTTP_X_CLOUD_TRACE_CONTEXT", ""))
    if found is None:
        return ""
    return f"{found[1]}/{int(found[2]) % 2**64:016x}" if found[2] else found[1]


def origin_of(request: HttpRequest) -> Origin:
    """The origin of a request whose session is not known yet."""
    noticed = current_origin.get()
    return Origin(
        request_id=noticed.request_id or uuid4().hex,
        address=client_address(request.META),
        agent=one_line(request.META.get("HTTP_USER_AGENT", ""), 256),
        trace=noticed.trace,
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
        trace=trace_of(headers),
    )
