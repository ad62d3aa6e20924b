"""What a build holds at once: little, and no more of a long log than of a short one."""

import tracemalloc
from collections.abc import Callable
from uuid import uuid4

import pytest

from app.accounts.models import User
from app.chat.services import Draft, send_messages
from app.compliance.models import ExportRequest
from app.compliance.scope import Scope
from app.compliance.services import building
from tests.compliance.conftest import QuickSealer, Ward

MOST = 6 << 20  # bytes

pytestmark = pytest.mark.usefixtures("export_dir")


def test_a_build_holds_little_of_its_files_and_of_the_log(
    ward: Ward, alice: User, approved: Callable[[Scope], ExportRequest], sealer: QuickSealer
) -> None:
    scope = Scope(conversations=(ward.ward.pk,))
    assert building.build_export(approved(scope).pk)  # loads what is loaded once
    for _ in range(5):
        send_messages(
            [Draft(alice, ward.ward.pk, str(uuid4()), f"Bed {bed}.") for bed in range(200)]
        )
    asked = approved(scope)
    tracemalloc.start()
    try:
        assert building.build_export(asked.pk)
        highest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert highest < MOST
