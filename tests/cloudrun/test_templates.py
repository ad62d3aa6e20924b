"""What `cloudrun/` would deploy, against Google's own description of it, offline."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from app import start
from tests.cloudrun import discovery
from tests.cloudrun.rendered import container, deploy, readers, rendered, revision, secrets_of

RUNNING = ["web", "gateway", "worker", "scheduler", "sealer", "migrate", "manage", "roles"]
CALLED = {"serving.knative.dev/v1": "Service", "run.googleapis.com/v1": None}


def faults(thing: dict[str, Any]) -> list[str]:
    """All that Cloud Run would refuse of it."""
    kind = CALLED[thing["apiVersion"]] or thing["kind"]
    found = discovery.problems("run.v1", kind, thing)
    found += _misplaced(thing.get("metadata", {}), kind)
    inner = "Execution" if kind == "Job" else "Revision"
    found += _misplaced(thing["spec"]["template"].get("metadata", {}), inner)
    found += _mounts(thing)
    return found


def _misplaced(metadata: dict[str, Any], place: str) -> list[str]:
    # A pool is told how it scales as a service is (Cloud Run, "Manage worker pools").
    places = {place, "Service"} if place == "WorkerPool" else {place}
    known = discovery.annotations()
    return [
        f"{place}: the annotation {name} does not stand here"
        for name in metadata.get("annotations", {})
        if not places & known.get(name, set()) and "All resources" not in known.get(name, set())
    ]


def _mounts(thing: dict[str, Any]) -> list[str]:
    there = {one["name"] for one in revision(thing).get("volumes", [])}
    containers = revision(thing)["containers"]
    used = {one["name"] for each in containers for one in each.get("volumeMounts", [])}
    return [f"no such volume: {name}" for name in used - there] + [
        f"nobody mounts {name}" for name in there - used
    ]


@pytest.mark.parametrize("name", RUNNING)
def test_cloud_run_takes_it(name: str) -> None:
    assert faults(rendered()[name]) == []


@pytest.mark.parametrize("name", ["routes", "redirect"])
def test_the_balancer_takes_its_map(name: str) -> None:
    assert discovery.problems("compute.v1", "UrlMap", rendered()[name]) == []


def test_sockets_go_to_the_gateway_and_nothing_else_does() -> None:
    [paths] = rendered()["routes"]["pathMatchers"]
    [rule] = paths["pathRules"]
    assert rule["paths"] == ["/ws"]
    assert rule["service"].endswith("/parley-gateway")
    assert paths["defaultService"].endswith("/parley-web")


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(thing: dict[str, Any]) -> None:
        *way, last = path.split("/")
        place: Any = thing
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[int(last) if isinstance(place, list) else last] = value

    return change


SPEC = "spec/template/spec"
MISTAKES = {
    "a name that is spelled wrong": _set(f"{SPEC}/containerConcurency", 80),
    "a number as text": _set(f"{SPEC}/containerConcurrency", "80"),
    "a limit as a number": _set(f"{SPEC}/containers/0/resources/limits/cpu", 1),
    "an annotation at the wrong place": _set(
        "metadata/annotations", {"run.googleapis.com/sessionAffinity": "true"}
    ),
    "an annotation that is a number": _set(
        "metadata/annotations", {"run.googleapis.com/ingress": 1}
    ),
    "an annotation nobody knows": _set(
        "metadata/annotations", {"run.googleapis.com/sesionAffinity": "true"}
    ),
    "a probe of a kind there is not": _set(f"{SPEC}/containers/0/startupProbe/http", {"path": "/"}),
    "an environment that is a mapping": _set(f"{SPEC}/containers/0/env", {"A": "b"}),
    "a volume that is not there": _set(f"{SPEC}/volumes", []),
    "a port with another word": _set(f"{SPEC}/containers/0/ports/0/port", 8080),
    "the wrong shape of a secret": _set(
        f"{SPEC}/containers/0/env/0", {"name": "A", "valueFrom": {"secret": "a"}}
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    thing = copy.deepcopy(rendered()["gateway"])
    MISTAKES[mistake](thing)
    assert faults(thing)


@pytest.mark.parametrize("name", RUNNING)
def test_it_runs_a_process_that_there_is(name: str) -> None:
    thing = rendered()[name]
    assert start.command(container(thing)["args"], {"PORT": "8080"})
    assert "command" not in container(thing), "the image's entry point is used"


def test_who_reads_a_secret_is_whoever_is_given_it_and_nobody_else() -> None:
    given: dict[str, set[str]] = {}
    for name in RUNNING:
        account = revision(rendered()[name])["serviceAccountName"]
        who = account.removeprefix("parley-").partition("@")[0]
        for secret in secrets_of(rendered()[name]):
            given.setdefault(secret, set()).add(who)
    given["parley-turn"].add("turn")  # the relay's machine (turn.sh)
    assert readers() == given


def test_only_the_sealer_can_sign_and_it_opens_nothing() -> None:
    assert readers()["parley-signing"] == {"sealer"}
    opening = {"parley-fields", "parley-blind-index", "parley-pseudonyms", "parley-jwt"}
    assert not opening & secrets_of(rendered()["sealer"])
    assert "KMS_KEY" not in {one["name"] for one in container(rendered()["sealer"])["env"]}


@pytest.mark.parametrize("name", RUNNING)
def test_no_secret_is_a_plain_value(name: str) -> None:
    for one in container(rendered()[name])["env"]:
        # KMS_KEY is a name: what it names never leaves Google.
        secret = re.search("SECRET|DATABASE_URL$|_KEY$", one["name"]) and one["name"] != "KMS_KEY"
        assert ("valueFrom" in one) == bool(secret) or one["name"] == "REDIS_URL", one["name"]


def test_the_limits_of_the_gateway_fit_each_other() -> None:
    gateway = rendered()["gateway"]
    values = {one["name"]: one.get("value") for one in container(gateway)["env"]}
    concurrency = revision(gateway)["containerConcurrency"]
    assert int(values["GATEWAY_SOCKETS"] or 0) < concurrency < 1000  # Cloud Run's most
    assert revision(gateway)["timeoutSeconds"] == 3600
    made = gateway["spec"]["template"]["metadata"]["annotations"]
    assert made["run.googleapis.com/sessionAffinity"] == "true"
    assert int(made["autoscaling.knative.dev/minScale"]) >= 1


def test_each_request_of_the_web_service_has_a_thread_and_so_have_probes() -> None:
    web = rendered()["web"]
    values = {one["name"]: one.get("value") for one in container(web)["env"]}
    assert revision(web)["containerConcurrency"] == int(values["WEB_THREADS"] or 0) - 1


def test_a_configuration_that_lacks_something_is_refused_by_name(tmp_path: Any) -> None:
    config = tmp_path / "config.env"
    config.write_text("PROJECT=p q\nDOMAIN=chat.example.org\nDOMIAN=x\nWORKERS=two\n")
    done = deploy("render", str(tmp_path / "out"), config=config)
    assert done.returncode == 1
    for word in ("PROJECT", "DOMIAN", "WORKERS", "REGION", "IMAGE"):
        assert f"  - {word}" in done.stderr
    assert "  - DOMAIN" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [[], ["nothing"], ["manage"], ["web", "more"]])
def test_a_process_that_there_is_not_is_refused_with_those_there_are(words: list[str]) -> None:
    with pytest.raises(ValueError, match="web, gateway, worker"):
        start.command(words, {})
