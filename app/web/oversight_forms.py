"""The forms of holds, readings and erasures."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django import forms

from app.accounts.models import User
from app.chat.search.query import LONGEST
from app.compliance.access import NamedConversation
from app.compliance.services.reasons import LONGEST_MATTER, LONGEST_REASON
from app.web.forms import PageForm
from app.web.officer_forms import conversation_choices


def _reason(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=help_text,
    )


def _matter() -> forms.CharField:
    return forms.CharField(
        label="Matter",
        max_length=LONGEST_MATTER,
        help_text="What it belongs to, such as a case number.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class ReadingForm(PageForm):
    matter = _matter()
    reason = _reason("Reason", "Sealed like a message. Other officers find it in the record.")


class SearchForm(PageForm):
    query = forms.CharField(
        label="What to look for",
        max_length=LONGEST,
        help_text='Words, "words side by side", and from:somebody, in:a-conversation, '
        "before:2026-11-01, after:2026-11-01.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    matter = _matter()
    reason = _reason("Reason", "Sealed like a message. Other officers find it in the record.")


class ReleaseForm(PageForm):
    reason = _reason("Reason for the release", "Whoever agrees reads it.")


class HoldForm(PageForm):
    conversations = forms.MultipleChoiceField(
        required=False, label="Conversations", widget=forms.CheckboxSelectMultiple
    )
    people = forms.MultipleChoiceField(
        required=False, label="People", widget=forms.CheckboxSelectMultiple
    )
    matter = _matter()
    reason = _reason("Reason", "Sealed like a message. Officers read it.")

    def __init__(
        self, *args: Any, people: list[User], conversations: list[NamedConversation], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        choices = {
            "conversations": conversation_choices(conversations),
            "people": [(str(person.pk), person.display_name) for person in people],
        }
        for name, found in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 - type checker
            field.choices = found

    def chosen(self) -> dict[str, Any]:
        """As `services.place_hold` takes it."""
        given = self.cleaned_data
        return {
            "conversations": [UUID(item) for item in given["conversations"]],
            "people": [UUID(item) for item in given["people"]],
            "matter": given["matter"],
            "reason": given["reason"],
        }


class MonthField(forms.CharField):
    """A month as browsers send it, 2026-11; cleaned to its first day."""

    widget = forms.TextInput(attrs={"type": "month", "placeholder": "2026-11"})

    def clean(self, value: Any) -> date | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            return datetime.strptime(text, "%Y-%m").date()
        except ValueError:
            raise forms.ValidationError("Give a year and a month, such as 2026-11.") from None


class ErasureForm(PageForm):
    conversation = forms.ChoiceField(label="Conversation")
    first = MonthField(required=False, label="From month", help_text="Empty: from the beginning.")
    last = MonthField(label="To month", help_text="This month included.")

    def __init__(self, *args: Any, conversations: list[NamedConversation], **more: Any) -> None:
        super().__init__(*args, **more)
        field = self.fields["conversation"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = conversation_choices(conversations)

    def months(self) -> tuple[date | None, date]:
        """The first days of the first and of the last one."""
        return self.cleaned_data["first"], self.cleaned_data["last"]


class ErasureReasonForm(PageForm):
    reason = _reason(
        "Reason", "Sealed like a message. Who approves reads it. Do not repeat what is erased."
    )
