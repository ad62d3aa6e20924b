"""The forms of the officer's pages. Days are days of UTC, as the trail counts."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms

from app.accounts.models import User
from app.compliance.access import NamedConversation, TrailFilter
from app.compliance.access.calls import CallFilter
from app.compliance.models import RECIPIENT, Format
from app.compliance.scope import Scope
from app.compliance.services.requests import LONGEST_REASON
from app.web.forms import PageForm
from app.web.trail_words import action_choices

OUTSIDE = "outside"
WITH_ROWS = "all"


def conversation_choices(found: list[NamedConversation]) -> list[tuple[str, str]]:
    return [
        (str(item.id), f"# {item.label}" if item.kind != "direct" else f"{item.label} (direct)")
        for item in found
    ]


def choose(form: forms.Form, name: str, choices: list[Any]) -> None:
    """Offer these choices in the form's field of that name."""
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
    field.choices = choices


class DateField(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, input_formats=["%Y-%m-%d"], **options)


class PeriodForm(PageForm):
    """From and to, both days included."""

    def period(self) -> tuple[datetime | None, datetime | None]:
        first: date | None = self.cleaned_data["since"]
        last: date | None = self.cleaned_data["until"]
        return (
            _midnight(first) if first else None,
            _midnight(last + timedelta(days=1)) if last else None,
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("since"), cleaned.get("until")
        for name, day in (("since", first), ("until", last)):
            if day and not 2000 <= day.year < 3000:
                self.add_error(name, "Choose a day of this millennium.")
        if first and last and first > last:
            self.add_error("until", "The last day is before the first.")
        return cleaned


class TrailForm(PeriodForm):
    """Names are short, because they stand in the address."""

    who = forms.ChoiceField(required=False, label="Who")
    what = forms.ChoiceField(required=False, label="What")
    where = forms.ChoiceField(required=False, label="Conversation")
    since = DateField(label="From (UTC)")
    until = DateField(label="To (UTC)")
    target = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, people: list[User], conversations: list[NamedConversation], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        choose(self, "who", [("", "Everybody"), *((str(p.pk), p.display_name) for p in people)])
        choose(
            self,
            "what",
            [("", "All actions"), (WITH_ROWS, "All actions and row changes"), *action_choices()],
        )
        named = conversation_choices(conversations)
        outside = (OUTSIDE, "Outside of conversations")
        choose(self, "where", [("", "Everywhere"), outside, *named])

    def filter(self) -> TrailFilter:
        given = self.cleaned_data
        since, until = self.period()
        where = given["where"]
        return TrailFilter(
            actor=UUID(given["who"]) if given["who"] else None,
            action=None if given["what"] in {"", WITH_ROWS} else given["what"],
            rows=bool(given["what"]),
            conversation=UUID(where) if where and where != OUTSIDE else None,
            outside=where == OUTSIDE,
            target=given["target"] or None,
            since=since,
            until=until,
        )


class CallsForm(PeriodForm):
    """Names are those of the trail's filters."""

    who = forms.ChoiceField(required=False, label="Who took part")
    where = forms.ChoiceField(required=False, label="Conversation")
    since = DateField(label="From (UTC)")
    until = DateField(label="To (UTC)")

    def __init__(
        self, *args: Any, people: list[User], conversations: list[NamedConversation], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        named = [(str(person.pk), person.display_name) for person in people]
        choose(self, "who", [("", "Everybody"), *named])
        choose(self, "where", [("", "Everywhere"), *conversation_choices(conversations)])

    def filter(self) -> CallFilter:
        given = self.cleaned_data
        since, until = self.period()
        return CallFilter(
            conversation=UUID(given["where"]) if given["where"] else None,
            person=UUID(given["who"]) if given["who"] else None,
            since=since,
            until=until,
        )


class ScopeForm(PeriodForm):
    conversations = forms.MultipleChoiceField(
        required=False, label="Conversations", widget=forms.CheckboxSelectMultiple
    )
    people = forms.MultipleChoiceField(
        required=False, label="People", widget=forms.CheckboxSelectMultiple
    )
    since = DateField(label="From (UTC)", help_text="Empty: from the beginning.")
    until = DateField(
        label="To (UTC)", help_text="This day included. Empty: until the package is built."
    )

    def __init__(
        self, *args: Any, people: list[User], conversations: list[NamedConversation], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        for name, choices in (
            ("conversations", conversation_choices(conversations)),
            ("people", [(str(person.pk), person.display_name) for person in people]),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 - type checker
            field.choices = choices

    def scope(self) -> Scope:
        """Until the end of today means until the package is built: the day is not over."""
        since, until = self.period()
        return Scope(
            tuple(sorted(UUID(item) for item in self.cleaned_data["conversations"])),
            tuple(sorted(UUID(item) for item in self.cleaned_data["people"])),
            since,
            until if until and until <= datetime.now(UTC) else None,
        )


class ReasonForm(PageForm):
    """The last step of asking for an export."""

    formats = forms.MultipleChoiceField(
        required=False,
        label="Also as",
        choices=Format.choices,
        initial=[Format.CSV],
        widget=forms.CheckboxSelectMultiple,
        help_text="The evidence is always in it: messages.jsonl. These are the same for people.",
    )
    recipient = forms.CharField(
        required=False,
        label="Your age key",
        max_length=RECIPIENT,
        help_text="The public one: age1… The package is then encrypted and only you can open it. "
        "Empty: it lies on the server as it is, until it is deleted after 7 days.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    reason = forms.CharField(
        label="Reason",
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Sealed like a message. Who approves reads it; it goes into the package.",
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
