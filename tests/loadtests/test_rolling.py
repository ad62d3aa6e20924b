"""A rolling deployment: in which order instances come, are told of, and go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from loadtests import faults, house
from loadtests.house import House, Instance
from loadtests.people import Crowd


class Gateway:
    """One that notes what is done to it."""

    def __init__(self, number: int, notes: list[str]) -> None:
        self.url, self.name, self._notes = f"http://g{number}", f"g{number}", notes

    def start(self) -> None:
        self._notes.append(f"{self.name} starts")

    def become_ready(self, sleep: Callable[[float], None]) -> None:
        Instance.become_ready(cast(Instance, self), sleep)

    def leave(self, sleep: Callable[[float], None]) -> None:
        self._notes.append(f"{self.name} leaves")


def test_what_is_new_goes_to_the_new_one_before_the_old_one_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    asked: list[str] = []
    home = House(tmp_path, 2)
    home.gateways = cast(Any, [Gateway(number, notes) for number in (1, 2)])
    crowd = Crowd([], "http://web", ["http://g1", "http://g2"], local=True)

    def ready(url: str, path: str) -> bool:
        asked.append(url)
        return path == "/readyz" and asked.count(url) > 2  # not at once

    def told(urls: list[str]) -> None:
        notes.append(f"users go to {' '.join(urls)}".replace("http://", ""))
        crowd.go_to(urls)

    monkeypatch.setattr(house, "answers", ready)
    monkeypatch.setattr(home, "_gateway", lambda number: Gateway(number, notes))
    monkeypatch.setattr("gevent.sleep", lambda _: None)
    home.on_serving = told
    ending = faults.roll(home)
    assert notes == ["g3 starts", "users go to g2 g3", "g1 leaves"]
    assert {crowd.next_gateway() for _ in range(4)} == {"http://g2", "http://g3"}
    assert ending
    ending()
    assert notes[3:] == ["g4 starts", "users go to g3 g4", "g2 leaves"]
    assert [one.name for one in home.gateways] == ["g3", "g4"]
    assert asked == ["http://g3"] * 3 + ["http://g4"] * 3
