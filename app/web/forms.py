"""The forms of the account pages: what is asked, and how it is asked."""

from datetime import timedelta
from typing import Any

from django import forms

from app.accounts.checks import LONGEST_EMAIL, LONGEST_LABEL, LONGEST_NAME, LONGEST_PASSWORD
from app.accounts.models import Role
from app.accounts.services.invitations import MOST_USES
from app.errors import DomainError

LIFETIMES = [("24", "1 day"), ("72", "3 days"), ("168", "7 days"), ("720", "30 days")]


class PageForm(forms.Form):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})

    def blame(self, error: DomainError, otherwise: str) -> None:
        """Say a service's refusal beside the fields that it names, else beside `otherwise`."""
        for name, texts in error.fields.items():
            for text in texts:
                self.add_error(name if name in self.fields else otherwise, text)
        if not error.fields:
            self.add_error(otherwise, error.message)


def _password(label: str, autocomplete: str, help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=LONGEST_PASSWORD,
        strip=False,
        help_text=help_text,
        widget=forms.PasswordInput(attrs={"autocomplete": autocomplete}),
    )


def _name() -> forms.CharField:
    return forms.CharField(
        label="Your name",
        max_length=LONGEST_NAME,
        help_text="As colleagues know you.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


class SignInForm(PageForm):
    email = forms.CharField(
        label="Email",
        max_length=LONGEST_EMAIL,
        widget=forms.EmailInput(
            attrs={"autocomplete": "username", "autofocus": True, "spellcheck": "false"}
        ),
    )
    password = _password("Password", "current-password")

    def refuse(self, text: str) -> None:
        """Say why not beside the password, and put the cursor there."""
        self.add_error("password", text)
        del self.fields["email"].widget.attrs["autofocus"]
        self.fields["password"].widget.attrs["autofocus"] = True


class JoinForm(PageForm):
    email = forms.EmailField(
        label="Email",
        max_length=LONGEST_EMAIL,
        help_text="You will sign in with it.",
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    display_name = _name()
    password = _password(
        "Password", "new-password", "12 characters or more. Four random words are good."
    )


class NameForm(PageForm):
    display_name = _name()


class PasswordForm(PageForm):
    current = _password("Current password", "current-password")
    new = _password("New password", "new-password", "12 characters or more.")


class RoleForm(PageForm):
    role = forms.ChoiceField(choices=Role.choices)


class InvitationForm(PageForm):
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.MEMBER)
    uses = forms.IntegerField(
        label="How many people may use it", min_value=1, max_value=MOST_USES, initial=1
    )
    lifetime = forms.ChoiceField(label="Works for", choices=LIFETIMES, initial="72")
    label = forms.CharField(
        label="Note",
        required=False,
        max_length=LONGEST_LABEL,
        help_text="For administrators only, for example whom it is for.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_lifetime(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["lifetime"]))
