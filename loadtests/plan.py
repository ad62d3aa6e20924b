"""The capacity model: so many members, what one gateway was seen to hold, and what is assumed.

    instances = ceil(max(sockets / 950, deliveries / knee, memory / limit) / 0.7)

Pure. `knee` is what one gateway process held of deliveries a second when the run was at its knee:
a process uses one core, so it stands for an instance of one vCPU.
"""

import math
from collections.abc import Sequence

import msgspec

from app import connections
from loadtests.assumptions import (
    HOURS,
    Assumptions,
    BadCapacity,
    Closed,
    Database,
    Deployment,
    People,
)
from loadtests.summary import AtKnee

DAYS = 22
LEAST_USERS = 200
LEAST_INSTANCES = 2
LEAST_WEB = 1
USUAL_QUOTA = 100
MOST_MEMBERS = 10_000_000


class Measured(Closed, frozen=True, kw_only=True):
    """What one gateway process did at the knee. `sources` say where each comes from."""

    knee: float
    idle_mib: float
    socket_kib: float
    database_seconds: float
    sources: list[str]


class Demand(Closed, frozen=True, kw_only=True):
    """At the busiest time, rates a second."""

    sockets: float
    sends: float
    deliveries: float
    requests: float
    memory_mib: float


class Plan(Closed, frozen=True, kw_only=True):
    """`binding`: which of sockets, deliveries and memory asks for the most instances."""

    members: int
    demand: Demand
    binding: str
    instances: int
    least_instances: int
    concurrency: int
    web_instances: int
    least_web_instances: int
    connections: int
    database: Database | None
    database_cores: float
    storage_gib: float
    redis_gib: float
    costs: dict[str, float]
    month: float
    warnings: list[str]


def measured(at_knee: AtKnee | None, assumed: Deployment, knee: float | None = None) -> Measured:
    """Return what a run says about one gateway; `knee` stands for the run's. Raises BadCapacity."""
    if at_knee is None or not at_knee.gateways or not at_knee.deliveries:
        if knee is None:
            raise BadCapacity(
                "This run has no knee: it says nothing about how much an instance holds. Run "
                "`make loadtest PROFILE=find-max` here, or name the deliveries a second of one "
                "instance with --knee."
            )
        return Measured(
            knee=knee,
            idle_mib=assumed.idle_mib,
            socket_kib=assumed.socket_kib,
            database_seconds=0.0,
            sources=[
                "knee: given by hand",
                "memory of gateways and sockets: assumed",
                "PostgreSQL's CPU: unknown, its size follows its connections alone",
            ],
        )
    return _seen(at_knee, assumed, knee)


def _seen(at_knee: AtKnee, assumed: Deployment, knee: float | None) -> Measured:
    gateways = at_knee.gateways
    told = (
        f"knee: {at_knee.deliveries:,.0f} deliveries a second of {gateways} gateways, which used "
        f"{at_knee.gateway_cores:.2f} cores"
    )
    grown = at_knee.gateway_mib - at_knee.gateway_mib_idle
    socket = 1024 * grown / at_knee.users if at_knee.users >= LEAST_USERS else 0.0
    seconds = at_knee.postgres_cores / at_knee.sends if at_knee.sends else 0.0
    return Measured(
        knee=at_knee.deliveries / gateways if knee is None else knee,
        idle_mib=at_knee.gateway_mib_idle / gateways,
        socket_kib=socket if socket > 0 else assumed.socket_kib,
        database_seconds=seconds,
        sources=[
            told if knee is None else "knee: given by hand",
            "memory of a gateway that nobody uses: measured",
            f"memory of a socket: measured with {at_knee.users} users"
            if socket > 0
            else f"memory of a socket: assumed, the run had {at_knee.users} users, not "
            f"{LEAST_USERS} that took more of it",
            f"PostgreSQL: {1000 * seconds:.2f} ms of CPU a send, all else included",
        ],
    )


def plan(members: int, found: Measured, assumptions: Assumptions) -> Plan:
    """Return what so many members need. Raises BadCapacity."""
    if not 1 <= members <= MOST_MEMBERS:
        raise BadCapacity(f"Members are from 1 to {MOST_MEMBERS:,}, not {members:,}.")
    people, deployment = assumptions.people, assumptions.deployment
    if _room(found, deployment) <= 0:
        raise BadCapacity(
            f"A gateway takes {found.idle_mib:.0f} MiB before anybody comes: gateway_gib = "
            f"{deployment.gateway_gib:g} leaves nothing for sockets."
        )
    demand = _demand(members, found, people)
    needs = _needs(demand, found, deployment)
    binding = max(needs, key=lambda name: needs[name])
    instances = _instances(needs[binding], deployment.use)
    web = _instances(demand.requests / deployment.web_requests, deployment.use)
    least = _instances(needs[binding] * people.quiet, deployment.use)
    least_web = _instances(demand.requests * people.quiet / deployment.web_requests, deployment.use)
    connections = _connections(instances, web, deployment)
    cores = demand.sends * found.database_seconds / deployment.use
    storage = members * people.messages_per_day * DAYS * deployment.stored_months
    plan = Plan(
        members=members,
        demand=demand,
        binding=binding,
        instances=instances,
        least_instances=least,
        concurrency=deployment.concurrency,
        web_instances=web,
        least_web_instances=least_web,
        connections=connections,
        database=_database(assumptions.database, connections, cores),
        database_cores=cores,
        storage_gib=storage * deployment.stored_kib / (1 << 20),
        redis_gib=assumptions.prices.redis_gib,
        costs={},
        month=0.0,
        warnings=[],
    )
    costs = _costs(plan, assumptions)
    return msgspec.structs.replace(
        plan, costs=costs, month=sum(costs.values()), warnings=_warnings(plan)
    )


