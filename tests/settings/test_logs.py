"""What may stand in a log line."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.http import HttpRequest

from app.audit.context import Origin, acting_from
from app.settings.logs import configure

CANARY = "xylophone-canary"


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    config = configure(as_json=True, with_messages=False)
    config["handlers"]["stderr"]["stream"] = written
    # A logger of its own: the root belongs to pytest here.
    config["loggers"]["probe"] = {"handlers": ["stderr"], "propagate": False, "level": "INFO"}
    config["loggers"]["django.request"] |= {"handlers": ["stderr"], "propagate": False}
    del config["root"]
    logging.config.dictConfig(config)
    yield written
    for name in ("probe", "django.request"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _last(written: io.StringIO) -> dict[str, Any]:
    return dict(json.loads(written.getvalue().splitlines()[-1]))


def test_an_exception_is_logged_by_type_and_place_without_what_it_says(
    output: io.StringIO,
) -> None:
    def parse() -> None:
        message = CANARY  # as a local variable and in the message
        raise ValueError(message)

    try:
        try:
            parse()
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError:
        logging.getLogger("probe").exception("a job failed")
    line = _last(output)
    assert CANARY not in output.getvalue()
    assert [cause["type"] for cause in line["exception"]] == [
        "builtins.RuntimeError",
        "builtins.ValueError",
    ]
    assert line["exception"][1]["at"][-1].endswith(" parse")
    assert (line["message"], line["severity"]) == ("a job failed", "ERROR")


def test_a_refused_request_is_logged_without_its_path(output: io.StringIO) -> None:
    request = HttpRequest()
    request.path = f"/invitation/{CANARY}"
    logging.getLogger("django.request").warning(
        "Not Found: %s", request.path, extra={"request": request, "status_code": 404}
    )
    assert CANARY not in output.getvalue()
    assert "Not Found: (no route)" in _last(output)["message"]


def test_a_line_has_the_names_of_cloud_logging_and_no_others_than_we_allow(
    output: io.StringIO,
) -> None:
    structlog.get_logger("probe").warning("it_waits", entries=3)
    line = _last(output)
    assert line.pop("time").endswith("Z")
    place = line.pop("logging.googleapis.com/sourceLocation")
    assert (place["file"], place["line"].isdigit()) == (__file__, True)
    assert line == {
        "severity": "WARNING", "message": "it_waits", "logger": "probe", "entries": 3,
    }  # fmt: skip
    logging.getLogger("probe").warning("lost", extra={"error": "OSError", "body": CANARY})
    assert _last(output)["error"] == "OSError"
    assert CANARY not in output.getvalue()


def test_a_line_break_in_a_value_makes_no_second_line(output: io.StringIO) -> None:
    with acting_from(Origin(request_id="r1")):
        structlog.get_logger("probe").warning("x", word='\r\n{"severity":"CRITICAL"}\n')
    assert len(output.getvalue().splitlines()) == 1
    assert _last(output)["request_id"] == "r1"
