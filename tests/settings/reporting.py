"""A process that breaks with Sentry's SDK in it and prints what would leave, as JSON.

A process of its own, because the SDK changes Django for good. First with our scrubbing, then
(`raw`) without.
"""

import json
import logging
from contextlib import closing
from typing import Any

import sentry_sdk
import structlog
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from app.settings import reports
from tests.attacks.canary import CANARY

sent: list[bytes] = []
ids: list[str] = []


class Wire(Transport):
    """Keeps what would be sent, as the bytes that would be."""

    def capture_envelope(self, envelope: Envelope) -> None:
        sent.append(envelope.serialize())


@csrf_exempt
def breaks(request: HttpRequest, word: str) -> HttpResponse:
    local = {"word": word, "body": request.body}
    logging.getLogger("app.of.a.test").error("it_broke", extra={"word": word})
    logging.getLogger("elsewhere").error(f"said {local}")
    structlog.get_logger("app.of.a.test").error("it_waits", said=local)
    sentry_sdk.add_breadcrumb(message=CANARY, data={"x": CANARY})
    sentry_sdk.set_user({"email": CANARY})
    sentry_sdk.set_tag("word", CANARY)
    sentry_sdk.set_extra("word", CANARY)
    sentry_sdk.set_context("words", {"word": CANARY})
    try:
        raise LookupError(CANARY)
    except LookupError as error:
        error.add_note(CANARY)
        raise ValueError(f"{local}") from error


urlpatterns = [path("broken/<str:word>", breaks)]
handler500 = "app.web.views.errors.broken"


def started(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
    ids.append(dict(headers)["X-Request-ID"])


def broken() -> tuple[str, list[str]]:
    """What leaves when two requests break: the first one's id, and the bytes."""
    sent.clear()
    ids.clear()
    # As gunicorn does: what the SDK collects of a request it takes from WSGI.
    served = get_wsgi_application()
    headers = {"X-Word": CANARY, "Cookie": f"word={CANARY}", "User-Agent": CANARY}
    with override_settings(ROOT_URLCONF=__name__):
        for address in (f"/broken/{CANARY}?q={CANARY}", f"/nowhere/{CANARY}"):
            request = RequestFactory().post(
                address, CANARY, content_type="text/plain", headers=headers
            )
            with closing(served(request.environ, started)) as answer:
                b"".join(answer)
    sentry_sdk.flush()
    return ids[0], [one.decode() for one in sent]


if __name__ == "__main__":
    address = "https://key@sentry.example.org/1"
    reports.configure(address, "r1", transport=Wire)
    ours = broken()
    sentry_sdk.init(dsn=address, transport=Wire)
    print(json.dumps({"ours": ours, "raw": broken()}))
