"""Google Cloud Storage's JSON API on loopback, as far as its own Python client is used here.

Kept from the API's reference: media, multipart and resumable uploads with their checksums,
generations and preconditions (412), downloads with Range, deletion, listing, and a bucket's
retention policy, which while it lasts refuses to delete or to replace (403) and, once locked,
to be shortened. Objects lie in files, so large ones cost no memory. Not there: who may do what
(a fault can say 403), versions that are no longer current, signed URLs.

    with GcsServer.running() as gcs:
        gcs.make_bucket("files")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)   # google-cloud-storage's own name
        gcs.faults.plan(Fault(status=503, path="/upload/"))

Say with a fault's path or method which request it means: the client also asks for the bucket in
the background, once for each client.
"""

import email
import email.policy
import io
import json
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.faults import Fault, Faults
from tests.fakes.gcs_buckets import Buckets, Refused, Stored, check_preconditions

_PIECE = 64 * 1024
_CHUNK = 256 * 1024  # a resumable upload's pieces, but the last, are multiples of this
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class Session:
    """A resumable upload under way."""

    bucket: str
    query: dict[str, str]
    resource: dict[str, Any]
    file: Path
    size: int = 0


class GcsServer(Buckets):
    """The service; its state is `buckets`, its mishaps are `faults`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sessions: dict[str, Session] = {}
        self.faults = Faults()
        self._http = _Listener(self)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["GcsServer"]:
        with tempfile.TemporaryDirectory(prefix="fake-gcs-") as folder:
            server = cls(Path(folder))
            thread = threading.Thread(target=server._http.serve_forever, args=[0.05], daemon=True)
            thread.start()
            try:
                yield server
            finally:
                server._http.shutdown()
                server._http.server_close()
                thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, gcs: GcsServer) -> None:
        self.gcs = gcs
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what tests are about; it needs no traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - the names of http.server

    def _serve(self) -> None:
        self.gcs = self.server.gcs
        parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.left = int(self.headers.get("Content-Length", 0))
        self.fault = self.gcs.faults.strike(self.command, parts.path) or Fault()
        if self.fault.cut == "before":
            self._hang_up()
            return
        try:
            if self.fault.status:
                raise Refused(self.fault.status, "backendError", "as the test planned")
            self._route(parts.path)
        except Refused as refused:
            self._read_to(None)
            self._json(refused.status, _error(refused))

    def _route(self, path: str) -> None:
        for method, pattern, handle in _ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                getattr(self, handle)(*map(unquote, match.groups()))
                return
        raise Refused(404, "notFound", "Not Found")

    # buckets

    def bucket_get(self, bucket: str) -> None:
        self._json(200, self.gcs.bucket_resource(self.gcs.bucket(bucket)))

    def bucket_lock(self, bucket: str) -> None:
        found = self.gcs.bucket(bucket)
        if not found.retention:
            raise Refused(400, "invalid", "The bucket has no retention policy.")
        found.locked = True
        self._json(200, self.gcs.bucket_resource(found))

    def bucket_patch(self, bucket: str) -> None:
        found, patch = self.gcs.bucket(bucket), json.loads(self._body())
        policy = patch.get("retentionPolicy")
        period = timedelta(seconds=int(policy["retentionPeriod"])) if policy else None
        if found.locked and found.retention and (not period or period < found.retention):
            raise Refused(403, "forbidden", "Cannot reduce a locked retention policy.")
        found.retention = period
        self._json(200, self.gcs.bucket_resource(found))

    # objects

    def object_list(self, bucket: str) -> None:
        prefix = self.query.get("prefix", "")
        after = self.query.get("pageToken", "")
        most = int(self.query.get("maxResults", 1000))
        with self.gcs.lock:
            objects = self.gcs.bucket(bucket).objects
            names = sorted(n for n in objects if n.startswith(prefix) and n > after)
            items = [self.gcs.object_resource(bucket, objects[n]) for n in names[:most]]
        page: dict[str, Any] = {"kind": "storage#objects", "items": items}
        self._json(200, page | ({"nextPageToken": names[most - 1]} if names[most:] else {}))

    def object_get(self, bucket: str, name: str) -> None:
        if self.query.get("alt") == "media":
            self.object_download(bucket, name)
            return
        stored = self.gcs.stored(bucket, name)
        check_preconditions(self.query, stored)
        self._json(200, self.gcs.object_resource(bucket, stored))

    def object_delete(self, bucket: str, name: str) -> None:
        self.gcs.delete(bucket, name, self.query)
        self._answer(204, {}, None, 0)

    def object_download(self, bucket: str, name: str) -> None:
        with self.gcs.lock:
            stored = self.gcs.stored(bucket, name)
            check_preconditions(self.query, stored)
            content = stored.file.open("rb")  # before anybody replaces it
        with content:
            start, end, status = 0, stored.size, 200
            if match := _RANGE.fullmatch(self.headers.get("Range", "")):
                start, status = int(match[1]), 206
                end = min(int(match[2]) + 1, end) if match[2] else end
                if start >= stored.size:
                    raise Refused(416, "requestedRangeNotSatisfiable", "Range not satisfiable")
            content.seek(start)
            headers = {
                "Content-Type": stored.content_type,
                "X-Goog-Hash": f"crc32c={stored.crc32c},md5={stored.md5}",
                "X-Goog-Generation": str(stored.generation),
                "X-Goog-Stored-Content-Length": str(stored.size),
                "ETag": f"g{stored.generation}",
            }
            if status == 206:
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
            self._answer(status, headers, content, end - start)

    # uploads

    def upload(self, bucket: str) -> None:
        self.gcs.bucket(bucket)
        match self.query.get("uploadType"):
            case "media":
                file = self.gcs.new_file()
                self._read_to(file)
                resource = {"contentType": self.headers.get("Content-Type")}
                self._stored(bucket, self.gcs.store(bucket, self.query, resource, file))
            case "multipart":
                self._upload_multipart(bucket)
            case "resumable":
                self._begin_resumable(bucket)
            case _:
                raise Refused(400, "invalid", "no such uploadType")

    def _upload_multipart(self, bucket: str) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parsed = email.message_from_bytes(head + self._body(), policy=email.policy.HTTP)
        parts = list(parsed.iter_parts())
        if len(parts) != 2:
            raise Refused(400, "invalid", "a multipart upload has two parts")
        told, content = (cast(bytes, part.get_payload(decode=True)) for part in parts)
        resource, file = json.loads(told), self.gcs.new_file()
        resource.setdefault("contentType", parts[1].get_content_type())
        file.write_bytes(content)
        self._stored(bucket, self.gcs.store(bucket, self.query, resource, file))

    def _begin_resumable(self, bucket: str) -> None:
        resource = json.loads(self._body() or b"{}")
        resource.setdefault("contentType", self.headers.get("X-Upload-Content-Type"))
        id_, file = secrets.token_urlsafe(16), self.gcs.new_file()
        file.touch()
        self.gcs.sessions[id_] = Session(bucket, self.query, resource, file)
        location = (
            f"{self.gcs.url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id_}"
        )
        self._answer(200, {"Location": location, "X-GUploader-UploadID": id_}, None, 0)

    def _session(self) -> Session:
        session = self.gcs.sessions.get(self.query.get("upload_id", ""))
        if session is None:
            raise Refused(410, "gone", "The upload session is over.")
        return session

    def upload_continue(self, bucket: str) -> None:
        session = self._session()
        match = _CONTENT_RANGE.fullmatch(self.headers.get("Content-Range", ""))
        if match is None:
            raise Refused(400, "invalid", "Content-Range is missing or malformed")
        first, _, total = match.groups()
        if first is not None:
            if int(first) > session.size:
                raise Refused(400, "invalid", f"expected to go on at byte {session.size}")
            self._skip(session.size - int(first))  # what is there already is passed over
        self._append(session)
        if total == "*" or session.size < int(total):
            if session.size % _CHUNK:
                raise Refused(400, "invalid", "a piece is not a multiple of 256 KiB")
            held = {"Range": f"bytes=0-{session.size - 1}"} if session.size else {}
            self._answer(308, held, None, 0)
            return
        del self.gcs.sessions[self.query["upload_id"]]
        stored = self.gcs.store(session.bucket, session.query, session.resource, session.file)
        self._stored(bucket, stored)

    def _append(self, session: Session) -> None:
        """Take what arrives; of a piece that is cut off, the whole 256 KiB."""
        with session.file.open("ab") as file:
            try:
                while self.left and (piece := self.rfile.read(min(_PIECE, self.left))):
                    self.left -= len(piece)
                    file.write(piece)
            finally:
                if self.left:
                    file.truncate(file.tell() // _CHUNK * _CHUNK)
                session.size = file.seek(0, io.SEEK_END)
        if self.left:
            raise ConnectionResetError

    def upload_cancel(self, bucket: str) -> None:
        self._session().file.unlink()
        del self.gcs.sessions[self.query["upload_id"]]
        self._answer(499, {}, None, 0)

    # the wire

    def _stored(self, bucket: str, stored: Stored) -> None:
        self._json(200, self.gcs.object_resource(bucket, stored))

    def _body(self) -> bytes:
        body = self.rfile.read(self.left)
        self.left = 0
        return body

    def _skip(self, count: int) -> None:
        self.left -= len(self.rfile.read(min(count, self.left)))

    def _read_to(self, file: Path | None) -> None:
        """Take the rest of the request's body, into `file` or nowhere."""
        target = file.open("wb") if file else None
        while self.left and (piece := self.rfile.read(min(_PIECE, self.left))):
            self.left -= len(piece)
            if target:
                target.write(piece)
        if target:
            target.close()

    def _json(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self._answer(status, {"Content-Type": "application/json"}, io.BytesIO(body), len(body))

    def _answer(
        self, status: int, headers: dict[str, str], body: BinaryIO | None, length: int
    ) -> None:
        if self.fault.cut == "after":
            self._hang_up()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        left = length // 2 if self.fault.cut == "midway" else length
        while body and left and (piece := body.read(min(_PIECE, left))):
            left -= len(piece)
            self.wfile.write(piece)
        if self.fault.cut == "midway":
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


_B, _O = "/b/([^/]+)", "/b/([^/]+)/o/([^/]+)"
_ROUTES = (
    ("GET", f"/storage/v1{_B}", "bucket_get"),
    ("PATCH", f"/storage/v1{_B}", "bucket_patch"),
    ("POST", f"/storage/v1{_B}/lockRetentionPolicy", "bucket_lock"),
    ("GET", f"/storage/v1{_B}/o", "object_list"),
    ("GET", f"/storage/v1{_O}", "object_get"),
    ("DELETE", f"/storage/v1{_O}", "object_delete"),
    ("GET", f"/download/storage/v1{_O}", "object_download"),
    ("POST", f"/upload/storage/v1{_B}/o", "upload"),
    ("PUT", f"/upload/storage/v1{_B}/o", "upload_continue"),
    ("DELETE", f"/upload/storage/v1{_B}/o", "upload_cancel"),
)


def _error(refused: Refused) -> dict[str, Any]:
    told = {"message": str(refused), "domain": "global", "reason": refused.reason}
    return {"error": {"code": refused.status, "message": str(refused), "errors": [told]}}
