"""Names and topics: what a writer to the database cannot do to them, and what one bad row does."""

import pytest
from django.db import DatabaseError, connection

from app.accounts.models import User
from app.chat import access
from app.chat.models import Conversation
from app.chat.serializers import ConversationOut
from app.chat.services import change_conversation
from app.encryption.fields import SealError
from tests.chat.talk import room
from tests.encryption.rows import column, overwrite

pytestmark = pytest.mark.django_db


def renamed(alice: User, bob: User) -> tuple[Conversation, dict[str, str]]:
    """A conversation with a new name, and the tokens from before."""
    ward = room(alice, bob, name="before")
    old = {name: column(ward, name) for name in ("name", "topic")}
    change_conversation(user=alice, conversation_id=ward.pk, name="after")
    return Conversation.objects.get(pk=ward.pk), old


def test_a_rename_is_another_revision_and_the_topic_stays_readable(alice: User, bob: User) -> None:
    ward, _ = renamed(alice, bob)
    assert (ward.name, ward.topic, ward.revision) == ("after", "", 1)
    change_conversation(user=alice, conversation_id=ward.pk, topic="beds")
    change_conversation(user=alice, conversation_id=ward.pk, topic="beds")
    ward = Conversation.objects.get(pk=ward.pk)
    assert (ward.name, ward.topic, ward.revision) == ("after", "beds", 2)


@pytest.mark.parametrize("name", ["name", "topic"])
def test_an_old_name_or_topic_that_is_put_back_does_not_open(
    alice: User, bob: User, name: str
) -> None:
    ward, old = renamed(alice, bob)
    overwrite(ward, name, old[name])
    with pytest.raises(SealError, match=f"chat_conversation.{name} of row {ward.pk}") as raised:
        getattr(Conversation.objects.get(pk=ward.pk), name)
    assert not raised.value.erased


def test_one_name_that_does_not_open_leaves_the_list_as_it_is(alice: User, bob: User) -> None:
    ward, old = renamed(alice, bob)
    other = room(alice, bob, name="ward-5")
    overwrite(ward, "name", old["name"])
    told = {view.conversation.pk: view for view in access.conversations(alice)}
    shown = {pk: ConversationOut(view).data["name"] for pk, view in told.items()}
    assert shown == {ward.pk: "(this name cannot be read)", other.pk: "ward-5"}


def test_a_revision_never_goes_back(alice: User, bob: User) -> None:
    ward, _ = renamed(alice, bob)
    with pytest.raises(DatabaseError, match="goes forward"), connection.cursor() as cursor:
        cursor.execute("UPDATE chat_conversation SET revision = 0 WHERE id = %s", [ward.pk])
