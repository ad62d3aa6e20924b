"""Who may write to the database, its owner included, changes nothing unseen.

Each attack is done with SQL, is seen to have its effect, and is named. Then the check that
named it is taken out, and the same attack goes through: so it was that check, and it is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from unittest.mock import patch
from uuid import UUID

import pytest
from django.db import Error, connection, transaction

from app.accounts.models import User
from app.accounts.permissions import Permission, allows
from app.audit import disclosure
from app.chat import access
from app.chat.models import Conversation, MessageVersion
from app.encryption import envelope
from app.errors import NotFound
from tests.attacks.scene import Scene, as_the_owner, read, sql, verdict, without

CHAT = ("chat_message", "chat_messageversion", "chat_membership", "chat_attachment")
TRAIL = (
    "audit_entry", "audit_leaf", "audit_node", "audit_checkpoint", "audit_key", "audit_tree",
    "audit_horizon",
)  # fmt: skip


def of(scene: Scene, message: str) -> UUID:
    found: UUID = getattr(scene, message)
    return found


def version(scene: Scene, message: str, revision: int = 1) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM chat_messageversion WHERE message_id = %s AND revision = %s",
            [of(scene, message), revision],
        )
        return f"version {cursor.fetchone()[0]} of message {of(scene, message)}"


# --- Texts that are moved about ----------------------------------------------------------------


def swap_two_texts(scene: Scene) -> None:
    assert sql(
        "UPDATE chat_messageversion a SET body = b.body FROM chat_messageversion b "
        "WHERE (a.message_id, b.message_id) IN ((%s, %s), (%s, %s))",
        scene.paid, scene.told, scene.told, scene.paid,
    ) == 2  # fmt: skip


def put_an_old_text_back(scene: Scene) -> None:
    assert sql(
        "UPDATE chat_messageversion a SET body = b.body FROM chat_messageversion b "
        "WHERE a.message_id = %s AND a.revision = 2 AND b.message_id = a.message_id "
        "AND b.revision = 1",
        scene.edited,
    ) == 1  # fmt: skip


@dataclass(frozen=True)
class Moved:
    harm: Callable[[Scene], None]
    hoped_for: list[str]
    """What a reader would see of the ward if the attack went through."""
    seen: list[str | None]
    damaged: tuple[tuple[str, int], ...]


MOVED = {
    "two texts swapped": Moved(
        swap_two_texts,
        ["Bed 12 is free.", "Pay 100 to Bob.", "I got 90."],
        [None, None, "I got 90."],
        (("paid", 1), ("told", 1)),
    ),
    "an old revision put back": Moved(
        put_an_old_text_back,
        ["Pay 100 to Bob.", "Bed 12 is free.", "I got 100."],
        ["Pay 100 to Bob.", "Bed 12 is free.", None],
        (("edited", 2),),
    ),
}


@pytest.mark.parametrize("moved", MOVED.values(), ids=MOVED)
def test_a_moved_text_opens_nowhere_else_and_is_named(scene: Scene, moved: Moved) -> None:
    with as_the_owner(scene, *CHAT):
        moved.harm(scene)
        assert read(scene.bob, scene.ward)[:3] == moved.seen
        named = {("text_unreadable", version(scene, *where)) for where in moved.damaged}
        assert verdict(scene) == named


@pytest.mark.parametrize("moved", MOVED.values(), ids=MOVED)
def test_without_its_place_a_moved_text_would_be_read_as_if_it_belonged(
    scene: Scene, moved: Moved
) -> None:
    """Texts sealed for no place at all: the very same statements now put words into mouths."""
    with as_the_owner(scene, *CHAT), patch.object(envelope, "place_in", lambda *_: b"anywhere"):
        for pk in sealed_versions():
            seal_again(pk)
        moved.harm(scene)
        assert read(scene.bob, scene.ward)[:3] == moved.hoped_for


def sealed_versions() -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM chat_messageversion WHERE body IS NOT NULL")
        return [pk for (pk,) in cursor.fetchall()]


def seal_again(pk: UUID) -> None:
    row = MessageVersion.objects.get(pk=pk)
    with patch.object(envelope, "place_in", BOUND):
        text = row.body
    row = MessageVersion.objects.get(pk=pk)
    row.body = text
    row.save(update_fields=["body"])


BOUND = envelope.place_in


# --- Rows that are changed, removed, or put in ---------------------------------------------------


def remove_a_version(scene: Scene) -> None:
    assert sql("DELETE FROM chat_messageversion WHERE message_id = %s", scene.told) == 1
    assert sql("DELETE FROM chat_message WHERE id = %s", scene.told) == 1


def empty_a_text(scene: Scene) -> None:
    sql("ALTER TABLE chat_messageversion DROP CONSTRAINT chat_version_kind")
    assert sql("UPDATE chat_messageversion SET body = NULL WHERE message_id = %s", scene.told) == 1


def give_it_to_another_author(scene: Scene) -> None:
    author = (scene.bob.pk, scene.paid)
    assert sql("UPDATE chat_message SET author_id = %s WHERE id = %s", *author) == 1


def change_the_order(scene: Scene) -> None:
    assert sql(
        "UPDATE chat_message SET \"offset\" = -1 WHERE id = %s", scene.told
    ) == 1  # fmt: skip


def undo_a_deletion(scene: Scene) -> None:
    assert sql(
        "UPDATE chat_message SET deleted_at = NULL, revision = 1 WHERE id = %s", scene.deleted
    ) == 1  # fmt: skip


def undo_an_edit(scene: Scene) -> None:
    """Without its own row the second version never was: the text of the first still opens."""
    sql("DELETE FROM chat_messageversion WHERE message_id = %s AND revision = 2", scene.edited)
    assert sql("UPDATE chat_message SET revision = 1 WHERE id = %s", scene.edited) == 1


def become_a_member(scene: Scene) -> None:
    assert sql(
        "INSERT INTO chat_membership (conversation_id, user_id, role, joined_at, read_offset) "
        "VALUES (%s, %s, 'member', now(), 0)",
        scene.ward.pk, scene.mallory.pk,
    ) == 1  # fmt: skip


def hide_a_member(scene: Scene) -> None:
    assert sql(
        "DELETE FROM chat_membership WHERE conversation_id = %s AND user_id = %s",
        scene.pharmacy.pk, scene.mallory.pk,
    ) == 1  # fmt: skip


def become_an_officer(scene: Scene) -> None:
    assert sql("UPDATE accounts_user SET role = 'officer' WHERE id = %s", scene.mallory.pk) == 1


def slip_a_copy_in(scene: Scene) -> None:
    """A third version, that names the entry of the first."""
    assert sql(
        "INSERT INTO chat_messageversion (id, message_id, organization_id, conversation_id, "
        "revision, kind, body, editor_id, at, entry_id) SELECT gen_random_uuid(), message_id, "
        "organization_id, conversation_id, 2, 'edited', body, editor_id, at, entry_id "
        "FROM chat_messageversion WHERE message_id = %s",
        scene.told,
    ) == 1  # fmt: skip
    assert sql("UPDATE chat_message SET revision = 2 WHERE id = %s", scene.told) == 1


@dataclass(frozen=True)
class Attack:
    """What is done, which checks name it and where, and what the attacker gains by it."""

    harm: Callable[[Scene], None]
    codes: tuple[str, ...]
    places: Callable[[Scene], tuple[str, ...]]
    gained: Callable[[Scene], bool]


def the_ward(scene: Scene) -> list[str | None]:
    return read(scene.bob, scene.ward)


def cannot_read(reader: User, conversation: Conversation) -> bool:
    try:
        return not read(reader, conversation)
    except NotFound:
        return True


def person(scene: Scene, conversation: str) -> str:
    return f"person {scene.mallory.pk} in conversation {getattr(scene, conversation).pk}"


ROWS = {
    "a message removed": Attack(
        remove_a_version,
        ("version_missing",),
        lambda scene: (f"of message {scene.told}",),
        lambda scene: the_ward(scene)[:2] == ["Pay 100 to Bob.", "I got 90."],
    ),
    "a text emptied": Attack(
        empty_a_text,
        ("text_missing",),
        lambda scene: (version(scene, "told"),),
        lambda scene: "Bed 12 is free." not in the_ward(scene),
    ),
    "another author": Attack(
        give_it_to_another_author,
        ("version_differs",),
        lambda scene: (version(scene, "paid"),),
        lambda scene: the_ward(scene)[0] == "Pay 100 to Bob.",
    ),
    "another order": Attack(
        change_the_order,
        ("version_differs",),
        lambda scene: (version(scene, "told"),),
        lambda scene: the_ward(scene)[0] == "Bed 12 is free.",
    ),
    "a deletion undone": Attack(
        undo_a_deletion,
        ("message_state",),
        lambda scene: (f"message {scene.deleted}",),
        lambda scene: "Tell nobody." in the_ward(scene),
    ),
    "an edit undone": Attack(
        undo_an_edit,
        ("version_missing",),
        lambda scene: (f"of message {scene.edited}",),
        lambda scene: "I got 100." in the_ward(scene),
    ),
    "a member made": Attack(
        become_a_member,
        ("membership",),
        lambda scene: (person(scene, "ward"),),
        lambda scene: "Pay 100 to Bob." in read(scene.mallory, scene.ward),
    ),
    "a member hidden": Attack(
        hide_a_member,
        ("membership",),
        lambda scene: (person(scene, "pharmacy"),),
        lambda scene: cannot_read(scene.mallory, scene.pharmacy),
    ),
    "an officer made": Attack(
        become_an_officer,
        ("role",),
        lambda scene: (f"person {scene.mallory.pk}",),
        lambda scene: allows(User.objects.get(pk=scene.mallory.pk), Permission.TRAIL_READ),
    ),
    "a version slipped in": Attack(
        slip_a_copy_in,
        ("version_unlogged",),
        lambda scene: (version(scene, "told", 2),),
        lambda scene: "Bed 12 is free." not in the_ward(scene),
    ),
}


@pytest.mark.parametrize("attack", ROWS.values(), ids=ROWS)
def test_a_changed_row_is_named(scene: Scene, attack: Attack) -> None:
    with as_the_owner(scene, *CHAT, "accounts_user"):
        assert verdict(scene) == set(), "the scene itself agrees"
        attack.harm(scene)
        assert attack.gained(scene), "the attack had no effect"
        named = verdict(scene)
        assert {code for code, _ in named} == set(attack.codes)
        for place in attack.places(scene):
            assert any(place in found for _, found in named), named


@pytest.mark.parametrize("attack", ROWS.values(), ids=ROWS)
def test_without_the_check_a_changed_row_would_go_unseen(scene: Scene, attack: Attack) -> None:
    with as_the_owner(scene, *CHAT, "accounts_user"), without(*attack.codes):
        attack.harm(scene)
        assert attack.gained(scene)
        assert verdict(scene) == set()


# --- The trail itself ----------------------------------------------------------------------------

ENTRY = "(SELECT entry_id FROM chat_messageversion WHERE message_id = %s AND revision = 1)"


def remove_a_message_with_its_entry(scene: Scene) -> None:
    assert sql(f"DELETE FROM audit_entry WHERE id = {ENTRY}", scene.told) == 1
    remove_a_version(scene)


def remove_a_message_its_entry_and_its_leaf(scene: Scene) -> None:
    assert sql(f"DELETE FROM audit_leaf WHERE entry_id = {ENTRY}", scene.told) == 1
    remove_a_message_with_its_entry(scene)


def change_an_entry(scene: Scene) -> None:
    """Who said it, hashed again so that body, columns and leaf line agree."""
    body = "replace(convert_from(body, 'utf8'), %s, %s)"
    who = (str(scene.alice.pk), str(scene.bob.pk))
    assert sql(
        f"UPDATE audit_entry SET body = convert_to({body}, 'utf8'), actor_id = %s, "
        f"body_hash = sha256(convert_to({body}, 'utf8')), leaf = substring(leaf, 1, 97) || "
        f"convert_to(encode(sha256(convert_to({body}, 'utf8')), 'hex'), 'utf8') "
        f"WHERE id = {ENTRY}",
        *who, scene.bob.pk, *who, *who, scene.paid,
    ) == 1  # fmt: skip
    sql("UPDATE chat_message SET author_id = %s WHERE id = %s", scene.bob.pk, scene.paid)
    sql(
        "UPDATE chat_messageversion SET editor_id = %s WHERE message_id = %s",
        scene.bob.pk, scene.paid,
    )  # fmt: skip


def forge_an_entry_in_the_past(scene: Scene) -> None:
    """With a transaction id that the sealer has passed, so that it is never sealed."""
    assert sql(
        "INSERT INTO audit_entry (uuid, organization_id, action_name, scope_id, actor_id, "
        "target_type, target_id, target_parent, at, body, body_hash, leaf, xid) "
        "SELECT gen_random_uuid(), organization_id, action_name, scope_id, actor_id, target_type, "
        "target_id, target_parent, at, body, body_hash, leaf, xid FROM audit_entry "
        f"WHERE id = {ENTRY}",
        scene.paid,
    ) == 1  # fmt: skip


def replay_a_checkpoint(scene: Scene) -> None:
    """The middle of the week shown as its end: an older signed note under the newest size."""
    assert sql(
        "UPDATE audit_checkpoint SET note = %s WHERE organization_id = %s AND size = "
        "(SELECT max(size) FROM audit_checkpoint WHERE organization_id = %s)",
        scene.kept, scene.organization.pk, scene.organization.pk,
    ) == 1  # fmt: skip


def is_gone(scene: Scene) -> bool:
    """What was told of bed 12."""
    return "Bed 12 is free." not in the_ward(scene)


def author_of_paid(scene: Scene) -> UUID:
    return access.timeline(scene.bob, scene.ward.pk).messages[0].message.author_id


def entries_of(scene: Scene, message: UUID) -> int:
    """How often the trail tells of the first version of a message."""
    entry = f"SELECT target_id FROM audit_entry WHERE id = {ENTRY}"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM audit_entry WHERE target_id = ({entry})", [message])
        found: int = cursor.fetchone()[0]
        return found


def shown_as_the_end(scene: Scene) -> str:
    tree = disclosure.latest_tree(scene.organization.pk)
    assert tree
    return tree.note


TRAILS = {
    "a message removed with its entry": Attack(
        remove_a_message_with_its_entry, ("entry_missing",), lambda _: ("leaf ",), is_gone
    ),
    "a message removed with entry and leaf": Attack(
        remove_a_message_its_entry_and_its_leaf,
        ("leaf_missing",),
        lambda _: ("leaf ",),
        is_gone,
    ),
    "an entry changed and hashed again": Attack(
        change_an_entry,
        ("leaf_line", "leaf_hash"),
        lambda _: ("entry ", "leaf "),
        lambda scene: author_of_paid(scene) == scene.bob.pk,
    ),
    "an entry forged in the past": Attack(
        forge_an_entry_in_the_past,
        ("columns", "entry_unsealed", "version_differs"),
        lambda scene: ("entry ", version(scene, "paid")),
        lambda scene: entries_of(scene, scene.paid) == 2,
    ),
    "a checkpoint replayed": Attack(
        replay_a_checkpoint,
        ("checkpoint_note", "checkpoint_root"),
        lambda _: ("checkpoint ",),
        lambda scene: shown_as_the_end(scene) == scene.kept,
    ),
}


@pytest.mark.parametrize("attack", TRAILS.values(), ids=TRAILS)
def test_a_changed_trail_is_named(scene: Scene, attack: Attack) -> None:
    with as_the_owner(scene, *CHAT, *TRAIL):
        assert not attack.gained(scene)
        attack.harm(scene)
        assert attack.gained(scene), "the attack had no effect"
        named = verdict(scene)
        assert {code for code, _ in named} == set(attack.codes)
        for place in attack.places(scene):
            assert any(place in found for _, found in named), named


@pytest.mark.parametrize("attack", TRAILS.values(), ids=TRAILS)
def test_without_the_checks_a_changed_trail_would_go_unseen(scene: Scene, attack: Attack) -> None:
    with as_the_owner(scene, *CHAT, *TRAIL), without(*attack.codes):
        attack.harm(scene)
        assert attack.gained(scene)
        assert verdict(scene) == set()


# --- What the database refuses -------------------------------------------------------------------

INSERT_UNLOGGED = (
    "INSERT INTO chat_messageversion (id, message_id, organization_id, conversation_id, revision, "
    "kind, body, editor_id, at, entry_id) SELECT gen_random_uuid(), message_id, organization_id, "
    "conversation_id, 2, 'edited', body, editor_id, at, entry_id FROM chat_messageversion "
    "WHERE message_id = %s"
)


def test_a_version_without_an_entry_of_its_own_is_not_committed(scene: Scene) -> None:
    with (
        scene.database.acting_as("owner"),
        pytest.raises(Error, match="has no entry"),
        transaction.atomic(),
    ):
        sql(INSERT_UNLOGGED, scene.told)


def test_without_the_trigger_it_would_be(scene: Scene) -> None:
    with as_the_owner(scene, "chat_messageversion"):
        assert sql(INSERT_UNLOGGED, scene.told) == 1
        sql("SET CONSTRAINTS ALL IMMEDIATE")


REFUSED = {
    "an entry changed": "UPDATE audit_entry SET body = '\\x00'",
    "an entry deleted": "DELETE FROM audit_entry",
    "the trail emptied": "TRUNCATE audit_entry",
    "a leaf deleted": "DELETE FROM audit_leaf",
    "a checkpoint changed": "UPDATE audit_checkpoint SET note = ''",
    "a version deleted": "DELETE FROM chat_messageversion",
    "the messages emptied": "TRUNCATE chat_message CASCADE",
}


@pytest.mark.parametrize("role", ["app", "sealer", "owner", "superuser"])
@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_nobody_changes_what_is_kept(scene: Scene, role: str, statement: str) -> None:
    """The application and the sealer lack the right; the owner meets triggers, and so does a
    superuser who says that triggers shall not fire (as what applies a replica's changes does)."""
    with scene.database.acting_as(role):  # type: ignore[arg-type]
        if role == "superuser":
            sql("SET session_replication_role = replica")
        with pytest.raises(Error, match=r"denied|refused"):
            sql(statement)


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_without_the_triggers_the_owner_would(scene: Scene, statement: str) -> None:
    with as_the_owner(scene, *CHAT, *TRAIL):
        sql(statement)
