"""S3 on loopback: moto's server, Object Lock and all, with mishaps put before it.

    with S3Server.running() as s3:
        s3.client().create_bucket(Bucket="kept", ObjectLockEnabledForBucket=True)
        url = f"s3://kept/prefix?endpoint={s3.url}&region=us-east-1"
        s3.faults.plan(Fault(status=503, method="PUT"))

The code under test needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, whatever they are.
"""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.fakes.faults import Fault, Faults

_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


class S3Server:
    """moto keeps its buckets for the whole process: give each test's another name."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._http = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler
        )
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["S3Server"]:
        server = cls()
        thread = threading.Thread(target=server._http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server._http.shutdown()
            server._http.server_close()
            thread.join()

    def client(self) -> Any:
        """A client of the test's own."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        fault = self.faults.strike(method, path) or Fault()
        if fault.cut == "before":
            return _hang_up(environ)
        if fault.status:
            code = _CODES.get(fault.status, "Failed")
            body = f"<Error><Code>{code}</Code><Message>as planned</Message></Error>".encode()
            start_response(f"{fault.status} planned", [("Content-Length", str(len(body)))])
            return [body]
        answer: Iterable[bytes] = self._moto(environ, start_response)
        if fault.cut == "after":
            return _hang_up(environ)
        if fault.cut == "midway":
            whole = b"".join(answer)
            return _cut_off(environ, whole[: len(whole) // 2])
        return answer


def _cut_off(environ: dict[str, Any], part: bytes) -> Iterator[bytes]:
    yield part
    _hang_up(environ)


def _hang_up(environ: dict[str, Any]) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []
