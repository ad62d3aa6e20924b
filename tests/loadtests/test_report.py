import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from playwright.sync_api import Browser, sync_playwright

from loadtests import report
from loadtests.charts import clock, linear, logarithmic, number
from loadtests.comparison import FOLDER, Figure, Unlike, compare, keep
from loadtests.figures import summarize
from loadtests.page import page
from loadtests.record import Environment, Fault, Ledger, Phase, read
from tests.loadtests.records import HERE, Made, find_max, steps
from tests.web.axe import bring_axe, serious_faults


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_report_opens_alone_and_reads_well(
    tmp_path: Path, chromium: Browser, width: int, scheme: Any
) -> None:
    Made(
        phases=[Phase(name="steady", since=0, until=8, users=20, rate=10.0)],
        latency_ms={"send": 4.0, "delivery": 6.0},
        faults=[Fault(name="Redis <restarted>", since=5, until=7)],
        failed_share=0.3,
        ledger=Ledger(acknowledged=200, received=3999, lost=1, examples=["a <b> & c"]),
    ).write(tmp_path)
    assert report.main([str(tmp_path), "--baseline", str(tmp_path)]) == 2
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((tmp_path / "report.html").as_uri())

    assert "Incorrect" in opened.locator(".verdict").inner_text()
    assert "a <b> & c" in opened.inner_text("main")
    assert opened.locator("svg.chart").count() > 8
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    opened.locator("summary").first.click()
    assert opened.locator("details[open] td").first.is_visible()
    assert (said, asked) == ([], [(tmp_path / "report.html").as_uri()])
    # All charts are alike, and axe takes its time.
    opened.evaluate("[...document.querySelectorAll('figure')].slice(2).forEach((f) => f.remove())")
    bring_axe(opened)
    assert serious_faults(opened) == []
    context.close()


@pytest.mark.parametrize("made", [Made(), find_max(seconds=3), steps(seconds=3)])
def test_a_report_says_the_verdict_and_keeps_its_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: Made
) -> None:
    made.write(tmp_path)
    code = report.main([str(tmp_path)])
    told = capsys.readouterr().out
    document = json.loads((tmp_path / "report.json").read_bytes())
    assert document["verdict"]["code"] == code
    assert told.startswith(document["verdict"]["title"])
    jsonschema.validate(document, msgspec.json.schema(report.Report))
    assert msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=report.Report)


def test_a_page_asks_for_nothing_outside(tmp_path: Path) -> None:
    report.main([str(steps(seconds=3).write(tmp_path))])
    html = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img|src=", html)


def test_a_run_that_was_killed_has_a_report_that_says_so(tmp_path: Path) -> None:
    Made().write(tmp_path)
    for name in ("worker-1.hlog", "worker-1.counts.jsonl", "resources.jsonl"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    assert report.main([str(tmp_path)]) == 4
    html = (tmp_path / "report.html").read_text()
    assert "Cut short." in html
    assert "worker-1.hlog breaks off" in html


def test_a_run_in_which_nothing_happened_has_a_report(tmp_path: Path) -> None:
    Made(phases=[], latency_ms={}, ledger=None).write(tmp_path)
    (tmp_path / "resources.jsonl").unlink()
    assert report.main([str(tmp_path)]) == 3
    assert "the deployment is on other machines" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere"], "not the folder of a load test"),
        (["RUN", "--objectives", "/nowhere.toml"], "cannot be read"),
        (["RUN", "--baseline", "nobody"], "There is no baseline 'nobody'. There are: "),
        (["RUN", "--baseline", "/nowhere.json"], "cannot be read"),
        (["RUN", "--baseline", "RUN/run.json"], "not what is kept of a run"),
        (["RUN", "--keep", "../../etc"], "A baseline's name has letters"),
    ],
)
def test_what_cannot_be_reported_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    Made().write(tmp_path)
    given = [one.replace("RUN", str(tmp_path)) for one in arguments]
    assert report.main(given) == 5
    assert words in capsys.readouterr().err


# Beside a baseline


def kept(folder: Path, **made: Any) -> Any:
    return keep(summarize(read(Made(**made).write(folder))))


def test_a_run_is_like_itself(tmp_path: Path) -> None:
    one = kept(tmp_path)
    comparison = compare(one, one)
    assert comparison.sentences == ["Nothing is worse or better than by chance."]
    assert {row.ratio for row in comparison.rows} == {1.0}


def test_what_is_slower_is_worse_and_what_chance_does_is_not(tmp_path: Path) -> None:
    before = kept(tmp_path / "a")
    after = kept(tmp_path / "b", latency_ms={"send": 8.0, "delivery": 6.0, "search": 12.0})
    comparison = compare(after, before)
    worse = {row.name for row in comparison.rows if row.verdict == "worse"}
    assert {"send, p50"} <= worse <= {"send, p50", "send, p99"}
    assert any(one.startswith("Worse: send, p50 is 8") for one in comparison.sentences)
    back = compare(before, after)
    assert "send, p50" in {row.name for row in back.rows if row.verdict == "better"}


