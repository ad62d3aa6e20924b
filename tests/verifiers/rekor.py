"""Verifies a checkpoint and an inclusion proof with what sigstore's Python client has for Rekor.

usage: rekor.py FOLDER, with vkey, checkpoint, leaf and inclusion.json. Run by the Python of
sigstore's own environment; nothing of Parley's is imported. Ends with 1 at what does not hold.
"""

import base64
import json
import sys
from pathlib import Path

from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import verify_checkpoint
from sigstore._internal.trust import Keyring, RekorKeyring
from sigstore.errors import VerificationError
from sigstore.models import TransparencyLogEntry
from sigstore_models.common.v1 import PublicKey, PublicKeyDetails
from sigstore_models.rekor.v1 import TransparencyLogEntry as Inner

# The DER of an Ed25519 public key without its 32 bytes: RFC 8410, section 4.
_DER = bytes.fromhex("302a300506032b6570032100")


def main(folder: Path) -> int:
    _, id_, key = (folder / "vkey").read_text().strip().split("+", 2)
    public = PublicKey(
        raw_bytes=base64.b64encode(_DER + base64.b64decode(key)[1:]),
        key_details=PublicKeyDetails.PKIX_ED25519,
    )
    keyring = RekorKeyring(Keyring([public]))
    entry = read(folder, bytes.fromhex(id_))
    for what, verify in (
        ("checkpoint", lambda: verify_checkpoint(keyring, entry)),
        ("inclusion", lambda: verify_merkle_inclusion(entry)),
    ):
        try:
            verify()  # type: ignore[no-untyped-call]  # not installed where types are checked
        except VerificationError as error:
            print(f"{what}: {error}")
            return 1
        print(f"{what}: holds")
    return 0


def read(folder: Path, key_id: bytes) -> TransparencyLogEntry:
    """The answer of /api/audit/proof, in the shape that Rekor gives it."""
    proof = json.loads((folder / "inclusion.json").read_text())
    place = {"logIndex": str(proof["index"])}
    return TransparencyLogEntry(
        Inner.from_json(
            json.dumps(
                {
                    **place,
                    "logId": {"keyId": base64.b64encode(key_id).decode()},
                    "kindVersion": {"kind": "parley", "version": "1"},
                    "canonicalizedBody": base64.b64encode((folder / "leaf").read_bytes()).decode(),
                    "inclusionProof": {
                        **place,
                        "treeSize": str(proof["size"]),
                        "rootHash": _base64(proof["root"]),
                        "hashes": [_base64(each) for each in proof["hashes"]],
                        "checkpoint": {"envelope": (folder / "checkpoint").read_text()},
                    },
                }
            )
        )
    )


def _base64(hex_: str) -> str:
    return base64.b64encode(bytes.fromhex(hex_)).decode()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
