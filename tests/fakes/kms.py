"""Google Cloud KMS on loopback: its gRPC service as far as symmetric encryption goes.

Kept from the API's reference: Encrypt by the primary version of a key, Decrypt by whichever
version encrypted and is enabled, additional authenticated data, checksums asked for and given,
statuses. Not there: IAM itself (`deny` says who is refused), creating and rotating keys by API
(`Key` does), asymmetric keys, TLS.

    with KmsServer.running() as kms:
        key = kms.make_key("projects/p/locations/europe/keyRings/r/cryptoKeys/k")
        settings.KMS_INSECURE_LOOPBACK_ENDPOINT = kms.address
        kms.faults.append(Fault(status=grpc.StatusCode.UNAVAILABLE))
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import google_crc32c
import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.cloud.kms_v1.types import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
)

_Status = grpc.StatusCode
_SERVICE = "google.cloud.kms.v1.KeyManagementService"


@dataclass
class Key:
    """A key with its versions, counted from 1; the last one made is primary."""

    name: str
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    unusable: set[int] = field(default_factory=set)
    """Versions that are disabled or destroyed."""
    denied: bool = False

    def rotate(self) -> None:
        self.versions.append(os.urandom(32))

    @property
    def primary(self) -> int:
        return len(self.versions)


@dataclass(frozen=True)
class Fault:
    """What the next call meets: a status, or an answer that is late, damaged, of another key."""

    status: Any = None
    held_until: threading.Event | None = None
    wrong_checksum: bool = False
    unverified: bool = False
    wrong_version: bool = False


class KmsServer:
    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self._threads = ThreadPoolExecutor(8)
        self._server = grpc.server(self._threads)
        handlers = {
            "Encrypt": _unary(self._encrypt, EncryptRequest, EncryptResponse),
            "Decrypt": _unary(self._decrypt, DecryptRequest, DecryptResponse),
        }
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(_SERVICE, handlers)]
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["KmsServer"]:
        server = cls()
        server._server.start()
        try:
            yield server
        finally:
            server._server.stop(None).wait()
            server._threads.shutdown()

    def make_key(self, name: str) -> Key:
        return self.keys.setdefault(name, Key(name))

    def _encrypt(self, request: EncryptRequest, context: Any) -> EncryptResponse:
        fault, key = self._begin("encrypt", request.name, context)
        aad = request.additional_authenticated_data
        _require_checksum(request.plaintext, request.plaintext_crc32c, context)
        _require_checksum(aad, request.additional_authenticated_data_crc32c, context)
        if key.primary in key.unusable:
            _refuse(context, _Status.FAILED_PRECONDITION, "the primary version is not enabled")
        nonce = os.urandom(12)
        cipher = AESGCM(key.versions[key.primary - 1])
        sealed = cipher.encrypt(nonce, request.plaintext, aad)
        ciphertext = key.primary.to_bytes(4, "big") + nonce + sealed
        name = "projects/else/cryptoKeys/other" if fault.wrong_version else key.name
        return EncryptResponse(
            name=f"{name}/cryptoKeyVersions/{key.primary}",
            ciphertext=ciphertext,
            ciphertext_crc32c=_crc32c(ciphertext) ^ fault.wrong_checksum,
            verified_plaintext_crc32c=not fault.unverified,
            verified_additional_authenticated_data_crc32c=not fault.unverified,
        )

    def _decrypt(self, request: DecryptRequest, context: Any) -> DecryptResponse:
        fault, key = self._begin("decrypt", request.name, context)
        aad, sealed = request.additional_authenticated_data, request.ciphertext
        _require_checksum(sealed, request.ciphertext_crc32c, context)
        _require_checksum(aad, request.additional_authenticated_data_crc32c, context)
        version = int.from_bytes(sealed[:4], "big")
        if not 1 <= version <= key.primary:
            _refuse(context, _Status.INVALID_ARGUMENT, "Decryption failed: invalid ciphertext")
        if version in key.unusable:
            _refuse(context, _Status.FAILED_PRECONDITION, f"version {version} is not enabled")
        try:
            cipher = AESGCM(key.versions[version - 1])
            plaintext = cipher.decrypt(sealed[4:16], sealed[16:], aad)
        except InvalidTag:
            _refuse(context, _Status.INVALID_ARGUMENT, "Decryption failed: invalid ciphertext")
        return DecryptResponse(
            plaintext=plaintext,
            plaintext_crc32c=_crc32c(plaintext) ^ fault.wrong_checksum,
            used_primary=version == key.primary,
        )

    def _begin(self, verb: str, name: str, context: Any) -> tuple[Fault, Key]:
        self.calls.append(verb)
        fault = self.faults.pop(0) if self.faults else Fault()
        if fault.held_until is not None:
            fault.held_until.wait(30)
        if fault.status is not None:
            _refuse(context, fault.status, "planned by the test")
        key = self.keys.get(name)
        if key is None:
            _refuse(context, _Status.NOT_FOUND, f"CryptoKey {name} not found")
        if key.denied:
            told = f"Permission 'cloudkms.cryptoKeyVersions.use' denied on {name}"
            _refuse(context, _Status.PERMISSION_DENIED, told)
        return fault, key


def _unary(answer: Any, request: Any, response: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.deserialize, response_serializer=response.serialize
    )


def _refuse(context: Any, status: Any, told: str) -> NoReturn:
    context.abort(status, told)
    raise AssertionError("abort raises")


def _require_checksum(data: bytes, given: Any, context: Any) -> None:
    # The API checks only what is sent; that we send it is what is tested here.
    if given is None or int(given) != _crc32c(data):
        _refuse(context, _Status.INVALID_ARGUMENT, "the checksum is missing or wrong")


def _crc32c(data: bytes) -> int:
    value: int = google_crc32c.value(data)
    return value
