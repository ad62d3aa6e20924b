"""The sealed field in everyday use: it seals on every way in and shows nothing on any way out."""

import copy
import json
import pickle
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.migrations.writer import MigrationWriter
from django.forms import modelform_factory
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from app.encryption.fields import (
    SealedModel,
    SealedTextField,
    SealError,
    open_token,
    opened,
    prefetch_data_keys,
    seal_now,
    token,
)
from app.encryption.keyring import keyring
from tests.encryption.rows import column
from tests.encryption.sample import Letter, Vault

pytestmark = pytest.mark.usefixtures("samples")

SECRET = "hunter2, für immer 🔒"


def again(letter: Letter) -> Letter:
    return Letter.objects.get(pk=letter.pk)


def test_a_saved_text_is_sealed_in_its_row_and_reads_as_before() -> None:
    with CaptureQueriesContext(connection) as queries:
        letter = Letter.objects.create(body=SECRET)
    assert column(letter, "body").startswith("cv1.")
    assert "hunter2" not in str(queries.captured_queries)
    assert letter.body == again(letter).body == SECRET


def test_bulk_create_seals_each_text_for_its_own_row() -> None:
    conversation, organization = uuid4(), uuid4()
    letters = Letter.objects.bulk_create(
        Letter(organization_id=organization, conversation_id=conversation, body=f"text {n}")
        for n in range(50)
    )
    assert len({column(letter, "body") for letter in letters}) == 50
    read = Letter.objects.in_bulk([letter.pk for letter in letters])
    assert [read[letter.pk].body for letter in letters] == [f"text {n}" for n in range(50)]


def test_nothing_stays_nothing_and_empty_stays_empty() -> None:
    letter = Letter.objects.create(body="", note=None)
    assert column(letter, "note") is None
    assert column(letter, "body").startswith("cv1.")
    assert (again(letter).body, again(letter).note) == ("", None)
    letter.note = "something"
    letter.save()
    letter.note = None
    letter.save(update_fields=["note"])
    assert again(letter).note is None
    with pytest.raises(ValueError, match="empty"):
        opened(letter, "note")


def test_the_commitment_is_known_before_the_insert_and_holds_after_it() -> None:
    letter = Letter(body=SECRET)
    sealed = seal_now(letter, "body")
    assert seal_now(letter, "body") == sealed
    assert token(letter, "body") == sealed.token
    letter.save()
    assert column(letter, "body") == sealed.token
    read = opened(again(letter), "body")
    assert (read.text, read.salt) == (SECRET, sealed.salt)
    assert read.commitment == sealed.commitment


def test_a_token_opens_outside_its_row_when_told_where_it_belongs() -> None:
    letter = Letter.objects.create(body=SECRET)
    by_hand = open_token(
        token(again(letter), "body"),
        organization=letter.organization_id,
        table="sample_letter",
        column="body",
        pk=letter.pk,
        conversation=letter.conversation_id,
        revision=letter.revision,
    )
    assert by_hand == opened(letter, "body")


def test_reading_decrypts_once_and_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    letter = again(Letter.objects.create(body=SECRET))
    keyring.forget()
    with CaptureQueriesContext(connection) as queries:
        assert letter.mark == ""
        assert token(letter, "body").startswith("cv1.")
        assert not queries.captured_queries
        _ = letter.body, letter.body
    assert len(queries.captured_queries) == 1  # the data key's


def test_a_row_saved_without_a_change_keeps_its_token_and_commitment() -> None:
    letter = Letter.objects.create(body=SECRET)
    stored = column(letter, "body")
    read = again(letter)
    read.mark = "seen"
    read.save()
    read.full_clean(exclude=["note"])
    read.save()
    read.body = SECRET
    read.save()
    assert column(letter, "body") == stored


def test_an_edit_of_the_same_revision_is_sealed_with_a_new_salt() -> None:
    letter = Letter.objects.create(body="before")
    first = opened(letter, "body")
    letter.body = "after"
    letter.save()
    assert again(letter).body == "after"
    assert opened(again(letter), "body").salt != first.salt


