"""Tables for the sample models, made by the owner as a migration would."""

from collections.abc import Iterator

import psycopg2
import pytest
from django.apps import AppConfig, apps
from django.db import connection
from pytest_django import DjangoDbBlocker

from app.encryption.keyring import keyring
from tests.encryption import sample
from tests.encryption.sample import Letter, Stock, Vault
from tests.live import LiveDatabase
from tests.stack import Stack

_SAMPLES = (Letter, Vault, Stock)


def make_tables(owner_url: str) -> None:
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        for model in _SAMPLES:
            editor.create_model(model)
    with psycopg2.connect(owner_url) as owner, owner.cursor() as cursor:
        for statement in editor.collected_sql:
            cursor.execute(statement)
    owner.close()


@pytest.fixture(scope="session")
def _sample_tables(stack: Stack, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        make_tables(stack.database().owner_url)


@pytest.fixture
def samples(_sample_tables: None, db: None) -> None:
    """The sample tables, in a transaction that is rolled back."""


@pytest.fixture
def live_samples(live_db: LiveDatabase) -> LiveDatabase:
    """The sample tables in a database where commits are real."""
    make_tables(live_db.owner_url)
    return live_db


@pytest.fixture
def installed_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets Django find the samples by name, as unpickling and copying do."""
    config = AppConfig("sample", sample)
    config.apps, config.models = apps, apps.all_models["sample"]
    monkeypatch.setitem(apps.app_configs, "sample", config)


@pytest.fixture(autouse=True)
def _fresh_keyring() -> Iterator[None]:
    keyring.forget()
    yield
    keyring.forget()
