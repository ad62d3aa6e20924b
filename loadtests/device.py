"""A device of a participant, whose key signs what it says of itself."""

from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from app.realtime.client import Device


def new_device() -> Device:
    """A device with a key of its own, as WebCrypto would make it."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )

    def sign(statement: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(statement, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return Device(str(uuid4()), point, sign)
