"""What may be loaded, by whom, and with how many open files."""

import io
import resource
import sys
from pathlib import Path

import pytest

from dev.ports import free_port
from loadtests.aim import Unfit, check_files, check_target
from loadtests.people import (
    Account,
    BadAccounts,
    check_accounts,
    chosen_accounts,
    read_accounts,
    write_accounts,
)
from loadtests.profiles import profile


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test uses a network: every deployment is well."""
    monkeypatch.setattr("loadtests.aim.answers", lambda _: True)


def test_this_machine_is_not_asked_about() -> None:
    for url in ("http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:1"):
        assert check_target(url, {}) == url.rstrip("/")


def test_elsewhere_is_refused_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("chat.example.org\n"))
    with pytest.raises(Unfit, match=r"YES=chat\.example\.org"):
        check_target("https://chat.example.org", {})
    with pytest.raises(Unfit):
        check_target("https://chat.example.org", {"YES": "1"})
    with pytest.raises(Unfit):
        check_target("https://chat.example.org", {"YES": "other.example.org"})
    assert check_target("https://chat.example.org/x", {"YES": "chat.example.org"})


@pytest.mark.parametrize(("said", "goes"), [("chat.example.org", True), ("y", False), ("", False)])
def test_a_person_types_the_name(monkeypatch: pytest.MonkeyPatch, said: str, goes: bool) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(said + "\n"))
    if goes:
        assert check_target("https://chat.example.org", {}) == "https://chat.example.org"
    else:
        with pytest.raises(Unfit, match="Nothing was done"):
            check_target("https://chat.example.org", {})


@pytest.mark.parametrize("target", ["chat.example.org", "ftp://chat.example.org", "https://", ""])
def test_a_target_is_a_url(target: str) -> None:
    with pytest.raises(Unfit, match="TARGET is a URL"):
        check_target(target, {})


def test_a_target_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(Unfit, match="/healthz does not answer"):
        check_target(f"http://127.0.0.1:{free_port()}", {})


def test_too_few_file_descriptors_are_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    big = profile("smoke", {"MEMBERS": "5000"})
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    with pytest.raises(Unfit, match=r"`ulimit -n 15\d\d\d`"):
        check_files(big, 1)
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    check_files(big, 5)  # fewer each, and the limit may be raised that far
    [(soft, hard)] = raised
    assert 3200 < soft <= hard == 4096


def test_accounts_are_read_from_a_file_or_from_variables(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    accounts = [Account(name="m0", email="a@example.org", password="secret")]
    write_accounts(file, accounts)
    assert file.stat().st_mode & 0o777 == 0o600
    assert chosen_accounts({"ACCOUNTS": str(file)}) == accounts
    assert chosen_accounts({"EMAILS": "a@example.org", "PASSWORD": "secret"}) == accounts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no list of accounts"),
        ('[{"name": "a"}]', "a has neither a password nor tokens"),
        ('[{"name": "a", "refresh": "r", "kind": "voice"}]', "name it"),
        ('[{"name": "a", "refresh": "r"}, {"name": "a", "refresh": "q"}]', "one name"),
        ('[{"name": "a", "token": "hidden"}]', "unknown field"),
    ],
)
def test_bad_accounts_are_refused_without_their_secrets(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "accounts.json"
    file.write_text(text)
    with pytest.raises(BadAccounts, match=says) as refused:
        read_accounts(file)
    assert "hidden" not in str(refused.value)


def test_without_accounts_a_target_cannot_be_loaded() -> None:
    with pytest.raises(BadAccounts, match="TARGET needs ACCOUNTS"):
        chosen_accounts({"EMAILS": "a@example.org"})
    with pytest.raises(BadAccounts, match="No such file"):
        chosen_accounts({"ACCOUNTS": "/nowhere/at/all"})


def test_every_user_needs_an_account_on_whichever_worker() -> None:
    two = profile("smoke", {"MEMBERS": "2", "VOICES": "0", "OFFICERS": "0"})
    accounts = [Account(name=f"m{number}", refresh="r") for number in range(3)]
    check_accounts(accounts, two, 1)
    with pytest.raises(BadAccounts, match=r"needs 4 accounts of the kind 'member' and there are 3"):
        check_accounts(accounts, two, 2)
    with pytest.raises(BadAccounts, match=r"OFFICERS=…"):
        check_accounts(accounts, profile("smoke", {"MEMBERS": "2", "VOICES": "0"}), 1)
