"""Who operates the application holds the database and every key: only what was kept elsewhere
shows that history was rewritten.

The anchors that keep it are attacked in `tests/audit/anchors/test_verifying.py`.
"""

import hashlib
from collections.abc import Callable

import pytest
from django.db import transaction

from app.audit import canonical
from app.audit.checkpoint import open_checkpoint
from app.audit.findings import Known
from app.audit.models import Entry
from app.chat.models import MessageVersion
from app.encryption.fields import opened
from tests.attacks.scene import Scene, play, read, sql, verdict, without
from tests.attacks.test_database_writer import TRAIL
from tests.live import LiveDatabase

SEALED = "audit_leaf, audit_node, audit_checkpoint, audit_tree, audit_horizon"


@pytest.fixture
def scene(live_db: LiveDatabase) -> Scene:
    """Of this test's own: what the operator does is committed."""
    return play(live_db)


def put_other_words_into_alice_s_mouth(scene: Scene) -> None:
    """The text sealed anew in its place, its entry made to commit to it, the log signed again."""
    with scene.database.acting_as("owner"), transaction.atomic():
        unguard()
        row = MessageVersion.objects.get(message_id=scene.paid)
        row.body = "Pay 900 to Mallory."
        row.save(update_fields=["body"])
        entry = Entry.objects.get(pk=row.entry_id)
        told = entry.document
        told["after"]["content"] = opened(row, "body").commitment.hex()
        body = canonical.dump(told)
        hash_ = hashlib.sha256(body).digest()
        leaf = bytes(entry.leaf)[:-64] + hash_.hex().encode()
        assert sql(
            "UPDATE audit_entry SET body = %s, body_hash = %s, leaf = %s WHERE id = %s",
            body, hash_, leaf, entry.pk,
        ) == 1  # fmt: skip
        sql(f"TRUNCATE {SEALED}")
    scene.sealed()


def cut_the_end_off(scene: Scene) -> None:
    """What was said last was never said: rows, entries and leaves gone, the rest signed again."""
    with scene.database.acting_as("owner"), transaction.atomic():
        unguard()
        gone = "(SELECT entry_id FROM chat_messageversion WHERE message_id = %s)"
        for message in (scene.edited, scene.deleted, scene.told):
            assert sql(f"DELETE FROM audit_entry WHERE id IN {gone}", message)
            sql("DELETE FROM chat_searchtokens WHERE message_id = %s", message)
            assert sql("DELETE FROM chat_messageversion WHERE message_id = %s", message)
            assert sql("DELETE FROM chat_message WHERE id = %s", message)
        sql(f"TRUNCATE {SEALED}")
    scene.sealed()


def unguard() -> None:
    for table in (*TRAIL, "chat_message", "chat_messageversion"):
        sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")


REWRITTEN: dict[str, tuple[Callable[[Scene], None], list[str | None]]] = {
    "other words": (
        put_other_words_into_alice_s_mouth,
        ["Pay 900 to Mallory.", "Bed 12 is free.", "I got 90.", None],
    ),
    "an end cut off": (cut_the_end_off, ["Pay 100 to Bob."]),
}


def kept(scene: Scene) -> Known:
    """The checkpoint that somebody keeps elsewhere, with the log's key to open it."""
    signed = open_checkpoint(scene.kept, [scene.signer.public])
    return Known(signed.size, signed.root, "the buyer's auditor")


@pytest.mark.parametrize(("rewrite", "shown"), REWRITTEN.values(), ids=REWRITTEN)
def test_history_signed_again_is_refused_by_a_checkpoint_that_was_kept(
    scene: Scene, rewrite: Callable[[Scene], None], shown: list[str | None]
) -> None:
    outside = kept(scene)
    assert verdict(scene, outside) == set(), "the scene itself agrees"
    rewrite(scene)
    assert read(scene.bob, scene.ward) == shown, "the attack had no effect"
    assert verdict(scene, outside) == {("known_checkpoint", outside.place)}


@pytest.mark.parametrize(("rewrite", "shown"), REWRITTEN.values(), ids=REWRITTEN)
def test_without_one_it_is_not_found_out(
    scene: Scene, rewrite: Callable[[Scene], None], shown: list[str | None]
) -> None:
    """The honest limit: who holds all the keys is held by what others keep, and nothing else."""
    outside = kept(scene)
    rewrite(scene)
    assert verdict(scene) == set()
    with without("known_checkpoint"):
        assert verdict(scene, outside) == set()
