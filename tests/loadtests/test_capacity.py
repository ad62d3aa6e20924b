from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app import connections
from loadtests import capacity
from loadtests.assumptions import FILE, Assumptions, BadCapacity, load, remarks
from loadtests.plan import Measured, Plan, measured, plan
from loadtests.record import Ledger
from loadtests.summary import AtKnee
from tests.loadtests.records import Made, find_max

FOUND = Measured(
    knee=1000.0, idle_mib=124.0, socket_kib=64.0, database_seconds=0.002, sources=["by hand"]
)

GATEWAY, WEB, WORKER, OTHERS = 24, 15, 7, 28


def assumptions(**changes: Any) -> Assumptions:
    """Round numbers, so that an example can be computed by hand."""
    base = {
        "online": 0.5,
        "sockets_each": 1.0,
        "sends_per_hour": 12.0,
        "peak": 3.0,
        "audience": 20.0,
        "requests_per_hour": 120.0,
        "quiet": 0.1,
        "busy_hours": 200.0,
        "messages_per_day": 10.0,
        "web_requests": 50.0,
        "gateway_gib": 1.0,
        "stored_kib": 4.0,
        "stored_months": 12.0,
    }
    return load(FILE, [f"{name}={value}" for name, value in (base | changes).items()])


def planned(members: int, found: Measured = FOUND, **changes: Any) -> Plan:
    return plan(members, found, assumptions(**changes))


def test_sockets_ask_for_most() -> None:
    """10,000 members: 5,000 sockets / 950 = 5.26; 5,000 × 12 / 3,600 × 3 = 50 sends, × 20 =
    1,000 deliveries / 1,000 = 1; 5,000 × 64 KiB = 312.5 MiB / (1,024 - 124) = 0.35;
    5.26 / 0.7 = 7.5: 8 instances."""
    made = planned(10_000)
    assert made.demand.sockets == 5000
    assert made.demand.sends == pytest.approx(50)
    assert made.demand.deliveries == pytest.approx(1000)
    assert made.demand.memory_mib == pytest.approx(312.5)
    assert (made.binding, made.instances) == ("sockets", 8)
    # A tenth of the load: 0.75, but never fewer than two.
    assert made.least_instances == 2
    # 5,000 × 120 / 3,600 × 3 = 500 requests / 50 / 0.7 = 14.3.
    assert made.web_instances == 15
    # 8 gateways and 15 of web, with 2 and 1 of the next version; 50 × 2 ms / 0.7 = 0.14 cores.
    assert made.connections == 10 * GATEWAY + 16 * WEB + 2 * WORKER + OTHERS == 522
    assert made.database is not None
    assert (made.database.vcpu, made.database.connections) == (8, 600)
    # 10,000 × 10 × 22 × 12 × 4 KiB.
    assert made.storage_gib == pytest.approx(100.7, abs=0.1)


def test_deliveries_ask_for_most() -> None:
    """An audience of 200: 10,000 deliveries / 1,000 / 0.7 = 14.3."""
    made = planned(10_000, audience=200)
    assert (made.binding, made.instances) == ("deliveries", 15)


def test_memory_asks_for_most() -> None:
    """5,000 × 2 MiB / 900 / 0.7 = 15.9."""
    made = planned(10_000, msgspec.structs.replace(FOUND, socket_kib=2048.0))
    assert (made.binding, made.instances) == ("memory", 16)


def test_nobody_hears_a_message_who_is_not_there() -> None:
    """2 members, one of them online: an audience of one, not of twenty."""
    assert planned(2).demand.deliveries == pytest.approx(0.01)


def test_a_whole_number_of_full_instances_is_not_rounded_up() -> None:
    """13,300 members: 6,650 / 950 = 7 / 0.7 = 10."""
    assert planned(13_300).instances == 10


def test_the_costs_of_a_month() -> None:
    """Gateways: 8 for 200 h and 2 for 530 h, 2,660 h at (0.000018 + 0.000002) × 3,600 = 0.072.
    PostgreSQL: 2 × (730 × (8 × 0.0413 + 30 × 0.007) + 100.7 × 0.17). Redis: 730 × 0.064.
    Traffic: 333.3 a second × 3,600 × (200 + 53) h × 700 bytes = 197.9 GiB × 0.12."""
    made = planned(10_000)
    assert made.costs["gateways"] == pytest.approx(191.52)
    assert made.costs["PostgreSQL"] == pytest.approx(2 * (730 * 0.5404 + 17.12), abs=0.1)
    assert made.costs["Redis"] == pytest.approx(46.72)
    assert made.costs["traffic to members"] == pytest.approx(23.75, abs=0.05)
    assert made.costs["worker, scheduler, sealer"] == pytest.approx(3 * 730 * 0.072)
    assert made.month == pytest.approx(sum(made.costs.values()))


def test_a_process_has_a_core_and_its_connections() -> None:
    """Of two cores, two processes: 20,000 deliveries / 2,000 / 0.7 = 14.3."""
    made = planned(10_000, gateway_vcpu=2, gateway_gib=2, audience=400)
    assert (made.binding, made.instances) == ("deliveries", 15)
    assert made.connections == 17 * 2 * GATEWAY + 16 * WEB + 2 * WORKER + OTHERS


