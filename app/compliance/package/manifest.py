"""The manifest, its proof, and the README of a package."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.audit import disclosure
from app.audit.disclosure import SignedTree
from app.audit.leaves import timestamp
from app.compliance.models import ExportRequest
from app.compliance.package.files import Folder, compact
from app.compliance.scope import Scope
from app.compliance.verify import FORMAT

README = """\
Parley export {export}

  organization  {organization}
  asked for by  {requester}
  approved by   {approver}
  covers        {covers}
  log           {size} leaves under the file `checkpoint`
  made          {made}

Check it before you rely on it. You need Python 3.9 or newer and the package `cryptography`
(python -m pip install cryptography), and the log's verifier key, which the organization or its
auditor gives you by another way than this package:

  python verify.py . --key '<the verifier key>'

verify.py is in the package for convenience. A forger could have replaced it as well: take it
from the project's own release if you can (app/compliance/verify.py), or from /verify.py of any
Parley that you trust. With an older package of the same log: --previous OLDER.zip

manifest.json        what was asked for, by whom, and the SHA-256 of every file
manifest.tlog-proof  proof that the log holds the manifest's hash (c2sp.org/tlog-proof)
checkpoint           the log's signed size and root (c2sp.org/tlog-checkpoint)
checkpoint.witnessed an earlier one that witnesses have signed too, if there is any
                     (c2sp.org/tlog-cosignature): --witness KEY-OF-THE-WITNESS
leaves.txt           every leaf of the log, from the first: time, scope, actor, hash of the entry
bodies.jsonl         the entries that were asked for, byte for byte as they were logged
messages.jsonl       every version of every message, in the order of the log: the evidence
messages.*           the same for people, in the formats that were asked for; a cell of a table
                     that could be a formula begins with '
membership.jsonl     who joined and left, who was added and removed
members_at_start.jsonl  who was a member when the period began, by the entry of their joining
reactions.jsonl      reactions, given and taken back
reads.jsonl          privileged looks: at the trail, at messages, downloads of exports
calls.jsonl          voice calls
attachments.jsonl    files that were uploaded; their bytes are in the folder attachments
holds.jsonl          legal holds, placed and released
erasures.jsonl       what was erased on purpose, and by whose decision
items.jsonl          for each conversation: how much is here, and what could not be put in
people.jsonl         names, addresses and roles when this was made; the log vouches for ids only
conversations.jsonl  names and topics when this was made, with the salts of their commitments
"""


def manifest(
    asked: ExportRequest,
    tree: SignedTree,
    key: str,
    folder: Folder,
    *,
    counts: dict[str, int],
    previous: dict[str, Any] | None,
) -> bytes:
    """The bytes of manifest.json. It cannot hold its own hash: `proof` says that it was logged."""
    scope = Scope.of(asked)
    organization: UUID = asked.organization_id
    document: dict[str, Any] = {
        "format": FORMAT,
        "export": str(asked.pk),
        "created_at": timestamp(datetime.now(UTC)),
        "organization": {"id": str(organization), "name": asked.organization.name},
        "requested_by": _person(asked.requester),
        "approved_by": _person(asked.decider),
        "reason": asked.reason,
        "state": "partial"
        if counts.get("texts_missing", 0) + counts.get("files_missing", 0)
        else "complete",
        "scope": scope.document(),
        "formats": asked.formats,
        "recipient": asked.recipient or None,
        "previous": previous,
        "log": {"key": key, "size": tree.size, "root": base64.b64encode(tree.root).decode()},
        # Only of what was asked for: a key links every leaf of its scope or person.
        "pseudonyms": {
            "scopes": {
                str(item): disclosure.scope_key(organization, item).hex()
                for item in scope.conversations
            },
            "actors": {
                str(item): disclosure.actor_key(organization, item).hex() for item in scope.people
            },
        },
        "counts": dict(sorted(counts.items())),
        "files": {name: file.described() for name, file in sorted(folder.files.items())},
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _person(user: Any) -> dict[str, str]:
    return {"id": str(user.pk), "name": user.display_name, "email": user.email}


def readme(asked: ExportRequest, tree: SignedTree) -> bytes:
    scope = asked.scope
    where, who = scope["conversations"], scope["people"]
    covers = "{}, {}, from {} to {}".format(
        f"{len(where)} conversations" if where else "the whole organization",
        f"{len(who)} people" if who else "everybody",
        scope["since"] or "the beginning",
        scope["until"] or "the checkpoint",
    )
    text = README.format(
        export=asked.pk,
        organization=asked.organization.name,
        requester=asked.requester.display_name,
        approver=asked.decider.display_name if asked.decider else "",
        covers=covers,
        size=tree.size,
        made=timestamp(datetime.now(UTC)),
    )
    return text.encode()


def proof(organization: UUID, entry_id: int, index: int, old: SignedTree, new: SignedTree) -> bytes:
    """manifest.tlog-proof: the logged manifest's entry under `new`, which continues `old`."""
    body = disclosure.bodies([entry_id])[entry_id]
    consistency = disclosure.consistency_proof(organization, old.size, new.size)
    extra = {
        "leaf": disclosure.leaf(organization, entry_id).decode(),
        "body": body.decode(),
        "consistency": [base64.b64encode(node).decode() for node in consistency],
    }
    inclusion = disclosure.inclusion_proof(organization, index, new.size)
    lines = [
        "c2sp.org/tlog-proof@v1",
        "extra " + base64.b64encode(compact(extra)).decode(),
        f"index {index}",
        *(base64.b64encode(node).decode() for node in inclusion),
    ]
    return ("\n".join(lines) + "\n\n" + new.note).encode()
