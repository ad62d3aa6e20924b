"""Rates are for the server's own processor time, and a generator that was the limit voids them."""

import os

import pytest

from benchmarks.figures import line
from benchmarks.gateway.machine import family, processor_seconds, resident_bytes
from benchmarks.gateway.turns import Turn, rate, ratio

SOUND = Turn(done=90_000, wall=2, server_seconds=1.5, generator_share=0.5, generator_idle=0.4)


def _short(**changes: float) -> Turn:
    given = {"done": 90_000, "wall": 2, "server_seconds": 1.5, "generator_share": 0.99}
    return Turn(**(given | {"generator_idle": 0.01} | changes))  # type: ignore[arg-type]


def test_a_rate_is_for_a_processor_second() -> None:
    figure = rate("relay", "relays a CPU second", [SOUND])
    assert figure.median == 60_000
    assert "45,000 a second by the clock; server 75% of its core" in figure.remark


def test_ratios_are_of_turns_that_followed_each_other() -> None:
    slow = Turn(30_000, 2, 1.5, 0.5, 0.4)
    figure = ratio("relay", [SOUND, slow, SOUND], [SOUND, slow, slow], 1)
    assert (figure.samples, figure.met) == ([1, 1, 3], True)


def test_a_generator_without_time_voids_the_figure() -> None:
    figure = ratio("relay", [SOUND, _short(), _short()], [SOUND, SOUND, SOUND], 0.5)
    assert (figure.void, figure.met) == (True, None)
    assert line(figure).endswith("VOID")
    assert "the generator was the limit" in rate("relay", "a CPU second", [_short()]).remark


def test_turns_that_were_sound_speak_for_the_others() -> None:
    figure = ratio("relay", [SOUND, _short(done=1), SOUND], [SOUND, SOUND, SOUND], 0.5)
    assert (figure.samples, figure.met) == ([1, 1], True)


def test_a_generator_as_busy_as_its_server_is_no_reason() -> None:
    assert not _short(server_seconds=1.9).void


def test_what_this_process_uses_is_seen() -> None:
    pids = family(os.getpid())
    before = processor_seconds(pids)
    while processor_seconds(pids) == before:
        pass
    assert os.getpid() in pids
    assert resident_bytes([os.getpid()]) > 1_000_000


def test_the_parts_of_the_gateway_are_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gateway.__main__ import main

    affinity = os.sched_getaffinity(0)
    monkeypatch.setattr("sys.argv", ["make bench-gateway", "relays"])
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        os.sched_setaffinity(0, affinity)
    assert "no such part: relays" in capsys.readouterr().err