def test_the_connections_are_those_that_processes_hold_themselves_to() -> None:
    assumed = load().deployment
    held = connections.of_gateway(assumed.gateway_threads, assumed.gateway_requests)
    assert (held, connections.of_web(assumed.web_threads)) == (GATEWAY, WEB)
    assert connections.of_worker(assumed.worker_threads) == WORKER


def test_more_than_a_database_takes_is_told() -> None:
    made = planned(1_000_000)
    assert made.database is None
    assert "PgBouncer" in made.warnings[0]
    assert "quota" in made.warnings[1]
    assert made.month > 10_000


def test_more_members_never_need_less() -> None:
    plans = [planned(members) for members in (1, 100, 2_000, 30_000, 100_000)]
    for fewer, more in pairwise(plans):
        assert fewer.instances <= more.instances
        assert fewer.connections <= more.connections
        assert fewer.month <= more.month


@pytest.mark.parametrize("members", [0, -5, 10_000_001])
def test_members_that_cannot_be_are_refused(members: int) -> None:
    with pytest.raises(BadCapacity, match="Members are from 1 to 10,000,000"):
        planned(members)


def test_a_gateway_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadCapacity, match=r"gateway_gib = 0\.1 leaves nothing"):
        planned(10, gateway_gib=0.1)


# From a run


def knee(**changes: Any) -> AtKnee:
    fields: dict[str, Any] = {
        "sends": 50.0,
        "deliveries": 1000.0,
        "users": 100,
        "gateways": 2,
        "gateway_cores": 1.5,
        "postgres_cores": 0.1,
        "gateway_mib_idle": 300.0,
        "gateway_mib": 340.0,
    }
    return AtKnee(**(fields | changes))


def test_what_one_gateway_held() -> None:
    found = measured(knee(users=400), load().deployment)
    assert (found.knee, found.idle_mib) == (500, 150)
    assert found.socket_kib == pytest.approx(102.4)
    assert found.database_seconds == pytest.approx(0.002)


def test_few_users_say_nothing_of_a_socket() -> None:
    found = measured(knee(), load().deployment)
    assert found.socket_kib == load().deployment.socket_kib
    assert any("assumed, the run had 100 users" in source for source in found.sources)


@pytest.mark.parametrize("at_knee", [None, knee(gateways=0), knee(deliveries=0.0)])
def test_without_a_knee_nothing_is_told(at_knee: AtKnee | None) -> None:
    with pytest.raises(BadCapacity, match="PROFILE=find-max"):
        measured(at_knee, load().deployment)
    assert measured(at_knee, load().deployment, knee=70.0).knee == 70


# From the command line


def test_each_assumption_is_explained() -> None:
    numbers = {
        *msgspec.structs.asdict(load().people),
        *msgspec.structs.asdict(load().deployment),
    }
    assert numbers - set(remarks()) == set()


def test_a_table_a_page_and_json_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find_max(seconds=3).write(tmp_path)
    arguments = [str(tmp_path), "--members", "5000", "--assume", "online=0.5"]
    assert capacity.main(arguments) == 0
    told = capsys.readouterr().out
    assert "5,000 members" in told
    assert "knee: 180 deliveries a second of 1 gateways" in told
    assert "online                 0.5  share that has Parley open" in told
    html = (tmp_path / "capacity.html").read_text()
    assert html.count("<figure>") == 3
    for asked in ("<script", "<link", "<img", "src=", "url("):
        assert asked not in html
    made = msgspec.json.decode((tmp_path / "capacity.json").read_bytes(), type=Plan)
    assert (made.members, made.demand.sockets) == (5000, 3250)


@pytest.mark.parametrize(
    ("made", "arguments", "words"),
    [
        (Made(), [], "This run has no knee"),
        (Made(lag_ms=900), [], "Void"),
        (Made(ledger=Ledger(acknowledged=9, received=9, lost=1)), [], "Incorrect"),
        (Made(), ["--knee", "500", "--members", "0"], "Members are from 1"),
        (Made(), ["--assume", "onlin=1"], "NAME is of: audience"),
        (Made(), ["--assume", "online"], "NAME=NUMBER"),
        (Made(), ["--assume", "online=half"], "'half' is not a number"),
        (Made(), ["--assume", "online=1.5"], "<= 1"),
        (Made(), ["--assume", "online=nan"], "people.online"),
        (Made(), ["--assume", "sockets=1001"], "above concurrency"),
        (Made(), ["--assumptions", "/nowhere.toml"], "cannot be read"),
        (Made(profile="unknown"), [], "no objectives for the profile"),
    ],
)
def test_what_cannot_be_told_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    made: Made,
    arguments: list[str],
    words: str,
) -> None:
    made.write(tmp_path)
    assert capacity.main([str(tmp_path), "--members", "5000", *arguments]) == 5
    assert words in capsys.readouterr().err
    assert not (tmp_path / "capacity.html").exists()


def test_a_folder_without_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert capacity.main([str(tmp_path), "--members", "10"]) == 5
    assert "not the folder of a load test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[people", "TOML|end of document|Expected"),
        ("[people]\nonline = 1", "missing required field"),
        (FILE.read_text().replace("quiet =", "quite ="), "unknown field `quite`"),
        (FILE.read_text().replace("online = 0.6", "online = true"), "people.online"),
        (FILE.read_text().partition("[[database]]")[0], "database"),
    ],
)
def test_a_mistake_in_the_assumptions_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "capacity.toml"
    path.write_text(text)
    with pytest.raises(BadCapacity, match=words):
        load(path)
