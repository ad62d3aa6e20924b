"""Tables for the sample models, made by the owner as a migration would."""

from collections.abc import Iterator

import pytest
from django.apps import AppConfig, apps
from pytest_django import DjangoDbBlocker

from app.encryption.keyring import keyring
from tests.encryption import sample
from tests.encryption.tables import make_tables
from tests.live import LiveDatabase
from tests.stack import Stack


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
