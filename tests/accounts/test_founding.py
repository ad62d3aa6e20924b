"""An organization is founded by command, with its first administrator."""

import io

import pytest
from django.core.management import CommandError, call_command

from app.accounts.models import Organization, Role, SessionKind, User
from app.accounts.services import sign_in
from app.audit.actions import Action
from app.audit.models import Entry

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough passphrase"
ASKED = {"name": "A Clinic", "email": "ada@clinic.example", "administrator": "Ada Admin"}


def found(monkeypatch: pytest.MonkeyPatch, slug: str, password: str, **changes: str) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    said = io.StringIO()
    options = ASKED | changes
    named = [f"--{name}={value}" for name, value in options.items()]
    call_command("found_organization", slug, "--password-file=-", *named, stdout=said)
    return said.getvalue()


def test_its_administrator_can_sign_in_and_it_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    said = found(monkeypatch, "clinic", PASSWORD)
    assert said.startswith("founded clinic (")
    assert PASSWORD not in said
    session = sign_in(email=ASKED["email"], password=PASSWORD, kind=SessionKind.BROWSER)
    assert session.user.role == Role.ADMINISTRATOR
    actions = Entry.objects.filter(organization_id=session.user.organization_id)
    assert {Action.ORGANIZATION_CREATED, Action.USER_CREATED} <= set(
        actions.values_list("action_name", flat=True)
    )


@pytest.mark.parametrize(
    ("slug", "password", "changes", "said"),
    [
        ("a clinic", PASSWORD, {}, "slug"),
        ("clinic", "short", {}, "too short"),
        ("clinic", PASSWORD, {"email": "nobody"}, "email"),
        ("clinic", PASSWORD, {"administrator": " "}, "A name has 1 to"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(
    monkeypatch: pytest.MonkeyPatch, slug: str, password: str, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        found(monkeypatch, slug, password, **changes)
    assert not Organization.objects.exists()


def test_a_name_that_is_taken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, "clinic", PASSWORD)
    with pytest.raises(CommandError, match="taken already"):
        found(monkeypatch, "clinic", PASSWORD, email="other@clinic.example")
    assert User.objects.count() == 1
