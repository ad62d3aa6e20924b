"""A verdict is the median's, in the right direction, and an unknown part measures nothing."""

import pytest

from benchmarks.__main__ import main
from benchmarks.figures import Figure, line


@pytest.mark.parametrize(
    ("samples", "bound", "met"),
    [
        ([9, 10, 90], "at least", True),
        ([9, 9.9, 90], "at least", False),
        ([1, 10, 11], "at most", True),
        ([1, 10.1, 11], "at most", False),
    ],
)
def test_the_median_is_judged(samples: list[float], bound: str, met: bool) -> None:
    figure = Figure("seal", "leaves a second", samples, 10, bound)  # type: ignore[arg-type]
    assert figure.met is met
    assert line(figure).endswith("met" if met else "MISSED")
    assert (figure.document()["met"], figure.document()["lowest"]) == (met, samples[0])


def test_a_peer_has_no_verdict() -> None:
    figure = Figure("bare", "µs", [1.5])
    assert (figure.met, figure.document()["bound"]) == (None, None)
    assert line(figure).endswith("1.5 to 1.5")


def test_a_part_that_does_not_exist_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["make bench-evidence", "logs"])
    with pytest.raises(SystemExit):
        main()
    assert "no such part: logs" in capsys.readouterr().err
