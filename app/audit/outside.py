"""What is kept outside of a log, read back so that the verifier can compare the log with it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from app.audit import disclosure
from app.audit.actions import Action
from app.audit.anchoring import submission_of
from app.audit.anchors.anchor import Anchor, AnchorDisagrees, AnchorFailed
from app.audit.anchors.configured import configured, witness_keys
from app.audit.checkpoint import BadNote, Checkpoint, PublicKey, open_note
from app.audit.findings import Fault, Known, Problem
from app.audit.models import Anchor as Standing
from app.audit.models import Cosignature, Entry, Key


@dataclass(slots=True)
class Outside:
    """`unread` says which anchors could not be asked, and why: they prove nothing this time."""

    known: list[Known] = field(default_factory=list)
    problems: list[Problem[Fault]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def kept_outside(organization: UUID, trusted: Sequence[PublicKey] = ()) -> Outside:
    """Ask every anchor for what it keeps of the log.

    `trusted` are the keys that the log signs with; without them the database's are believed.
    """
    found, keys = Outside(), trusted or _published(organization)
    _read_cosignatures(organization, keys, found)
    tree = disclosure.latest_tree(organization)
    if tree is None:
        return found
    submission = submission_of(organization, tree)
    standing = dict(
        Standing.objects.filter(organization_id=organization).values_list("name", "size")
    )
    for anchor in configured():
        try:
            notes = anchor.kept(submission, standing.get(anchor.name, 0))
        except AnchorDisagrees as error:
            place = f"known checkpoint {error.size}"
            found.problems.append(Problem(Fault.KNOWN_CHECKPOINT, place, f"{anchor.name}: {error}"))
        except AnchorFailed as error:
            found.unread.append(f"{anchor.name}: {error}")
        else:
            if notes is not None:
                _read_notes(organization, anchor, list(notes), keys, found)
    return found


def _read_notes(
    organization: UUID,
    anchor: Anchor,
    notes: Sequence[str],
    keys: Sequence[PublicKey],
    found: Outside,
) -> None:
    sizes = {_read(note, anchor.name, [keys], found) for note in notes}
    for size in sorted(_recorded(organization, anchor.name) - sizes):
        message = f"{anchor.name} kept it, says the log, and has it no more"
        problem = Problem(Fault.ANCHOR_MISSING, f"known checkpoint {size}", message)
        found.problems.append(problem)


def _read_cosignatures(organization: UUID, keys: Sequence[PublicKey], found: Outside) -> None:
    witnesses = witness_keys()
    kept = Cosignature.objects.filter(organization_id=organization).order_by("size", "id")
    for witness, note in kept.values_list("witness", "note"):
        theirs = [[witnesses[witness]]] if witness in witnesses else []
        _read(note, witness, [keys, *theirs], found)


def _read(note: str, by: str, signers: Sequence[Sequence[PublicKey]], found: Outside) -> int | None:
    """Add the note's checkpoint, and what is wrong with the note; returns its size.

    One of each of `signers` must have signed it.
    """
    try:
        checkpoint = Checkpoint.parse(note.partition("\n\n")[0] + "\n")
    except BadNote as error:
        found.problems.append(Problem(Fault.ANCHOR_NOTE, by, str(error)))
        return None
    found.known.append(Known(checkpoint.size, checkpoint.root, by))
    for keys in signers:
        try:
            open_note(note, keys)
        except BadNote as error:
            place = f"known checkpoint {checkpoint.size}"
            found.problems.append(Problem(Fault.ANCHOR_NOTE, place, f"{by}: {error}"))
    return checkpoint.size


def _published(organization: UUID) -> list[PublicKey]:
    found = Key.objects.filter(organization_id=organization).values_list("vkey", flat=True)
    keys = []
    for vkey in found:
        with suppress(BadNote):  # the verifier names it
            keys.append(PublicKey.parse(vkey))
    return keys


def _recorded(organization: UUID, anchor: str) -> set[int]:
    """The sizes that the log says this anchor keeps."""
    entries = Entry.objects.filter(
        organization_id=organization,
        action_name=Action.LOG_ANCHORED,
        target_type="anchor",
        target_id=anchor,
    )
    return {entry.document["parameters"]["size"] for entry in entries.iterator()}
