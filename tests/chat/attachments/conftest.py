"""Each test has a folder of its own for what it stores."""

from pathlib import Path

import pytest
from pytest_django import Settings

from app.accounts.models import User
from app.chat.models import Conversation
from tests.chat.talk import room


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.ATTACHMENT_STORAGE = f"file://{tmp_path}/attachments"
    return tmp_path / "attachments"


@pytest.fixture
def ward(alice: User, bob: User, folder: Path) -> Conversation:
    return room(alice, bob)