def _demand(members: int, found: Measured, people: People) -> Demand:
    online = members * people.online
    sockets = online * people.sockets_each
    sends = online * people.sends_per_hour / 3600 * people.peak
    return Demand(
        sockets=sockets,
        sends=sends,
        deliveries=sends * min(people.audience, online) * people.sockets_each,
        requests=online * people.requests_per_hour / 3600 * people.peak,
        memory_mib=sockets * found.socket_kib / 1024,
    )


def _needs(demand: Demand, found: Measured, deployment: Deployment) -> dict[str, float]:
    """How many full instances each asks for."""
    return {
        "sockets": demand.sockets / deployment.sockets,
        "deliveries": demand.deliveries / (found.knee * deployment.gateway_processes),
        "memory": demand.memory_mib / _room(found, deployment),
    }


def _room(found: Measured, deployment: Deployment) -> float:
    """What an instance has for sockets, in MiB."""
    return deployment.gateway_gib * 1024 - found.idle_mib * deployment.gateway_processes


def _instances(full: float, use: float) -> int:
    """Never fewer than two: one may go away."""
    return max(LEAST_INSTANCES, math.ceil(full / use - 1e-9))


def _connections(instances: int, web: int, deployment: Deployment) -> int:
    """As cloudrun/deploy.sh adds them up: while a version comes, its first are there beside all."""
    gateway = connections.of_gateway(deployment.gateway_threads, deployment.gateway_requests)
    return (
        (instances + LEAST_INSTANCES) * deployment.gateway_processes * gateway
        + (web + LEAST_WEB) * connections.of_web(deployment.web_threads)
        + 2 * deployment.workers * connections.of_worker(deployment.worker_threads)
        + deployment.other_connections
    )


def _database(sizes: Sequence[Database], connections: int, cores: float) -> Database | None:
    fitting = [one for one in sizes if one.connections >= connections and one.vcpu >= cores]
    return min(fitting, key=lambda one: (one.vcpu, one.gib), default=None)


def _costs(plan: Plan, assumptions: Assumptions) -> dict[str, float]:
    people, deployment, prices = assumptions.people, assumptions.deployment, assumptions.prices

    def run(vcpu: float, gib: float, most: int, least: int) -> float:
        hours = most * people.busy_hours + least * (HOURS - people.busy_hours)
        return 3600 * hours * (vcpu * prices.run_vcpu_second + gib * prices.run_gib_second)

    database = plan.database or assumptions.database[-1]
    machine = HOURS * (database.vcpu * prices.sql_vcpu_hour + database.gib * prices.sql_gib_hour)
    storage = plan.storage_gib * prices.sql_storage_gib_month
    # Working hours at the mean of the busiest hour, the others at the quiet share of that.
    rate = plan.demand.deliveries / people.peak
    hours = people.busy_hours + people.quiet * (HOURS - people.busy_hours)
    egress = rate * 3600 * hours * deployment.wire_bytes / (1 << 30)
    constant = deployment.workers + 2
    return {
        "gateways": run(
            deployment.gateway_vcpu, deployment.gateway_gib, plan.instances, plan.least_instances
        ),
        "web": run(
            deployment.web_vcpu, deployment.web_gib, plan.web_instances, plan.least_web_instances
        ),
        "worker, scheduler, sealer": run(1.0, 1.0, constant, constant),
        "PostgreSQL": prices.sql_available * (machine + storage),
        "Redis": plan.redis_gib * HOURS * prices.redis_gib_hour,
        "traffic to members": egress * prices.egress_gib,
        "load balancer": prices.balancer_month,
    }


def _warnings(plan: Plan) -> list[str]:
    found = []
    if plan.database is None:
        found.append(
            f"No size of the database takes {plan.connections} connections and "
            f"{plan.database_cores:.1f} cores: raise its max_connections, put PgBouncer in "
            "between, or lower gateway_threads. The cost is that of the largest."
        )
    if plan.instances > USUAL_QUOTA:
        found.append(
            f"{plan.instances} instances are more than Cloud Run's usual {USUAL_QUOTA}: ask for "
            "more quota before."
        )
    return found
