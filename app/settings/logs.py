"""What a log line may hold: an event, names, ids, and where an exception came from.

Never what an exception says: a database quotes values, a parser quotes its input.
`DEBUG` shows that too, for a developer at their own machine.

As JSON a line has the shape of Cloud Logging's structured logs
(https://cloud.google.com/logging/docs/structured-logging); everything else reads it as well.
"""

import logging
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from app.audit.context import current_origin

_FRAMES = 12
# What `extra` may add to a line of the standard library's loggers. Django's own add the request.
_EXTRAS = [
    "detail",
    "error",
    "exit",
    "job",
    "key",
    "reason",
    "request_id",
    "role",
    "service",
    "status",
    "storage",
]
_SEVERITIES = {"warn": "WARNING", "exception": "ERROR", "fatal": "CRITICAL"}
_CLOUD = "logging.googleapis.com/"


class WithoutPaths(logging.Filter):
    """Django's own lines name the path of a request, which may be an invitation's code."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            match = getattr(getattr(record, "request", None), "resolver_match", None)
            route = f"/{match.route}" if match else "(no route)"
            record.args = tuple(
                route if isinstance(argument, str) and argument.startswith("/") else argument
                for argument in record.args
            )
        return True


def where_it_came_from(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Turn `exc_info` into types and places, without messages and without variables."""
    error = _exception_of(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = [_place(cause) for cause in _chain(error)]
    return event


def whose(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add which request, socket or job the line belongs to, and where a proxy traces it."""
    origin = current_origin.get()
    if origin.request_id:
        event.setdefault("request_id", origin.request_id)
    if origin.trace:
        event["trace"] = origin.trace
    return event


def for_cloud_logging(project: str) -> Callable[..., EventDict]:
    """The names that Cloud Logging knows. `project` is Google's, "" for none."""

    def shaped(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        level = event.pop("level", "info")
        line: EventDict = {
            "severity": _SEVERITIES.get(level, level.upper()),
            "message": event.pop("event", ""),
            "time": event.pop("timestamp", None),
        }
        trace, _, span = event.pop("trace", "").partition("/")
        if trace:
            line[_CLOUD + "trace"] = f"projects/{project}/traces/{trace}" if project else trace
        if span:
            line[_CLOUD + "spanId"] = span
        if at := event.pop("pathname", ""):
            number = str(event.pop("lineno", 0))
            line[_CLOUD + "sourceLocation"] = {
                "file": at, "line": number, "function": event.pop("func_name", "")
            }  # fmt: skip
        return {**line, **event}

    return shaped


def configure(
    *, as_json: bool, with_messages: bool, receipts: str = "stdout", project: str = ""
) -> dict[str, Any]:
    """Set structlog up, and return Django's LOGGING, so that both write the same lines.

    `receipts`: where the trail's receipts go, as lines of JSON: stdout, stderr or off.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        whose,
    ]
    if as_json:
        place = structlog.processors.CallsiteParameter
        shared.append(
            structlog.processors.CallsiteParameterAdder(
                {place.PATHNAME, place.LINENO, place.FUNC_NAME}
            )
        )
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    last = [] if with_messages else [where_it_came_from]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"without_paths": {"()": WithoutPaths}},
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [structlog.stdlib.ExtraAdder(allow=_EXTRAS), *shared],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *last,
                    *([for_cloud_logging(project)] if as_json else []),
                    *_renderers(as_json=as_json, with_messages=with_messages),
                ],
            },
            "receipts": {"format": "%(message)s"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "lines"},
            "receipts": {
                "class": "logging.StreamHandler",
                "formatter": "receipts",
                "stream": "ext://sys.stderr" if receipts == "stderr" else "ext://sys.stdout",
            },
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            # Django would add its own console handler and mail the administrators.
            "django": {"handlers": [], "propagate": True, "level": "INFO"},
            "django.request": {"filters": ["without_paths"]},
            "django.security": {"filters": ["without_paths"]},
            "django.security.csrf": {"filters": ["without_paths"]},
            # It logs each query with its parameters at DEBUG.
            "django.db.backends": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "app.audit.receipts": {
                "handlers": ["receipts"],
                "propagate": False,
                "level": "CRITICAL" if receipts == "off" else "INFO",
            },
        },
    }


def _renderers(*, as_json: bool, with_messages: bool) -> list[Callable[..., Any]]:
    if as_json:
        return [structlog.processors.JSONRenderer()]
    formatter = structlog.dev.plain_traceback if with_messages else _no_traceback
    return [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=formatter)]


def _no_traceback(_: TextIO, __: ExcInfo) -> None:
    """`where_it_came_from` has taken it already."""


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    return exc_info[1] if isinstance(exc_info, tuple) else None


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    return chain


def _place(error: BaseException) -> dict[str, Any]:
    kind = type(error)
    return {"type": f"{kind.__module__}.{kind.__qualname__}", "at": _frames(error.__traceback__)}


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
