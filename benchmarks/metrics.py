"""What counting costs: `python -m benchmarks.metrics`. Processor time, best of seven."""

import timeit
from time import process_time

from app import metrics

_TIMES = 100_000
_PARTS = {
    "a counter": 'metrics.COMMANDS.add("send", "ok")',
    "a histogram": "metrics.SEAL.observe(0.003)",
    "a stage, timed": "with metrics.SEAL.timed(): pass",
    "a signal": "signals[()] += 1",
    "all of a send's stages": "\n".join(
        f"with metrics.{stage}.timed(): pass"
        for stage in ("QUEUE", "SEAL", "STATEMENTS", "COMMIT", "HINT", "DELIVERY")
    ),
}


def main() -> None:
    names = {"metrics": metrics, "signals": metrics.SIGNALS.values}
    for part, statement in _PARTS.items():
        timer = timeit.Timer(statement, timer=process_time, globals=names)
        best = min(timer.repeat(repeat=7, number=_TIMES)) / _TIMES
        print(f"{part:25}{best * 1e9:8.0f} ns")


if __name__ == "__main__":
    main()
