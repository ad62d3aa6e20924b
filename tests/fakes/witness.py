"""A C2SP witness on loopback: https://c2sp.org/tlog-witness, with a memory and a key of its own.

It checks signatures, sizes and consistency proofs with code of its own, so that what it signs
does not depend on what it is to check. Its state is only in memory.

    with WitnessServer.running("witness.example/w1") as witness:
        witness.trust(log_vkey)
        settings.ANCHOR_WITNESS = [(witness.url, witness.vkey)]
"""

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from tests.fakes.faults import Fault, Faults


class Answer(Exception):
    """Anything but a cosignature."""

    def __init__(self, status: int, body: str = "", content_type: str = "text/plain") -> None:
        super().__init__(status)
        self.status, self.body, self.content_type = status, body, content_type


@dataclass(frozen=True)
class Head:
    size: int
    root: bytes


class WitnessServer:
    """What it has signed is in `heads`, by origin."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes_raw()
        self._id = hashlib.sha256(name.encode() + b"\n\x04" + raw).digest()[:4]
        self.vkey = f"{name}+{self._id.hex()}+{base64.b64encode(bytes([4]) + raw).decode()}"
        self.heads: dict[str, Head] = {}
        self.faults = Faults()
        self.answers: list[int] = []
        self._logs: dict[str, tuple[bytes, Ed25519PublicKey]] = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/prefix"

    @classmethod
    @contextmanager
    def running(cls, name: str) -> Iterator["WitnessServer"]:
        witness = cls(name)
        thread = threading.Thread(target=witness._http.serve_forever, args=[0.05], daemon=True)
        thread.start()
        try:
            yield witness
        finally:
            witness._http.shutdown()
            witness._http.server_close()
            thread.join()

    def trust(self, vkey: str) -> None:
        """Take this log's checkpoints from now on."""
        origin, id_, key = vkey.split("+", 2)
        raw = base64.b64decode(key)
        assert raw[0] == 1
        self._logs[origin] = bytes.fromhex(id_), Ed25519PublicKey.from_public_bytes(raw[1:])

    def add_checkpoint(self, body: str) -> str:
        """The cosignature, once it is remembered. Raises Answer."""
        head, _, note = body.partition("\n\n")
        text, _, signatures = note.rpartition("\n\n")
        text += "\n"
        old_line, *proof_lines = head.split("\n")
        word, _, number = old_line.partition(" ")
        lines = text.split("\n")
        if word != "old" or not _is_size(number) or len(lines) < 4 or not _is_size(lines[1]):
            raise Answer(400)
        if lines[0] not in self._logs:
            raise Answer(404)
        self._check_signature(lines[0], text, signatures)
        try:
            proof = [base64.b64decode(line, validate=True) for line in proof_lines]
            new, old = Head(int(lines[1]), base64.b64decode(lines[2], validate=True)), int(number)
        except ValueError:
            raise Answer(400) from None
        if old > new.size or len(proof) > 63:
            raise Answer(400)
        with self._lock:  # to check and to remember is one step
            self._check_consistency(lines[0], old, new, proof)
            self.heads[lines[0]] = new
        return self._cosign(text)

    def _check_signature(self, origin: str, text: str, signatures: str) -> None:
        id_, key = self._logs[origin]
        for line in signatures.splitlines():
            dash, name, encoded = line.split(" ")
            signature = base64.b64decode(encoded)
            if (dash, name, signature[:4]) == ("\u2014", origin, id_):
                try:
                    key.verify(signature[4:], text.encode())
                except InvalidSignature:
                    break
                return
        raise Answer(403)

    def _check_consistency(self, origin: str, old: int, new: Head, proof: list[bytes]) -> None:
        held = self.heads.get(origin, Head(0, b""))
        told = Answer(409, f"{held.size}\n", "text/x.tlog.size")
        if old != held.size or (old == new.size and held.root not in {b"", new.root}):
            raise told
        if old in {0, new.size}:
            if proof:
                raise Answer(422)
        elif _roots(held, new.size, proof) != (held.root, new.root):
            raise Answer(422)

    def _cosign(self, text: str) -> str:
        now = int(time.time())
        signed = self._key.sign(f"cosignature/v1\ntime {now}\n{text}".encode())
        blob = base64.b64encode(self._id + now.to_bytes(8, "big") + signed).decode()
        return f"\u2014 {self.name} {blob}\n"


def _is_size(number: str) -> bool:
    return number.isascii() and number.isdecimal() and str(int(number)) == number


def _roots(old: Head, size: int, proof: list[bytes]) -> tuple[bytes, bytes] | None:
    """The roots of both trees that a consistency proof gives; None if it does not fit.

    SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2, read backwards from the end of the proof.
    """
    rest = list(proof)

    def subproof(m: int, n: int, is_all_of_old: bool) -> tuple[bytes, bytes]:
        if m == n:
            root = old.root if is_all_of_old else rest.pop(0)
            return root, root
        k = 1 << ((n - 1).bit_length() - 1)
        if m <= k:
            low, high = subproof(m, k, is_all_of_old)
            return low, _join(high, rest.pop(0))
        low, high = subproof(m - k, n - k, False)
        left = rest.pop(0)
        return _join(left, low), _join(left, high)

    try:
        found = subproof(old.size, size, True)
    except IndexError:
        return None
    return None if rest else found


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _handler(witness: WitnessServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fault = witness.faults.strike("POST", self.path) or Fault()
            try:
                if fault.cut == "before":
                    raise ConnectionResetError
                if fault.status:
                    raise Answer(fault.status)
                if self.path != "/prefix/add-checkpoint":
                    raise Answer(404)
                self._answer(200, witness.add_checkpoint(body), "text/plain", fault)
            except Answer as answer:
                self._answer(answer.status, answer.body, answer.content_type, fault)
            except ConnectionResetError:
                self.close_connection = True

        def _answer(self, status: int, body: str, content_type: str, fault: Fault) -> None:
            if fault.cut:
                raise ConnectionResetError
            witness.answers.append(status)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

    return Handler
