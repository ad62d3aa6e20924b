"""That the log of a package goes on from that of the officer's export before it."""

import base64
from typing import Any

from app.audit import disclosure
from app.compliance.models import ExportRequest


def previous_of(asked: ExportRequest, size: int) -> dict[str, Any] | None:
    """The last export that its requester had made, and a consistency proof to the tree of `size`.

    None where there is none before.
    """
    earlier = ExportRequest.objects.filter(
        organization=asked.organization_id,
        requester=asked.requester_id,
        finished_at__lt=asked.requested_at,
    ).exclude(checkpoint="")
    found = earlier.order_by("-finished_at", "pk").first()
    if found is None:
        return None
    old, root = found.checkpoint.split("\n")[1:3]
    proof = disclosure.consistency_proof(asked.organization_id, int(old), size)
    return {
        "export": str(found.pk),
        "size": int(old),
        "root": root,
        "consistency": [base64.b64encode(node).decode() for node in proof],
    }
