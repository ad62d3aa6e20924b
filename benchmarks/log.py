"""The log by itself: writing entries in batches, sealing them, verifying all of it."""

import time
from collections.abc import Iterator

from app.audit.sealer import Sealer
from app.audit.verify import verify
from benchmarks.figures import Figure
from tests.audit.trail import ACME, SEED, write
from tests.live import LiveDatabase
from tests.stack import running_stack

ENTRIES, BATCH, VERIFICATIONS = 100_000, 1000, 5


def measure(scale: float) -> Iterator[Figure]:
    with running_stack().fresh_database() as database:
        live = LiveDatabase(database)
        batches = max(1, int(ENTRIES * scale) // BATCH)
        with live.acting_as("app"):
            yield Figure("write entries, 1,000 in a transaction", "a second", _write(batches))
        with live.acting_as("sealer"):
            yield Figure("seal", "leaves a second", _seal(), 20_000)
        with live.acting_as("app"):
            yield Figure("audit_verify", "entries a second", _verify(batches * BATCH), 50_000)


def _write(batches: int) -> list[float]:
    rates = []
    for _ in range(batches):
        start = time.perf_counter()
        write(BATCH)
        rates.append(BATCH / (time.perf_counter() - start))
    return rates


def _seal() -> list[float]:
    """Rates of pages of 10,000, each of which is a commit and a signed checkpoint."""
    sealer, rates, more = Sealer(SEED, "bench.test/log", lambda _: None), [], True
    while more:
        start = time.perf_counter()
        sealed, more = sealer.seal_page()
        if count := sum(len(each.entries) for each in sealed):
            rates.append(count / (time.perf_counter() - start))
    return rates


def _verify(entries: int) -> list[float]:
    rates = []
    for _ in range(VERIFICATIONS):
        report = verify(ACME)
        if not report.ok or report.size != entries:
            raise SystemExit(f"the log does not agree: {report.problems[:3]}")
        rates.append(report.size / report.seconds)
    return rates