@pytest.mark.parametrize(
    ("value", "parts", "verdict"),
    [
        (12.0, [12.0] * 8 + [9.0] * 2, "worse"),
        (12.0, [12.0] * 7 + [9.0] * 3, "alike"),
        (10.9, [10.9] * 10, "alike"),
        (8.0, [8.0] * 8 + [11.0] * 2, "better"),
        (8.0, [8.0] * 7 + [11.0] * 3, "alike"),
        (12.0, [], "worse"),
        (12.0, [None] * 10, "worse"),
    ],
)
def test_worse_is_a_tenth_more_in_eight_of_ten_parts(
    tmp_path: Path, value: float, parts: list[float | None], verdict: str
) -> None:
    figure = Figure(name="p50", unit="ms", better="lower", value=10, parts=[10.0] * 10)
    there = msgspec.structs.replace(kept(tmp_path), figures=[figure])
    now = msgspec.structs.replace(figure, value=value, parts=parts)
    [row] = compare(msgspec.structs.replace(there, figures=[now]), there).rows
    assert row.verdict == verdict


def test_less_throughput_is_worse(tmp_path: Path) -> None:
    before = kept(tmp_path / "a")
    after = kept(tmp_path / "b", failed_share=0.5)
    verdicts = {row.name: row.verdict for row in compare(after, before).rows}
    assert verdicts["send, done"] == "worse"
    assert verdicts["CPU of gateway for one send"] == "worse"


def test_what_is_no_longer_measured_is_told(tmp_path: Path) -> None:
    before, after = kept(tmp_path / "a"), kept(tmp_path / "b", latency_ms={"send": 4.0})
    assert "search, p99 was not measured this time." in compare(after, before).sentences


def test_another_profile_is_never_compared(tmp_path: Path) -> None:
    with pytest.raises(Unlike, match="different work"):
        compare(kept(tmp_path / "a"), kept(tmp_path / "b", profile="steps"), unlike_machines=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu": "Another"}, "Another there"),
        ({"cores": 8}, "8 cores there"),
        ({"memory_bytes": 16 << 30}, "16.0 GiB of memory there"),
    ],
)
def test_another_machine_is_compared_only_when_asked(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    here = kept(tmp_path)
    elsewhere: Environment = msgspec.structs.replace(HERE, **changes)
    there = msgspec.structs.replace(here, environment=elsewhere)
    with pytest.raises(Unlike, match=words):
        compare(here, there)
    assert words in compare(here, there, unlike_machines=True).sentences[-1]


def test_a_baseline_is_kept_small_and_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path / "baselines")
    run = Made().write(tmp_path / "run")
    assert report.main([str(run), "--keep", "one"]) == 0
    assert (tmp_path / "baselines" / "one.json").stat().st_size < 8192
    assert report.main([str(run), "--baseline", "one"]) == 0
    assert "Nothing is worse or better" in capsys.readouterr().out


@pytest.mark.parametrize(
    "made", [Made(lag_ms=2000.0), Made(ledger=Ledger(acknowledged=1, received=1, lost=1))]
)
def test_what_says_nothing_is_no_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made: Made
) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path / "baselines")
    run = made.write(tmp_path / "run")
    assert report.main([str(run), "--keep", "one"]) == 5
    assert "Not kept: " in capsys.readouterr().err
    assert not (tmp_path / "baselines").exists()


def test_baselines_in_the_repository_can_be_read() -> None:
    for path in FOLDER.glob("*.json"):
        assert report._baseline(path.stem).figures


# Charts


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([], [0, 1]),
        ([0.0, None], [0, 1]),
        ([97.0], [0, 25, 50, 75, 100]),
        ([-3.0, 5.0], [-4, -2, 0, 2, 4, 6]),
        ([0.3], [0, 0.1, 0.2, 0.3]),
    ],
)
def test_an_axis_has_round_ticks_around_its_values(
    values: list[float | None], ticks: list[float]
) -> None:
    assert linear(values).ticks == pytest.approx(ticks)


def test_a_wide_span_is_drawn_by_decades() -> None:
    scale = logarithmic([3.0, 900.0, None])
    assert (scale.log, scale.ticks) == (True, [1, 10, 100, 1000])
    assert scale.y(1) > scale.y(10) > scale.y(1000)
    assert not logarithmic([3.0, 80.0]).log


def test_figures_are_told_shortly() -> None:
    assert [number(one) for one in (None, 0, 0.00042, 0.0123, 12.345, 1234.5)] == [
        *("–", "0", "4.2e-04", "0.0123", "12.3", "1,234"),
    ]
    assert [clock(one) for one in (5, 75, 3700)] == ["5 s", "1:15", "1 h 01"]


def test_what_a_run_says_cannot_break_the_page(tmp_path: Path) -> None:
    made = Made(
        profile="smoke", environment=msgspec.structs.replace(HERE, cpu="<script>x</script>")
    )
    made.write(tmp_path)
    made_report = report.make(tmp_path)
    assert "<script" not in page(made_report.summary, made_report.verdict)
