"""Whether a plateau of find-max was held. Pure: it reads a record."""

from loadtests.record import LAG, Phase, Record, Trial

LEAD_SECONDS = 2.0  # in which a plateau only begins
DONE_SHARE = 0.95
LAG_MS = 50.0


def tried(record: Record, plateau: Phase, hold_ms: float) -> Trial:
    """Judge a plateau by its sends: how many of those intended were done, and how late."""
    until = plateau.until or 0.0
    since = min(plateau.since + LEAD_SECONDS, until)
    p99 = {
        operation: record.histogram(operation, since, until).get_value_at_percentile(99) / 1e3
        for operation in ("send", LAG)
    }
    counts = [one for one in record.counts if since <= one.second < until]
    sends = [one for one in counts if one.operation == "send"]
    intended, done = sum(one.intended for one in sends), sum(one.done for one in sends)
    why = ""
    if p99[LAG] > LAG_MS:
        why = f"the generator itself was late: p99 {p99[LAG]:.0f} ms"
    elif done < DONE_SHARE * intended or not done:
        why = f"{done} of {intended} sends were done"
    elif p99["send"] > hold_ms:
        why = f"p99 of send {p99['send']:.0f} ms"
    return Trial(
        rate=plateau.rate, held=not why, p99_ms=p99["send"], since=since, until=until, why=why
    )
