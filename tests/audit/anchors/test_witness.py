"""A witness signs what extends what it signed before, and its refusal is an alarm."""

from collections.abc import Callable

import pytest
from pytest_django import Settings

from app.audit.access import anchor_states
from app.audit.checkpoint import BadNote, Checkpoint, PublicKey, Signer, open_note
from app.audit.cosignature import WitnessKey
from app.audit.models import Anchor, Cosignature, Entry
from tests.audit.anchors.conftest import VKEY, Log
from tests.audit.trail import ACME, ORIGIN, SEED
from tests.fakes.faults import Fault
from tests.fakes.witness import WitnessServer

Bring = Callable[[], list[bool]]
LOG_KEY = PublicKey.parse(VKEY)


def problem() -> str:
    [state] = anchor_states(ACME)
    return state.problem


def test_a_cosignature_is_kept_beside_the_checkpoint_and_holds(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    kept = Cosignature.objects.get(organization_id=ACME)
    key = WitnessKey.parse(witness.vkey)
    assert (kept.witness, kept.size) == ("witness.example/w1", 300)
    text = open_note(kept.note, [key])
    assert open_note(kept.note, [LOG_KEY]) == text
    assert Checkpoint.parse(text).size == 300
    with pytest.raises(BadNote):
        open_note(kept.note.replace("\n300\n", "\n301\n"), [key])
    assert witness.heads[f"{ORIGIN}/{ACME}"].size == 300


def test_it_is_shown_that_the_log_only_grew(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    for count in (1, 3, 255, 12):
        assert bring_all() == [True]
        log.grow(count)
    assert bring_all() == [True]
    sizes = list(Cosignature.objects.order_by("size").values_list("size", flat=True))
    assert len(sizes) == 5
    assert witness.answers == [200] * 5


def test_a_witness_that_is_further_than_we_remember_tells_us_its_size(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    assert bring_all() == [True]
    log.grow(7)
    Anchor.objects.update(size=0)
    assert bring_all() == [True]
    assert witness.answers == [200, 409, 200]


def test_a_log_with_another_history_is_refused_and_the_alarm_is_in_the_trail(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    other = Signer(f"{ORIGIN}/{ACME}", SEED).sign(200, bytes(32))
    witness.add_checkpoint(f"old 0\n\n{other}")
    assert bring_all() == [False]
    assert problem() == "the log does not extend the tree of 200 leaves that it has signed"
    entry = Entry.objects.get(action_name="log:anchor_failed")
    assert entry.document["after"] == {"problem": problem(), "disagrees": True}
    assert entry.document["outcome"] == "failure"


def test_a_log_that_lost_its_end_is_refused(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    longer = Signer(f"{ORIGIN}/{ACME}", SEED).sign(1234, bytes(32))
    witness.add_checkpoint(f"old 0\n\n{longer}")
    assert bring_all() == [False]
    assert problem() == "it has signed a tree of 1234 leaves, the log has 300 only"


def test_another_root_of_the_same_size_is_refused(
    log: Log, witness: WitnessServer, bring_all: Bring
) -> None:
    fork = Signer(f"{ORIGIN}/{ACME}", SEED).sign(300, bytes(32))
    witness.add_checkpoint(f"old 0\n\n{fork}")
    assert bring_all() == [False]
    assert problem() == "it has signed another root for 300 leaves"


def test_a_log_that_the_witness_does_not_know_is_said_with_what_to_do(
    log: Log, settings: Settings, bring_all: Bring
) -> None:
    with WitnessServer.running("witness.example/new") as stranger:
        settings.ANCHOR_WITNESS = [(stranger.url, stranger.vkey)]
        assert bring_all() == [False]
        assert problem().startswith("it answered 404: it does not know this log: give its")
        stranger.trust(Signer(f"{ORIGIN}/{ACME}", bytes(32)).public.vkey)
        assert bring_all() == [False]
        assert problem().startswith("it answered 403: it knows another key")


def test_only_the_configured_key_s_cosignature_is_believed(
    log: Log, witness: WitnessServer, settings: Settings, bring_all: Bring
) -> None:
    with WitnessServer.running("witness.example/w1") as another:
        settings.ANCHOR_WITNESS = [(witness.url, another.vkey)]
        assert bring_all() == [False]
    assert problem() == "its answer holds no valid signature of the key that is configured"
    assert not Cosignature.objects.exists()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=500), "it answered 500: no reason is known"),
        (Fault(status=429), "it answered 429: we asked too often"),
        (Fault(cut="before"), "ConnectionError"),
        (Fault(cut="after"), "ConnectionError"),
    ],
)
def test_a_fault_on_the_way_is_said_and_gone_the_next_time(
    log: Log, witness: WitnessServer, bring_all: Bring, fault: Fault, says: str
) -> None:
    witness.faults.plan(fault)
    assert bring_all() == [False]
    assert problem() == says
    assert bring_all() == [True]
    assert problem() == ""


@pytest.mark.parametrize("vkey", ["", "name", "name+00000000+AAAA", VKEY])
def test_what_is_no_witness_s_key_is_refused(vkey: str) -> None:
    with pytest.raises(BadNote):
        WitnessKey.parse(vkey)
