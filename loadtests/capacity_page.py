"""The plan for so many members as a table of text, and as a page with a chart."""

from collections.abc import Iterator
from html import escape

import msgspec

from loadtests.assumptions import Assumptions, BadCapacity, remarks
from loadtests.charts import NumberAxis, number, over_time
from loadtests.page import STYLE, html_table
from loadtests.plan import Measured, Plan, plan
from loadtests.summary import Summary

POINTS = 25


def table(made: Plan, found: Measured, assumptions: Assumptions, summary: Summary) -> str:
    """Return what is printed."""
    lines = [f"{made.members:,} members, from {_run(summary)}", ""]
    lines += [f"  {name:<44}{value}" for name, value in _rows(made, found)]
    lines += ["", f"  {'a month, US dollars':<44}{made.month:>12,.0f}"]
    lines += [f"    {name:<42}{cost:>12,.0f}" for name, cost in made.costs.items()]
    lines += [f"  ! {warning}" for warning in made.warnings]
    lines += ["", "Measured", *(f"  {source}" for source in found.sources)]
    lines += ["", "Assumed (capacity.toml)"]
    lines += [f"  {name:<18}{value:>8}  {said}" for name, value, said in _assumed(assumptions)]
    lines += ["", f"Prices of {assumptions.prices.as_of}, us-central1:"]
    lines += [f"  {source}" for source in assumptions.prices.sources]
    return "\n".join(lines)


def page(made: Plan, found: Measured, assumptions: Assumptions, summary: Summary) -> str:
    """Return the whole document."""
    title = f"Capacity for {made.members:,} members"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE.read_text()}</style></head><body><main>"
        f'<h1>{title}</h1><p class="soft">From {escape(_run(summary))}.</p>{_cards(made)}'
        f"{_warnings(made)}<h2>With more or fewer members</h2>{_charts(made, found, assumptions)}"
        f"<h2>What it takes</h2>{_facts(_rows(made, found))}"
        f"<h2>A month, in US dollars</h2>{_facts(_costs(made))}"
        f"<h2>Measured</h2><ul>{_items(found.sources)}</ul>"
        f"<h2>Assumed</h2>{_guessed(assumptions)}"
        f"<h2>Prices</h2><p>Of {escape(assumptions.prices.as_of)}, us-central1, without free "
        "tiers, discounts and taxes; without keys, logs, backups, coturn and LiveKit. Look them up "
        f"before you rely on them.</p><ul>{_items(assumptions.prices.sources)}</ul>"
        "</main></body></html>\n"
    )


def _run(summary: Summary) -> str:
    return (
        f"the run of {summary.profile} of {summary.began:%Y-%m-%d %H:%M} UTC on "
        f"{summary.environment.cpu}, {summary.environment.cores} cores"
    )


def _rows(made: Plan, found: Measured) -> Iterator[tuple[str, str]]:
    demand = made.demand
    yield "sockets at the busiest time", f"{demand.sockets:,.0f}"
    yield "sends a second", number(demand.sends)
    yield "deliveries a second", f"{demand.deliveries:,.0f}"
    yield "one gateway holds, deliveries a second", f"{found.knee:,.0f}"
    yield "memory of all sockets", f"{demand.memory_mib:,.0f} MiB"
    yield "what asks for most", made.binding
    yield "gateways: min-instances, max-instances", f"{made.least_instances}, {made.instances}"
    yield "gateways: concurrency", str(made.concurrency)
    yield "web: min-instances, max-instances", f"{made.least_web_instances}, {made.web_instances}"
    yield "connections to PostgreSQL", str(made.connections)
    yield "PostgreSQL", _database(made)
    yield "stored", f"{made.storage_gib:,.1f} GiB"
    yield "Redis", f"{made.redis_gib:g} GiB"


def _database(made: Plan) -> str:
    if made.database is None:
        return "none of the sizes fits"
    size = made.database
    return f"{size.vcpu} vCPU, {size.gib:g} GiB, takes {size.connections} connections"


def _assumed(assumptions: Assumptions) -> Iterator[tuple[str, str, str]]:
    said = remarks()
    for part in (assumptions.people, assumptions.deployment):
        for name, value in msgspec.structs.asdict(part).items():
            yield name, f"{value:g}", said.get(name, "")


def _costs(made: Plan) -> Iterator[tuple[str, str]]:
    for name, cost in made.costs.items():
        yield name, f"{cost:,.0f}"
    yield "together", f"{made.month:,.0f}"
    yield "a member", f"{made.month / made.members:,.2f}"


def _cards(made: Plan) -> str:
    cards = {
        "gateways": f"{made.least_instances} to {made.instances}",
        "web": f"{made.least_web_instances} to {made.web_instances}",
        "connections to PostgreSQL": str(made.connections),
        "a month": f"${made.month:,.0f}",
        "a month, a member": f"${made.month / made.members:,.2f}",
        "what asks for most": made.binding,
    }
    content = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cards.items()
    )
    return f'<dl class="cards">{content}</dl>'


def _warnings(made: Plan) -> str:
    if not made.warnings:
        return ""
    return f'<div class="verdict missed"><ul>{_items(made.warnings)}</ul></div>'


def _charts(made: Plan, found: Measured, assumptions: Assumptions) -> str:
    """The same model from few members to twice as many."""
    members = sorted({max(1, 2 * made.members * n // POINTS) for n in range(1, POINTS + 1)})
    plans = list(_plans(members, found, assumptions))
    axis = NumberAxis([float(one.members) for one in plans], 0.0)
    machines: dict[str, list[float]] = {
        "gateways": [one.instances for one in plans],
        "web": [one.web_instances for one in plans],
    }
    figures = [
        over_time("Instances", "at the busiest time", axis, machines),
        over_time("A month", "US dollars", axis, {"A month": [one.month for one in plans]}),
        over_time(
            "Connections to PostgreSQL",
            "connections",
            axis,
            {"Connections to PostgreSQL": [float(one.connections) for one in plans]},
        ),
    ]
    return f'<div class="charts">{"".join(figures)}</div>'


def _plans(members: list[int], found: Measured, assumptions: Assumptions) -> Iterator[Plan]:
    for count in members:
        try:
            yield plan(count, found, assumptions)
        except BadCapacity:
            return  # more than the model goes up to


def _guessed(assumptions: Assumptions) -> str:
    rows = [[escape(cell) for cell in row] for row in _assumed(assumptions)]
    return html_table("Assumed", ("name", "value", "what it is"), rows, "words")


def _facts(rows: Iterator[tuple[str, str]]) -> str:
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows)
    return f'<dl class="facts">{listed}</dl>'


def _items(sentences: list[str]) -> str:
    return "".join(f"<li>{escape(one)}</li>" for one in sentences)
