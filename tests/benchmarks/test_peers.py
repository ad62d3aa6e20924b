"""What Parley is compared with is fetched once, and what cannot be had is told in a sentence."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks import run
from benchmarks.figures import Figure
from benchmarks.gateway.servers import Peer
from benchmarks.peers import install
from benchmarks.peers.__main__ import main
from benchmarks.peers.programs import Program
from dev.errors import SetupProblem


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(install, "PLACE", tmp_path / "peers")
    return tmp_path / "peers"


@pytest.mark.parametrize(
    ("peer", "missing", "named"),
    [
        ("node", "npm", "need node and npm"),
        ("debian", "apt-get", "ejabberd and prosody come from Debian's packages"),
    ],
)
def test_a_peer_that_cannot_be_fetched_is_named_with_what_it_needs(
    peer: str, missing: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == missing else f"/bin/{name}")
    with pytest.raises(SetupProblem, match=f"{named}.*no {missing} here"):
        install.PEERS[peer]()


def test_what_a_fetcher_said_is_told_and_it_is_asked_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'ENOTFOUND registry' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(npm))
    for _ in range(2):
        with pytest.raises(SetupProblem, match="npm could not fetch a peer:\nENOTFOUND registry"):
            install.node()
    npm.write_text("#!/bin/sh\nmkdir node_modules\n")
    modules = install.node()
    assert modules == place / "node_modules"
    assert modules.is_dir()


def test_what_was_fetched_to_its_end_is_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\necho again >> {tmp_path}/calls\n")
    npm.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(npm))
    install.node()
    install.node()
    assert (tmp_path / "calls").read_text() == "again\n"
    lock = tmp_path / "package-lock.json"
    lock.write_text("{}")
    monkeypatch.setattr(install, "_NPM_LOCK", lock)  # as after an update of the peers
    install.node()
    assert (tmp_path / "calls").read_text() == "again\nagain\n"


def test_a_peer_that_does_not_exist_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["install", "jabberd"])
    assert install.main() == 2
    assert "no such peers: jabberd" in capsys.readouterr().err


def test_the_versions_of_all_peers_are_told() -> None:
    assert {"ws", "peer", "ejabberd", "prosody", "synapse"} == {*install.versions()}
    assert all(install.versions().values())


class _Parts:
    """Stands in for modules of parts."""

    def __init__(self, name: str) -> None:
        self._fails = name.endswith("without")

    def measure(self, _: float) -> Iterator[Figure]:
        if self._fails:
            _no_prosody()
        yield Figure("sound", "times", [1.0], 1.0)


def _no_prosody() -> NoReturn:
    raise SetupProblem("prosody could not be fetched")


def test_a_part_without_its_peer_is_said_and_the_others_are_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "_start_services", lambda: None)
    monkeypatch.setattr(run, "_FOLDER", tmp_path)
    monkeypatch.setattr(run, "import_module", _Parts)
    monkeypatch.setattr("sys.argv", ["make bench"])
    parts = {"package": "parts", "parts": ("without", "with")}
    assert run.run("make bench", "peers", **parts, about="", conditions=dict) == 3  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "NOT MEASURED without: prosody could not be fetched" in said
    assert "sound, times" in said
    assert "prosody could not be fetched" in (tmp_path / "peers.json").read_text()


def test_a_part_of_the_peers_that_does_not_exist_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    affinity = os.sched_getaffinity(0)
    monkeypatch.setattr("sys.argv", ["make bench", "jabber"])
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        os.sched_setaffinity(0, affinity)
    said = capsys.readouterr().err
    assert "make bench: error: no such part: jabber; there are synapse, relay, fanout, rest" in said


def test_a_peer_that_gets_no_port_says_so_and_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = f"import socket; socket.create_server(('127.0.0.1', {port}))"

        def start(_: int, __: Path) -> Program:
            return Program([sys.executable, "-c", words])

        with (
            pytest.raises(SetupProblem, match=r"deaf ended at once:(.|\n)*Address already in use"),
            Peer.running("deaf", start),
        ):
            raise AssertionError("it ran")