@pytest.mark.parametrize("change", ["revision", "conversation_id", "organization_id", "pk"])
@pytest.mark.parametrize("looked", [True, False])
def test_a_text_follows_its_row_to_another_place_only_when_assigned_anew(
    change: str, looked: bool
) -> None:
    letter = again(Letter.objects.create(body=SECRET))
    if looked:
        assert letter.body == SECRET
    setattr(letter, change, 2 if change == "revision" else uuid4())
    with pytest.raises(SealError), transaction.atomic():
        letter.save()


def test_the_same_text_may_be_assigned_anew_for_another_revision() -> None:
    letter = Letter.objects.create(body=SECRET)
    before = column(letter, "body")
    letter.revision = 2
    letter.body = letter.body
    letter.save()
    assert again(letter).body == SECRET
    assert column(letter, "body") != before


def test_what_was_sealed_early_for_another_place_is_not_stored() -> None:
    letter = Letter(body=SECRET)
    seal_now(letter, "body")
    letter.revision = 2
    with pytest.raises(SealError), transaction.atomic():
        letter.save()


def test_values_show_that_there_is_something_and_no_more() -> None:
    Letter.objects.create(body=SECRET)
    row = Letter.objects.values("body", "note").get()
    assert row == {"body": "<sealed>", "note": None}
    assert json.dumps(row) == '{"body": "<sealed>", "note": null}'
    assert Letter.objects.values_list("body", flat=True).get() == "<sealed>"
    assert f"{Letter.objects.values('body')}" == "<SealedQuerySet [{'body': '<sealed>'}]>"
    assert Letter.objects.annotate(double=models.F("body")).values("double").get() == {
        "double": "<sealed>"
    }


def test_a_reload_brings_the_other_process_s_text_without_opening_it() -> None:
    letter = Letter.objects.create(body="mine")
    other = again(letter)
    other.body = "theirs"
    other.save()
    assert letter.body == "mine"
    letter.refresh_from_db()
    assert "theirs" not in repr(vars(letter))
    assert letter.body == "theirs"
    assert token(letter, "body") == column(letter, "body")


def test_a_reload_undoes_what_was_assigned() -> None:
    letter = Letter.objects.create(body="stored")
    letter.body = "not saved"
    letter.refresh_from_db(fields=["body"])
    assert letter.body == "stored"


def test_a_deferred_text_is_loaded_when_it_is_needed() -> None:
    letter = Letter.objects.create(body=SECRET)
    deferred = Letter.objects.defer("body").get(pk=letter.pk)
    assert "body" in deferred.get_deferred_fields()
    deferred.mark = "seen"
    deferred.save()
    assert "body" in deferred.get_deferred_fields()
    assert deferred.body == SECRET
    assert Letter.objects.only("mark").get(pk=letter.pk).body == SECRET
    assert seal_now(Letter.objects.only("mark").get(pk=letter.pk), "body").text == SECRET


@pytest.mark.usefixtures("installed_sample")
def test_a_pickle_holds_the_token_and_never_the_text() -> None:
    letter = Letter.objects.create(body=SECRET)
    assert letter.body == SECRET
    pickled = pickle.dumps(letter)
    assert b"hunter2" not in pickled
    assert pickle.loads(pickled).body == SECRET
    with pytest.raises(TypeError, match="cannot be pickled") as raised:
        pickle.dumps(Letter(body=SECRET))
    assert "hunter2" not in str(raised.value)
    values = pickle.dumps(list(Letter.objects.values("body")))
    assert b"hunter2" not in values


@pytest.mark.usefixtures("installed_sample")
def test_copies_read_the_same_and_do_not_change_each_other() -> None:
    letter = Letter.objects.create(body=SECRET)
    for copied in (copy.copy(letter), copy.deepcopy(letter)):
        assert copied.body == SECRET
        copied.body = "changed"
        assert letter.body == SECRET


@pytest.mark.usefixtures("installed_sample")
def test_a_copied_row_must_be_given_its_text_anew() -> None:
    letter = Letter.objects.create(body=SECRET)
    double = copy.copy(letter)
    double.pk, double._state.adding = uuid4(), True
    with pytest.raises(SealError), transaction.atomic():
        double.save()
    double.body = letter.body
    double.save()
    assert again(double).body == SECRET


def test_nothing_that_is_printed_shows_the_text() -> None:
    fresh, saved = Letter(body=SECRET), Letter.objects.create(body=SECRET)
    assert saved.body == SECRET
    for letter in (fresh, saved, again(saved)):
        assert "hunter2" not in f"{letter} {letter!r} {vars(letter)}"


