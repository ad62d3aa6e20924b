"""Search and keys together: while data keys are replaced, all is found that was found before."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from django.test.utils import override_settings

from app.accounts.models import User
from app.chat import services
from app.chat.models import Conversation, Message
from app.chat.search import finding
from app.chat.search.models import SearchTokens
from app.encryption.keyring import KeyRing, keyring
from app.encryption.models import DataKey
from app.encryption.rotation import resealing
from app.encryption.rotation.resealing import rotate_data_keys
from tests.chat.search.looking import texts
from tests.chat.talk import room, say
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def little_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The index finds all but the newest message; a rotation seals one row after the other."""
    for name in ("NEWEST", "CANDIDATES", "WAVE", "DENSE"):
        monkeypatch.setattr(finding, name, 1)
    monkeypatch.setattr(resealing, "BATCH", 1)
    with override_settings(DATA_KEY_SECONDS=0.2, ERASURE_LIST=tmp_path / "erasures.list"):
        yield


def test_what_was_found_is_found_at_every_step_of_a_rotation(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, live_db: LiveDatabase
) -> None:
    wards = [room(alice, bob), room(bob, alice)]
    sent = _in_three_months(alice, wards, live_db, monkeypatch)
    services.edit_message(editor=alice, message_id=sent[0], body="cot, then bed", revision=1)
    expected = [f"bed {number}" for number in range(5, 0, -1)] + ["cot, then bed"]
    assert texts(bob, "bed") == expected
    old, steps = set(SearchTokens.objects.values_list("key_id", flat=True)), []

    def look(step: str, **facts: object) -> None:
        steps.append(step)
        assert texts(bob, "bed", limit=4) == expected

    rotate_data_keys(alice.organization_id, tell=look)
    assert steps.count("resealed") > len(expected)
    keyring.forget()
    assert texts(bob, "bed") == expected
    assert texts(bob, "cot") == expected[-1:]
    assert not SearchTokens.objects.filter(key_id__in=old).exists()
    assert not DataKey.objects.filter(pk__in=old, destroyed_at=None).exists()


def _in_three_months(
    author: User, wards: list[Conversation], live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> list[UUID]:
    """Two messages a month, one in each conversation, the oldest first."""
    sent = []
    for number in range(6):
        month = date(2026, 8 + number // 2, 1)
        monkeypatch.setattr(KeyRing, "_this_month", lambda _, month=month: month)
        pk = UUID(say(author, wards[number % 2], f"bed {number}").id)
        at = datetime(2026, month.month, 2, 0, 0, number, tzinfo=UTC)
        with live_db.acting_as("owner"):
            Message.objects.filter(pk=pk).update(created_at=at)
            SearchTokens.objects.filter(pk=pk).update(created_at=at)
        sent.append(pk)
    monkeypatch.setattr(KeyRing, "_this_month", lambda _: date(2026, 11, 1))
    return sent
