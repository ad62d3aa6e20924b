"""The pages of an export at its end and before it is asked for: access, light and dark, narrow."""

from datetime import timedelta

import pytest
from django.utils import timezone

import app.celery  # noqa: F401 - the approval tells a worker, and nobody takes it
from app.accounts.models import User
from app.chat.models import Conversation
from app.compliance.models import ExportRequest, Format, State
from app.compliance.scope import Scope
from app.compliance.services import approve_export, request_export
from tests.web.axe import EXAMINED, bring_axe, put_in_theme, serious_faults
from tests.web.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

KEY = "age1auc86deztwglc769q75dg5txjh3anlw6rdsym8y5duzdezmly40ssjk34v"


@pytest.fixture
def partial(ward: Conversation, olga: User, oscar: User) -> str:
    asked = request_export(
        olga, scope=Scope(), reason="A complaint.", formats=Format.values, recipient=KEY
    )
    approve_export(oscar, asked.pk)
    item = {
        "conversation": str(ward.pk), "state": "partial", "entries": 40, "versions": 31,
        "texts_erased": 0, "texts_missing": 2, "files": 3, "files_erased": 0, "files_missing": 1,
        "first_error": {"leaf": 1204, "message": str(ward.pk), "status": "unreadable"},
    }  # fmt: skip
    now = timezone.now()
    ExportRequest.objects.filter(pk=asked.pk).update(
        state=State.PARTIAL, finished_at=now, expires_at=now + timedelta(days=7), size=5_400_321,
        sha256="ab" * 32, manifest_sha256="cd" * 32, checkpoint="parley.test/log\n1300\nAAAA\n",
        counts={"messages": 28, "versions": 31, "attachments": 4, "texts_missing": 2},
        partial_items=[item],
    )  # fmt: skip
    return str(asked.pk)


def test_the_pages_of_an_export_have_no_serious_fault(partial: str, visit: Visit) -> None:
    page = visit("olga", **EXAMINED)
    for path in (f"/exports/{partial}", "/exports/new"):
        page.goto(path)
        if path.endswith("new"):
            page.get_by_role("button", name="Show what will be in it").click()
            assert page.get_by_label("Your age key").input_value() == KEY
        assert page.get_by_text("Workbook (Excel)").count() == 1
        bring_axe(page)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 844})
            for theme in ("light", "dark"):
                put_in_theme(page, theme)
                assert serious_faults(page) == []
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
