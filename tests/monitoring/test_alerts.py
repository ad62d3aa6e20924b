"""Rules and dashboards name what there is: metrics, their kinds and labels, words, chapters."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import metrics
from app.settings.env import listening

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "cloudrun" / "monitoring"
OF_THE_PROCESS = {"process_resident_memory_bytes"}
# What Prometheus or a scrape's configuration adds to every series.
ADDED = {"instance", "job", "le"}
SOURCES = "\n".join(path.read_text() for path in (PROJECT / "app").rglob("*.py"))

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TOKEN = re.compile(
    rf"""\s*(?:(?P<name>{_NAME})|(?P<number>[0-9.]+)|(?P<text>"[^"]*")|(?P<range>\[[^]]+\])
    |(?P<sign>==|!=|=~|!~|>=|<=|[-+*/(){{}},<>=]))""",
    re.VERBOSE,
)
WORDS = {
    "sum", "max", "min", "count", "rate", "increase", "absent", "histogram_quantile", "by", "and",
    "or", "on", "group_left",
}  # fmt: skip


def tokens(expression: str) -> list[tuple[str, str]]:
    """(kind, text) of each token. Raises ValueError for what is none, or is not closed."""
    found, at, open_ = [], 0, list[str]()
    text = expression.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"at {text[at:]!r}")
        token = match[match.lastgroup]
        found.append((match.lastgroup, token))
        if token in "({":
            open_.append({"(": ")", "{": "}"}[token])
        elif token in ")}" and (not open_ or open_.pop() != token):
            raise ValueError(f"{token} closes nothing")
        at = match.end()
    if open_:
        raise ValueError(f"{open_} is missing")
    return found


def mistakes(expression: str, recorded: set[str]) -> list[str]:
    """What the expression names that is not there."""
    found, selected = [], list[str]()
    spoken = tokens(expression)
    for place, (kind, token) in enumerate(spoken):
        before = [text for _, text in spoken[:place]]
        if kind != "name" or token in WORDS:
            continue
        if before[-1:] and _within(before) == "{":
            name, (_, operator), (_, value) = token, spoken[place + 1], spoken[place + 2]
            found += _label_mistakes(selected[-1:], name, operator, value)
        elif _within(before) in {"by", "on", "group_left"}:
            found += _group_mistakes(expression, token)
        else:
            selected.append(token)
            found += _metric_mistakes(token, before, recorded)
    return found


def _within(before: list[str]) -> str:
    """The bracket that is open here: what stands before it, or `{`."""
    depth = 0
    for place in range(len(before) - 1, -1, -1):
        if before[place] in ")}":
            depth += 1
        elif before[place] in "({":
            if depth == 0:
                return "{" if before[place] == "{" else (before[place - 1] if place else "")
            depth -= 1
    return ""


def _metric_mistakes(name: str, before: list[str], recorded: set[str]) -> list[str]:
    if name in recorded | OF_THE_PROCESS:
        return []
    plain = re.sub("_bucket$", "", name)
    instrument = metrics.instruments.get(plain)
    if instrument is None:
        return [f"there is no {name}"]
    if isinstance(instrument, metrics.Histogram) != (plain != name):
        return [f"{name} is read as another kind"]
    grows = not isinstance(instrument, metrics.Gauge)
    if grows != (before[-2:] in (["rate", "("], ["increase", "("])):
        return [f"{name} {'grows and needs' if grows else 'is a gauge and has'} a rate"]
    return []


def _label_mistakes(selected: list[str], label: str, operator: str, value: str) -> list[str]:
    instrument = metrics.instruments.get(re.sub("_bucket$", "", (selected or [""])[0]))
    if instrument is None or label not in instrument.labels:
        return [f"{selected} has no label {label}"]
    words = re.sub(r"(\w+):\((.*)\)", lambda m: "|".join(f"{m[1]}:{w}" for w in m[2].split("|")),
                   value.strip('"')).split("|")  # fmt: skip
    known = r'["\'](?:{0})["\']|\b{0} = |{0}xx|"{0}"'
    return [
        f"nothing counts {label}={word}"
        for word in words
        if word not in {"5xx", "4108"} and not re.search(known.format(re.escape(word)), SOURCES)
    ]


def _group_mistakes(expression: str, label: str) -> list[str]:
    names = {re.sub("_bucket$", "", name) for name in re.findall(r"parley_[a-z_]+", expression)}
    labels = {label for name in names if (i := metrics.instruments.get(name)) for label in i.labels}
    return [] if label in labels | ADDED else [f"nothing has the label {label}"]


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / "rules.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


RECORDED = {rule["record"] for rule in rules() if "record" in rule}
ALERTS = [rule for rule in rules() if "alert" in rule]
DASHBOARDS = sorted(FOLDER.glob("dashboard-*.json"))


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_what_is_asked_of_prometheus_is_there(name: str, expression: str) -> None:
    assert mistakes(expression, RECORDED) == []


@pytest.mark.parametrize(
    "expression",
    [
        "max(parley_trail_lagg_seconds) > 60",
        "max(parley_jobs_total) > 1",
        "sum(rate(parley_voice_places[5m]))",
        'sum(rate(parley_gateway_handshakes_total{outcome="turned_of"}[5m]))',
        'sum(rate(parley_gateway_handshakes_total{result="accepted"}[5m]))',
        "sum by (user) (rate(parley_jobs_total[5m]))",
        "histogram_quantile(0.9, sum by (le) (rate(parley_send_stage_seconds[5m])))",
        "max(parley:http_failures:ratio_rate7m)",
    ],
)
def test_a_mistake_in_a_rule_is_found(expression: str) -> None:
    assert mistakes(expression, RECORDED)


@pytest.mark.parametrize("expression", ["max(x", "x)", "sum(rate(x[5m])", "x ? y", '{a="b"'])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"at |closes|missing"):
        tokens(expression)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_urgent_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert re.fullmatch("[0-9]+[smh]", rule.get("for", "0s"))
    assert len(rule["annotations"]["summary"]) <= 100
    page, _, chapter = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (PROJECT / page).read_text(), re.MULTILINE)
    assert chapter in {heading.lower().replace(" ", "-") for heading in headings}


def test_what_the_requirements_ask_to_be_woken_for_is_an_alert() -> None:
    assert {rule["alert"] for rule in ALERTS} >= {
        "SealerBehind", "AnchorOld", "AnchorDisagrees", "VerificationFailed", "TrailRefused",
        "BudgetBurnsFast", "BudgetBurns", "RedisLinkDown", "JobsWait", "NobodyTells",
    }  # fmt: skip


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_that_grafana_loads(path: Path) -> None:
    board = json.loads(path.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(set(places)) == len(places)
    for panel in board["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
    assert [item["name"] for item in board["templating"]["list"]] == ["source"]


def test_what_compose_scrapes_are_its_services_at_the_port_where_they_answer() -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    (job,) = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    _, ports = listening(compose["x-parley"]["environment"]["METRICS_LISTEN"]) or ("", range(0))
    assert found["port"] == ports[0]
    serving = {"web", "gateway", "worker", "scheduler", "sealer"}
    assert set(found["names"]) == serving
    for name in serving:
        service = compose["services"][name]
        assert service["command"] == [name]
        assert service["environment"] == compose["x-parley"]["environment"]
    for name in ("prometheus", "grafana"):
        assert compose["services"][name]["profiles"] == ["monitoring"]
