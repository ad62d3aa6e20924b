"""What somebody who may write to the database can achieve: an error, never another meaning."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.encryption.envelope import Fault
from app.encryption.fields import SealError, seal_now
from app.encryption.keyring import keyring
from app.encryption.models import DataKey
from tests.encryption.rows import changed, column, overwrite
from tests.encryption.sample import Letter

pytestmark = pytest.mark.usefixtures("samples")


def fault(letter: Letter, name: str = "body") -> Fault:
    """Why the stored text no longer opens; and it must not be stored again either."""
    keyring.forget()
    read = Letter.objects.get(pk=letter.pk)
    with pytest.raises(SealError) as raised:
        getattr(read, name)
    with pytest.raises(SealError):
        seal_now(read, name)
    return raised.value.code


def two_letters() -> tuple[Letter, Letter]:
    """In the same conversation, so sealed with the same data key."""
    first = Letter.objects.create(body="pay alice", note="a note")
    second = Letter.objects.create(
        organization_id=first.organization_id,
        conversation_id=first.conversation_id,
        body="pay mallory",
    )
    return first, second


def test_a_text_swapped_into_another_row_is_refused() -> None:
    first, second = two_letters()
    overwrite(first, "body", column(second, "body"))
    assert fault(first) is Fault.REFUSED


def test_a_text_swapped_into_another_column_is_refused() -> None:
    first, _ = two_letters()
    overwrite(first, "body", column(first, "note"))
    assert fault(first) is Fault.REFUSED


def test_a_row_moved_into_another_conversation_is_refused() -> None:
    first, _ = two_letters()
    overwrite(first, "conversation_id", str(uuid4()))
    assert fault(first) is Fault.REFUSED


def test_a_row_moved_into_the_organization_s_own_scope_is_refused() -> None:
    first, _ = two_letters()
    overwrite(first, "conversation_id", None)
    assert fault(first) is Fault.REFUSED


def test_a_row_moved_into_another_organization_is_refused() -> None:
    first, _ = two_letters()
    overwrite(first, "organization_id", str(uuid4()))
    assert fault(first) is Fault.REFUSED


def test_an_old_revision_put_back_is_refused() -> None:
    letter, _ = two_letters()
    old = column(letter, "body")
    letter.revision, letter.body = 2, "pay bob"
    letter.note = letter.note
    letter.save()
    overwrite(letter, "body", old)
    assert fault(letter) is Fault.REFUSED


def test_a_renumbered_revision_is_refused() -> None:
    letter, _ = two_letters()
    overwrite(letter, "revision", 2)
    assert fault(letter) is Fault.REFUSED


def test_a_token_that_names_another_data_key_is_refused() -> None:
    first, _ = two_letters()
    foreign = Letter.objects.create(body="elsewhere")
    overwrite(first, "body", "cv1." + column(foreign, "body")[4:24] + column(first, "body")[24:])
    assert fault(first) in {Fault.REFUSED, Fault.UNKNOWN_KEY}


def test_a_token_whose_data_key_never_existed_is_refused() -> None:
    first, _ = two_letters()
    overwrite(first, "body", "cv1." + "A" * 20 + column(first, "body")[24:])
    assert fault(first) is Fault.UNKNOWN_KEY


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token[:40],
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: "cv2" + token[3:],
        lambda token: token[4:],
        lambda token: token.replace("cv1.", "cv1. "),
        lambda _: "",
        lambda _: "pay mallory",
    ],
    ids=["cut", "short", "long", "padded", "version", "bare", "space", "empty", "plain"],
)
def test_a_token_that_is_no_longer_whole_is_refused(change: Callable[[str], str]) -> None:
    first, _ = two_letters()
    overwrite(first, "body", change(column(first, "body")))
    assert fault(first) in {Fault.MALFORMED, Fault.REFUSED, Fault.UNKNOWN_KEY}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**16),
    st.lists(st.sampled_from("ABab01-_.=+/ "), min_size=2, max_size=2, unique=True),
)
def test_a_changed_character_in_the_column_is_refused(position: int, others: list[str]) -> None:
    first, _ = two_letters()
    token = column(first, "body")
    overwrite(first, "body", changed(token, position, others))
    assert fault(first) in {Fault.MALFORMED, Fault.REFUSED, Fault.UNKNOWN_KEY}


def test_a_data_key_of_another_row_does_not_unwrap() -> None:
    """Else whoever swaps wrapped keys makes all of a conversation unreadable unnoticed."""
    first, _ = two_letters()
    foreign = Letter.objects.create(
        organization_id=first.organization_id, body="same organization, another conversation"
    )
    mine = DataKey.objects.get(conversation_id=first.conversation_id)
    theirs = DataKey.objects.get(conversation_id=foreign.conversation_id)
    DataKey.objects.filter(pk=mine.pk).update(wrapped=theirs.wrapped)
    assert fault(first) is Fault.KEY_UNAVAILABLE


@pytest.mark.parametrize("name", ["organization_id", "conversation_id"])
def test_a_data_key_assigned_to_somebody_else_does_not_unwrap(name: str) -> None:
    first, _ = two_letters()
    key = DataKey.objects.get(conversation_id=first.conversation_id)
    overwrite(key, name, str(uuid4()))
    assert fault(first) is Fault.KEY_UNAVAILABLE
