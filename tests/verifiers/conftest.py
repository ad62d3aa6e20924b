"""A log of a thousand entries, collected once for a process; each test alters a copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from app.accounts.services import found_organization
from app.audit.disclosure import latest_tree
from app.audit.models import Cosignature
from tests.audit.test_sealing import seal
from tests.audit.trail import write
from tests.cast import api_client, join
from tests.compliance.packages import WITNESS, cosign, signing_key
from tests.live import LiveDatabase
from tests.stack import Stack
from tests.verifiers.kit import collect


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker for all, so that nothing is built or installed twice."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("verifiers"))


@pytest.fixture(scope="session")
def collected(
    stack: Stack,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("kit")
    with stack.fresh_database() as database, django_db_blocker.unblock():
        live = LiveDatabase(database)
        with live.acting_as("app"):
            organization = found_organization(slug="acme", name="Acme")
            client = api_client(join(organization, "alice"))
            write(300, organization.pk)
            seal(live)
            old = latest_tree(organization.pk)
            assert old is not None
            write(700, organization.pk)
            seal(live)
            new = latest_tree(organization.pk)
            assert new is not None
            cosigned = cosign(new.note, signing_key("a witness"))
            Cosignature.objects.create(
                organization_id=organization.pk,
                witness=WITNESS,
                size=new.size,
                note=cosigned,
                at=new.at,
            )
            collect(client, str(organization.pk), folder, old.note)
        yield folder


@pytest.fixture
def kit(collected: Path, tmp_path: Path) -> Path:
    """A copy to alter."""
    return Path(shutil.copytree(collected, tmp_path / "kit"))
