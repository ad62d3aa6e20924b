"""What a report to Sentry may hold: which error, where in our code, in which request.

Made anew from a list of what is allowed, so that a field which a later version of the SDK adds
is left out. Never what an exception says, nor variables, bodies, headers, addresses or people:
any of them may be what a member wrote.
"""

import logging
from collections.abc import Mapping
from typing import Any, cast

import sentry_sdk
from sentry_sdk.transport import Transport
from sentry_sdk.types import Event, Hint

from app.audit.context import current_origin

_KEPT = ("event_id", "timestamp", "level", "platform", "release", "environment", "sdk")
_OF_A_FRAME = ("filename", "function", "module", "lineno", "in_app")


def configure(dsn: str, release: str, *, transport: type[Transport] | None = None) -> None:
    """Send reports of errors to `dsn`; "" for none. `transport`: another way there, for tests."""
    if not dsn:
        return
    sentry_sdk.init(
        dsn=dsn,
        release=release or None,
        before_send=scrubbed,
        before_send_transaction=lambda *_: None,
        # What is not collected cannot leave either.
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        transport=transport,
    )


def scrubbed(event: Event, hint: Hint) -> Event:
    """A report with what is allowed of `event`."""
    given = cast(Mapping[str, Any], event)
    kept: dict[str, Any] = {name: given[name] for name in _KEPT if name in given}
    if causes := (given.get("exception") or {}).get("values"):
        kept["exception"] = {"values": [_cause(cause) for cause in causes]}
    if (record := hint.get("log_record")) is not None:
        kept["logger"] = record.name
        kept["logentry"] = {"message": _said(record)}
    tags = {"request_id": current_origin.get().request_id}
    if (given.get("transaction_info") or {}).get("source") == "route":
        # A pattern of ours; where no pattern matched it would be the path itself.
        tags["route"] = str(given.get("transaction", ""))
    kept["tags"] = {name: value for name, value in tags.items() if value}
    return cast(Event, kept)


def _cause(cause: Mapping[str, Any]) -> dict[str, Any]:
    frames = (cause.get("stacktrace") or {}).get("frames") or []
    return {
        "type": cause.get("type"),
        "module": cause.get("module"),
        "stacktrace": {
            "frames": [
                {name: frame[name] for name in _OF_A_FRAME if name in frame} for frame in frames
            ]
        },
    }


def _said(record: logging.LogRecord) -> str:
    """The name of one of our events; what other packages say is not ours to judge."""
    if isinstance(record.msg, Mapping):  # structlog's
        return str(record.msg.get("event", ""))
    return str(record.msg) if record.name.startswith("app.") else ""
