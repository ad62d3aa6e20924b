"""`deploy.sh` against a gcloud that remembers (tests/fakes/gcloud.py)."""

import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cloudrun.rendered import CLOUDRUN, EXAMPLE, deploy
from tests.fakes.gcloud import Gcloud


@dataclass
class Project:
    """A project of Google's, and a machine with its tools."""

    google: Gcloud
    folder: Path

    def run(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        return deploy(*words, environment=path | environment)

    def must(self, *words: str, **environment: str) -> str:
        done = self.run(*words, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def becomes_unready(self) -> None:
        (self.folder / "unready").touch()

    def calls(self, *beginning: str) -> list[list[str]]:
        return [one for one in self.google.calls if one[: len(beginning)] == list(beginning)]

    def serving(self, service: str) -> dict[str, int]:
        return self.google.services[service].traffic


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Gcloud.running() as google:
        google.install(tmp_path)
        # Whether https://…/readyz answers, and what would be sent to Cloud SQL's API.
        _program(
            tmp_path / "curl",
            f'case "$*" in *readyz*) [ ! -e {tmp_path}/unready ] ;;'
            f' *) cat >/dev/null; echo "$*" >>{tmp_path}/asked ;; esac',
        )
        yield Project(google, tmp_path)


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_dry_run_prints_every_call_and_makes_none(project: Project) -> None:
    for command in ("setup", "lock", "build", "deploy", "status"):
        assert "+ gcloud " in project.must("--dry-run", command)
    assert project.google.calls == []


def test_setting_up_twice_makes_nothing_twice_and_shows_no_secret(project: Project) -> None:
    said = project.must("setup")
    made = {name: [*versions] for name, versions in project.google.secrets.items()}
    there = {*project.google.there}
    again = project.run("setup")
    assert again.returncode == 0, again.stderr
    assert "ALREADY_EXISTS" not in again.stderr
    assert project.google.there == there
    assert project.google.secrets == made

    values = [versions[-1] for versions in made.values()]
    assert len({*values}) == len(values) == 14
    arguments = str(project.google.calls) + (project.folder / "asked").read_text()
    for value in values:
        assert len(value) > 24 or value == "-----B"
        assert value not in said + arguments
    url = made["parley-database-url-app"][0]
    assert url.startswith("postgres://parley_web:")
    assert url.endswith("@%2Fcloudsql%2Fmy-project%3Aeurope-west1%3Aparley/parley")


def test_the_first_version_gets_all_traffic_after_the_migration(project: Project) -> None:
    project.must("deploy", RELEASE="r1")
    order = [" ".join(words[:4]) for words in project.google.calls]
    serves = [at for at, call in enumerate(order) if call.startswith("run services replace")]
    assert order.index("run jobs execute parley-migrate") < min(serves)
    for service in ("parley-web", "parley-gateway"):
        assert project.serving(service) == {f"{service}-r1": 100}
    assert len(project.calls("beta", "run", "worker-pools", "replace")) == 3


def test_a_new_version_gets_its_traffic_by_and_by_and_gives_it_back(project: Project) -> None:
    for release in ("r1", "r2"):
        project.must("deploy", RELEASE=release)
    assert [traffic for service, traffic in project.google.shifts if service == "parley-web"] == [
        {"parley-web-r2": 10, "parley-web-r1": 90},
        {"parley-web-r2": 50, "parley-web-r1": 50},
        {"parley-web-r2": 100},
    ]
    project.must("rollback")
    assert project.serving("parley-web") == {"parley-web-r1": 100}
    assert project.serving("parley-gateway") == {"parley-gateway-r1": 100}
    splits = project.calls("beta", "run", "worker-pools", "update-instance-split")
    assert {words[words.index("--to-revisions") + 1] for words in splits} == {
        f"parley-{pool}-r1=100" for pool in ("sealer", "worker", "scheduler")
    }
    done = project.run("rollback")
    assert done.returncode == 1
    assert "no revision of parley-web before parley-web-r1" in done.stderr


def test_a_version_that_is_not_ready_loses_its_traffic_again(project: Project) -> None:
    project.must("deploy", RELEASE="r1")
    project.becomes_unready()
    done = project.run("deploy", RELEASE="r2")
    assert done.returncode == 1
    assert "goes back" in done.stderr
    assert project.serving("parley-web") == {"parley-web-r1": 100}
    assert project.serving("parley-gateway") == {"parley-gateway-r1": 100}


@pytest.mark.parametrize("job", ["parley-roles", "parley-migrate"])
def test_a_job_that_fails_ends_it_before_anything_serves_differently(
    project: Project, job: str
) -> None:
    project.must("deploy", RELEASE="r1")
    project.google.failing = f"run jobs execute {job}"
    assert project.run("deploy", RELEASE="r2").returncode != 0
    assert project.serving("parley-web") == {"parley-web-r1": 100}
    assert project.google.services["parley-web"].revisions == ["parley-web-r1"]


def test_it_says_what_it_can_do_and_refuses_the_rest() -> None:
    done = deploy()
    assert done.returncode == 2
    assert "rollback" in done.stderr
    assert deploy("--dryrun", "deploy").returncode == 1
    done = deploy("deploy", config=Path("/none/config.env"))
    assert "copy config.env.example" in done.stderr


def test_the_scripts_are_shell() -> None:
    for shell, script in (("bash", "deploy.sh"), ("sh", "turn.sh")):
        subprocess.run([shell, "-n", CLOUDRUN / script], check=True)
    assert EXAMPLE.exists()
