"""What the API of the log takes and gives. Unknown fields are refused. Hashes are hex."""

from typing import Any

from rest_framework import serializers

from app.accounts.rest import StrictSerializer
from app.audit.access import Receipt
from app.audit.actions import Action
from app.audit.catalogue import meaning
from app.audit.checkpoint import Checkpoint
from app.audit.leaves import timestamp
from app.audit.lookup import PlacedEntry
from app.audit.merkle import leaf_hash
from app.compliance.log.access import LogState, Proof

MOST_ENTRIES = 1000
_BIGGEST = 2**63 - 1


class _Size(serializers.IntegerField):
    def __init__(self, **given: Any) -> None:
        super().__init__(min_value=0, max_value=_BIGGEST, **given)


class _Hash(serializers.RegexField):
    def __init__(self, **given: Any) -> None:
        errors: dict[str, Any] = {"invalid": "64 hexadecimal digits, lowercase."}
        super().__init__(r"^[0-9a-f]{64}\Z", error_messages=errors, **given)


class EntriesRequest(StrictSerializer):
    """Which part of the log."""

    start = _Size(default=0, help_text="The first index.")
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ENTRIES, default=100)
    bodies = serializers.BooleanField(
        default=False, help_text="Also what the entries say; for officers, and recorded."
    )


class ProofRequest(StrictSerializer):
    """Inclusion: `index` or `leaf_hash`, with `size`. Consistency: `first`, with `second`."""

    index = _Size(required=False)
    leaf_hash = _Hash(required=False)
    size = _Size(required=False, help_text="Of the tree; by default the last that is signed.")
    first = _Size(required=False, help_text="Size of the smaller tree.")
    second = _Size(required=False, help_text="By default the last that is signed.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        asked = sorted({*given} - {"size", "second"})
        other = "size" if "first" in given else "second"
        if len(asked) != 1 or other in given:
            raise serializers.ValidationError(
                "Give one of index and leaf_hash (and size), or first (and second)."
            )
        return given


class LogStateAnswer(serializers.Serializer[Any]):
    checkpoint = serializers.CharField(help_text="The signed note, C2SP tlog-checkpoint.")
    witnessed = serializers.CharField(
        allow_null=True,
        help_text="The last one that a witness has signed too, C2SP tlog-cosignature.",
    )
    origin = serializers.CharField()
    size = serializers.IntegerField()
    root = serializers.CharField()  # type: ignore[assignment]  # declared, not the attribute
    signed_at = serializers.CharField()
    verifier_key = serializers.CharField(
        allow_null=True,
        help_text="Compare it with the one that you were given by another way.",
    )
    tiles = serializers.CharField(help_text="The prefix of the log's tiles, C2SP tlog-tiles.")
    heartbeat_at = serializers.CharField(
        allow_null=True, help_text="Every hour: a log without a recent one stands still."
    )
    waiting = serializers.IntegerField(help_text="Entries that are not sealed yet.")
    waiting_since = serializers.CharField(allow_null=True)


class LogEntryAnswer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    leaf = serializers.CharField()
    leaf_hash = serializers.CharField()
    body = serializers.CharField(
        required=False, help_text="The exact text that was hashed into the leaf."
    )
    action = serializers.CharField(required=False)
    meaning = serializers.CharField(required=False)
    grave = serializers.BooleanField(required=False)


class LogEntriesAnswer(serializers.Serializer[Any]):
    size = serializers.IntegerField(help_text="Of the signed tree.")
    next = serializers.IntegerField(
        allow_null=True, help_text="The next `start`; null at the end of the signed tree."
    )
    entries = LogEntryAnswer(many=True)


class ProofAnswer(serializers.Serializer[Any]):
    proves = serializers.ChoiceField(choices=["inclusion", "consistency"])
    size = serializers.IntegerField()
    root = serializers.CharField()  # type: ignore[assignment]  # declared, not the attribute
    hashes = serializers.ListField(
        child=serializers.CharField(), help_text="RFC 6962, sections 2.1.1 and 2.1.2."
    )
    checkpoint = serializers.CharField(
        allow_null=True, help_text="The signed note of the tree of `size`, if there was one."
    )
    index = serializers.IntegerField(allow_null=True)
    leaf_hash = serializers.CharField(allow_null=True)
    first = serializers.IntegerField(allow_null=True)
    first_root = serializers.CharField(allow_null=True)


class LogReceiptAnswer(serializers.Serializer[Any]):
    """`pending`: recorded, not yet under a signed checkpoint."""

    state = serializers.ChoiceField(choices=["sealed", "pending"])
    leaf = serializers.CharField()
    leaf_hash = serializers.CharField()
    index = serializers.IntegerField(allow_null=True)
    checkpoint = serializers.CharField(allow_null=True)
    tree_size = serializers.IntegerField(allow_null=True)
    proof = serializers.ListField(child=serializers.CharField())


def state_document(state: LogState, prefix: str) -> dict[str, Any]:
    return {
        "checkpoint": state.checkpoint,
        "witnessed": state.witnessed,
        "origin": Checkpoint.parse(state.tree.note.partition("\n\n")[0] + "\n").origin,
        "size": state.tree.size,
        "root": state.tree.root.hex(),
        "signed_at": timestamp(state.tree.at),
        "verifier_key": state.key,
        "tiles": prefix,
        "heartbeat_at": timestamp(state.heartbeat_at) if state.heartbeat_at else None,
        "waiting": state.waiting,
        "waiting_since": timestamp(state.waiting_since) if state.waiting_since else None,
    }


def entries_document(size: int, end: int, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"size": size, "next": end if end < size else None, "entries": entries}


def leaf_document(index: int, leaf: bytes) -> dict[str, Any]:
    return {"index": index, "leaf": leaf.decode(), "leaf_hash": leaf_hash(leaf).hex()}


def body_document(entry: PlacedEntry) -> dict[str, Any]:
    action = Action(entry.action)
    return leaf_document(entry.index, entry.leaf) | {
        "body": entry.body.decode(),
        "action": action.value,
        "meaning": meaning(action),
        "grave": action.is_grave,
    }


def proof_document(proof: Proof) -> dict[str, Any]:
    return {
        "proves": "consistency" if proof.index is None else "inclusion",
        "size": proof.size,
        "root": proof.root.hex(),
        "hashes": [hash_.hex() for hash_ in proof.hashes],
        "checkpoint": proof.checkpoint,
        "index": proof.index,
        "leaf_hash": proof.leaf_hash.hex() if proof.leaf_hash else None,
        "first": proof.first,
        "first_root": proof.first_root.hex() if proof.first_root else None,
    }


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    return {
        "state": "pending" if receipt.checkpoint is None else "sealed",
        "leaf": receipt.leaf.decode(),
        "leaf_hash": receipt.leaf_hash.hex(),
        "index": receipt.index,
        "checkpoint": receipt.checkpoint,
        "tree_size": receipt.tree_size,
        "proof": [node.hex() for node in receipt.proof],
    }