def test_dictionaries_forms_and_serializers_leave_the_text_out() -> None:
    letter, vault = Letter.objects.create(body=SECRET), Vault.objects.create(secret=SECRET)
    assert model_to_dict(letter)["body"] == "<sealed>"
    assert model_to_dict(vault)["secret"] == "<sealed>"
    assert "hunter2" not in serializers.serialize("json", [letter, vault])
    assert "hunter2" not in serializers.serialize("xml", [letter, vault])
    form = modelform_factory(Letter, fields="__all__")(instance=letter)
    assert "body" not in form.fields
    assert "mark" in form.fields
    assert "hunter2" not in form.as_p()


def test_a_form_that_is_saved_leaves_the_text_alone() -> None:
    letter = Letter.objects.create(body=SECRET)
    form_class = modelform_factory(Letter, fields=["mark", "body"])
    form = form_class({"mark": "seen", "body": "overwritten"}, instance=letter)
    assert form.is_valid(), form.errors
    form.save()
    assert again(letter).body == SECRET


def test_validators_see_the_text_and_their_errors_do_not_show_it() -> None:
    with pytest.raises(ValidationError) as raised:
        Letter(body="", note=SECRET, mark=SECRET * 9).full_clean()
    assert set(raised.value.message_dict) == {"body", "mark"}
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("value", [b"bytes", 7, models.F("note"), models.Value("x"), ["a"]])
def test_only_a_text_may_be_assigned(value: object) -> None:
    with pytest.raises(TypeError, match="takes a text"):
        Letter(body=value)


def test_a_migration_writes_the_field_without_anything_that_changes() -> None:
    written, imports = MigrationWriter.serialize(SealedTextField(null=True))
    assert written == "app.encryption.fields.SealedTextField(null=True)"
    assert imports == {"import app.encryption.fields"}
    _, path, args, kwargs = Letter._meta.get_field("note").deconstruct()
    assert (path, args, kwargs) == ("app.encryption.fields.SealedTextField", [], {"null": True})


def test_a_model_that_cannot_hold_a_sealed_text_fails_the_system_check() -> None:
    class Postcard(models.Model):
        text = SealedTextField(unique=True)

        class Meta:
            app_label = "sample"

        def __str__(self) -> str:
            return ""

    class Numbered(SealedModel):
        id = models.BigAutoField(primary_key=True)
        text = SealedTextField(db_index=True)

        class Meta:
            app_label = "sample"

        def __str__(self) -> str:
            return ""

    def found(model: type[models.Model]) -> set[str | None]:
        return {message.id for message in model._meta.get_field("text").check()}  # type: ignore[union-attr]

    assert {f"encryption.E00{number}" for number in (1, 2, 3, 4)} <= found(Postcard)
    assert {"encryption.E002", "encryption.E003"} <= found(Numbered)
    with pytest.raises(NotImplementedError, match="sealing_context"):
        Numbered(id=1, text="x").sealing_context()
    with pytest.raises(TypeError, match="not a SealedModel"):
        seal_now(Postcard(text="x"), "text")


def test_a_page_of_texts_costs_one_query_for_their_keys() -> None:
    letters = [Letter.objects.create(body=SECRET) for _ in range(5)]
    page = [again(letter) for letter in letters]
    keyring.forget()
    with CaptureQueriesContext(connection) as queries:
        prefetch_data_keys([*(token(letter, "body") for letter in page), "no token at all"])
        assert [letter.body for letter in page] == [SECRET] * 5
    assert len(queries.captured_queries) == 1


def test_a_text_written_last_month_opens_and_an_edit_uses_this_month_s_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [datetime(2026, 1, 31, 23, 59, 59, 999_000, UTC).timestamp()]
    monkeypatch.setattr("app.encryption.keyring.time.time", lambda: clock[0])
    letter = Letter.objects.create(body="before midnight")
    january = column(letter, "body")[4:24]
    clock[0] += 0.001
    other = Letter.objects.create(
        organization_id=letter.organization_id,
        conversation_id=letter.conversation_id,
        body="after midnight",
    )
    assert column(other, "body")[4:24] != january
    assert again(letter).body == "before midnight"
    letter.body = "edited"
    letter.save()
    assert column(letter, "body")[4:24] == column(other, "body")[4:24]
