"""The program in the package, against packages that share no code with the product."""

import base64
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid5

import pytest

from app.compliance import verify
from tests.compliance import packages
from tests.compliance.outsider import check, outside
from tests.compliance.packages import ALICE, BOB, OLGA, PHARMACY, WARD, Made, make
from tests.compliance.tamperings import TAMPERINGS, rehash


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("sound") / "package")


@pytest.fixture
def package(sound: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.folder, tmp_path / "package"))


def problems(package: Path, key: str, *checkpoints: str) -> list[dict[str, Any]]:
    report = verify.verify(str(package), key, list(checkpoints))
    return [problem._asdict() for problem in report.problems]


def test_a_sound_package_is_verified_by_an_outsider(sound: Made, tmp_path: Path) -> None:
    verdict = check(sound.folder, "--key", sound.vkey, site=outside(tmp_path))
    assert verdict.status == 0, verdict.text
    assert "VERIFIED" in verdict.text
    assert "WARNING" not in verdict.text


def test_a_zip_is_verified_as_its_folder_is(sound: Made, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "package"), "zip", sound.folder)
    assert problems(Path(archive), sound.vkey) == []


def test_without_a_key_the_outsider_is_warned_loudly(sound: Made, tmp_path: Path) -> None:
    verdict = check(sound.folder, site=outside(tmp_path))
    assert verdict.status == 0
    assert "NO --key WAS GIVEN" in verdict.text
    assert sound.vkey in verdict.text


def test_the_json_says_the_same_as_the_text(sound: Made, tmp_path: Path) -> None:
    verdict = check(sound.folder, "--json", "--key", sound.vkey, site=outside(tmp_path))
    assert verdict.document["verdict"] == "verified"
    assert verdict.document["versions"] == 10
    assert verdict.document["size"] == 20


@pytest.mark.parametrize("careful", [False, True], ids=["as it is", "with hashes redone"])
@pytest.mark.parametrize("name", TAMPERINGS)
def test_each_tampering_is_named(name: str, careful: bool, package: Path, sound: Made) -> None:
    named = TAMPERINGS[name](package)
    if careful and named.code not in ("file-missing", "approval"):
        rehash(package)
    found = problems(package, sound.vkey)
    assert named.is_in(found), found


# Which other checks name a tampering too: each must be out before it goes unseen.
BESIDE: dict[str, tuple[str, ...]] = {
    "drop a message with its body": ("csv", "item", "revision-gap"),
    "drop a body": ("item", "row-extra"),
    "edit a text and its commitment": ("content", "csv"),
    "edit a text its commitment and its body": ("csv", "item", "row-extra"),
    "swap two bodies": ("row-order",),
    "truncate the leaves": ("approval", "body-unknown"),
    "edit a leaf": ("body-extra", "item", "row-extra"),
    "swap two leaves": ("body-order", "row-differs", "row-order"),
    "break a leaf": ("body-order", "item", "root", "row-extra"),
    "change the scope": ("body-extra", "item", "row-extra"),
    **dict.fromkeys(
        (
            "drop a message",
            "edit a text",
            "say that another wrote it",
            "call an edit the first version",
            "give a message another author",
            "give a message another time",
            "put text into a deletion",
            "withhold a text",
            "invent a message",
            "repeat a message",
            "swap two messages",
            "swap the texts of two messages",
            "remove the messages",
        ),
        ("csv",),  # the table is for people: who forges rows and table alike is named all the same
    ),
}


@contextmanager
def without(*codes: str) -> Iterator[set[str]]:
    """These checks are taken out of the verifier; yields those that would have spoken."""
    silenced: set[str] = set()
    wrong = verify.Report.wrong

    def unless_out(self: verify.Report, code: str, *told: Any, **where: Any) -> None:
        if code in codes:
            silenced.add(code)
        else:
            wrong(self, code, *told, **where)

    with patch.object(verify.Report, "wrong", unless_out):
        yield silenced


@pytest.mark.parametrize("name", TAMPERINGS)
def test_without_the_checks_that_name_it_a_tampered_package_would_pass(
    name: str, package: Path, sound: Made
) -> None:
    """The manifest is listed anew, and its own check out: as whoever could log another one."""
    named = TAMPERINGS[name](package)
    if named.code not in ("file-missing", "approval"):
        rehash(package)
    checks = {named.code, *BESIDE.get(name, ())}
    with without("manifest-changed", *checks) as silenced:
        assert problems(package, sound.vkey) == []
    assert silenced | {"manifest-changed"} == checks | {"manifest-changed"}


def test_every_tampered_file_is_also_named_by_its_hash(package: Path, sound: Made) -> None:
    for name in sound.manifest["files"]:
        with (package / name).open("ab") as file:
            file.write(b" ")
    changed = {found["file"] for found in problems(package, sound.vkey)}
    assert set(sound.manifest["files"]) <= changed


@pytest.mark.parametrize("conversations", [(WARD,), (PHARMACY,), (WARD, PHARMACY), ()])
@pytest.mark.parametrize("people", [(), (ALICE,), (ALICE, BOB)])
@pytest.mark.parametrize(
    ("since", "until"),
    [
        (None, None),
        ("2026-11-21T08:00:04.000001Z", None),
        (None, "2026-11-21T08:00:09.000001Z"),
        ("2026-11-21T08:00:04.000001Z", "2026-11-21T08:00:16.000000Z"),
    ],
)
def test_every_scope_is_complete_in_itself(
    conversations: Any, people: Any, since: str | None, until: str | None, tmp_path: Path
) -> None:
    made = make(
        tmp_path / "p", conversations=conversations, people=people, since=since, until=until
    )
    assert problems(made.folder, made.vkey) == []


@pytest.mark.parametrize("messages", range(20))
def test_trees_of_every_shape_are_rebuilt(messages: int, tmp_path: Path) -> None:
    made = make(tmp_path / "p", history=packages.a_day_on_the_ward(max(messages, 4)))
    assert problems(made.folder, made.vkey) == []


def test_a_later_body_outside_the_scope_is_one_too_many(tmp_path: Path) -> None:
    made = make(tmp_path / "p")
    foreign = next(b for b in made.history.bodies if b["scope"] == str(PHARMACY))
    with (made.folder / "bodies.jsonl").open("ab") as file:
        file.write(packages.canonical(foreign) + b"\n")
    (found,) = problems(made.folder, made.vkey)[1:]
    assert (found["code"], found["leaf"]) == ("body-order", made.history.bodies.index(foreign))


def test_a_body_that_was_not_asked_for_is_one_too_many_in_its_place_too(tmp_path: Path) -> None:
    made = make(tmp_path / "p")
    own, bodies = made.history.bodies, (made.folder / "bodies.jsonl").read_bytes().splitlines()
    place = next(i for i, body in enumerate(own) if body["scope"] == str(PHARMACY))
    bodies.append(packages.canonical(own[place]))
    order = [packages.canonical(body) for body in own]
    bodies.sort(key=order.index)
    (made.folder / "bodies.jsonl").write_bytes(b"".join(body + b"\n" for body in bodies))
    (found,) = problems(made.folder, made.vkey)[1:]
    assert (found["code"], found["leaf"]) == ("body-extra", place)


def test_an_older_checkpoint_of_the_same_log_does_not_fit(package: Path, sound: Made) -> None:
    older = packages.checkpoint(sound.history.leaves[:7], packages.signing_key())
    (package / "checkpoint").write_text(older)
    found = problems(package, sound.vkey)
    assert {"code": "leaf-count", "leaf": 7}.items() <= next(
        item for item in found if item["file"] == "leaves.txt"
    ).items()


def test_an_older_package_cannot_pass_for_a_later_one(package: Path, sound: Made) -> None:
    """Checkpoint, leaves, bodies and rows are all cut back to an honest earlier state."""
    keep = 7
    older = packages.checkpoint(sound.history.leaves[:keep], packages.signing_key())
    (package / "checkpoint").write_text(older)
    for name in ("messages.jsonl", "membership.jsonl", "reactions.jsonl", "reads.jsonl"):
        lines = (package / name).read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["leaf"] < keep]
        (package / name).write_bytes(b"".join(kept))
    leaves = sound.history.leaves[:keep]
    (package / "leaves.txt").write_bytes(b"".join(leaf + b"\n" for leaf in leaves))
    bodies = [
        packages.canonical(body) + b"\n"
        for body in sound.history.bodies[:keep]
        if body["scope"] == str(WARD)
    ]
    (package / "bodies.jsonl").write_bytes(b"".join(bodies))
    rehash(package)
    codes = {found["code"] for found in problems(package, sound.vkey)}
    assert {"manifest-changed", "approval", "proof"} <= codes


def test_a_log_of_another_key_is_refused(tmp_path: Path, sound: Made) -> None:
    forged = make(tmp_path / "p", key=packages.signing_key("a forger"))
    found = problems(forged.folder, sound.vkey)
    assert [item["file"] for item in found] == ["checkpoint", "manifest.tlog-proof"]
    assert {item["code"] for item in found} == {"signature"}


def test_a_rewritten_log_is_refused_by_a_checkpoint_from_elsewhere(
    tmp_path: Path, sound: Made
) -> None:
    known = tmp_path / "from-the-witness"
    known.write_text(packages.checkpoint(sound.history.leaves[:9], packages.signing_key()))
    assert problems(sound.folder, sound.vkey, str(known)) == []
    rewritten = packages.a_day_on_the_ward()
    rewritten.leaves[4] = rewritten.leaves[4].replace(b"T08:", b"T07:")
    (tmp_path / "p").mkdir()
    made = make(tmp_path / "p", history=rewritten)
    found = problems(made.folder, made.vkey, str(known))
    assert any(item["code"] == "root" and str(known) in item["text"] for item in found)


def test_a_request_approved_by_its_own_requester_is_named(tmp_path: Path) -> None:
    made = make(tmp_path / "p", approver=OLGA)
    assert [item["code"] for item in problems(made.folder, made.vkey)] == ["approval"]


def test_a_revision_that_was_never_logged_is_named(tmp_path: Path) -> None:
    history = packages.a_day_on_the_ward()
    leaf = history.say("third", message="m0", revision=3, by=ALICE, scope=WARD)
    made = make(tmp_path / "p", history=history)
    message = str(uuid5(packages.SPACE, "m0"))
    (found,) = problems(made.folder, made.vkey)
    assert (found["code"], found["leaf"], found["message"]) == ("revision-gap", leaf, message)


THE_WITNESS = packages.signing_key("a witness")


def witnessed(package: Path, key: Any = THE_WITNESS) -> list[tuple[str, str]]:
    report = verify.verify(str(package), witnesses=[packages.witness_vkey(key)])
    return [(problem.code, problem.file) for problem in report.problems]


def test_a_witness_s_signature_is_checked_for_whoever_has_its_key(
    package: Path, sound: Made, tmp_path: Path
) -> None:
    assert witnessed(package) == [("cosignature", "checkpoint")]
    note = (package / "checkpoint").read_text()
    (package / "checkpoint").write_text(packages.cosign(note, THE_WITNESS))
    rehash(package)
    changed = ("manifest-changed", "manifest.json")
    assert witnessed(package) == [changed]
    assert witnessed(package, packages.signing_key("another")) == [
        ("cosignature", "checkpoint"),
        changed,
    ]
    key = packages.witness_vkey(THE_WITNESS)
    verdict = check(package, "--witness", key, "--key", sound.vkey, site=outside(tmp_path))
    assert "checkpoint cosigned by witness.test/w1 at 2026-11-18" in verdict.text


@pytest.mark.parametrize("size", [1, 7])
def test_a_witness_may_have_signed_an_earlier_checkpoint(
    size: int, package: Path, sound: Made
) -> None:
    leaves, key = sound.history.leaves, packages.signing_key()
    earlier = packages.checkpoint(leaves[:size], key)
    (package / verify.WITNESSED).write_text(packages.cosign(earlier, THE_WITNESS))
    listed(package, verify.WITNESSED)
    assert witnessed(package) == [("manifest-changed", "manifest.json")]
    forked = packages.checkpoint([*leaves[: size - 1], b"another"], key)
    (package / verify.WITNESSED).write_text(packages.cosign(forked, THE_WITNESS))
    rehash(package)
    assert ("root", "leaves.txt") in witnessed(package)


def test_a_forged_signature_of_a_witness_is_named(package: Path, sound: Made) -> None:
    note = packages.cosign((package / "checkpoint").read_text(), THE_WITNESS)
    other = packages.checkpoint(sound.history.leaves[:3], packages.signing_key())
    of_another_text = packages.cosign(other, THE_WITNESS).splitlines()[-1]
    for forged in (note[:-20] + "A" * 18 + "=\n", f"{note.rpartition('— ')[0]}{of_another_text}\n"):
        (package / "checkpoint").write_text(forged)
        rehash(package)
        assert witnessed(package)[0] == ("cosignature", "checkpoint")


def test_a_signature_on_a_checkpoint_that_is_not_the_log_s_is_no_witness(package: Path) -> None:
    forged = packages.checkpoint([b"a"], packages.signing_key("a forger"))
    (package / verify.WITNESSED).write_text(packages.cosign(forged, THE_WITNESS))
    listed(package, verify.WITNESSED)
    assert {("signature", verify.WITNESSED), ("cosignature", "checkpoint")} <= {*witnessed(package)}


def listed(package: Path, name: str) -> None:
    """A file more, in the manifest too."""
    path = package / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = {"sha256": ""}
    path.write_text(json.dumps(manifest))
    rehash(package)


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_no_cell_of_the_table_is_a_formula(start: str) -> None:
    assert verify.csv_line([f'{start}HYPERLINK("x")', None, 3]) == (
        f'"\'{start}HYPERLINK(""x"")","","3"\r\n'.encode()
    )


@pytest.mark.parametrize("key", ["", "parley", "a+b+c", "parley+00000000+AAAA"])
def test_a_bad_key_cannot_check(key: str, sound: Made, tmp_path: Path) -> None:
    verdict = check(sound.folder, "--key", key, site=outside(tmp_path))
    assert verdict.status == 2
    assert verdict.text.startswith("CANNOT CHECK")


def test_what_is_no_package_cannot_be_checked(tmp_path: Path) -> None:
    program = packages.VERIFY
    site = outside(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    for path in ("empty", "text.zip", "nowhere"):
        assert check(tmp_path / path, site=site, program=program).status == 2


def test_without_cryptography_it_says_so(sound: Made, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    verdict = check(sound.folder, "--json", site=tmp_path / "bare")
    assert verdict.status == 2
    assert "cryptography" in verdict.document["reason"]


@pytest.mark.parametrize("garbage", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"leaf": 3}', b"null\n"])
@pytest.mark.parametrize(
    "name", ["messages.jsonl", "bodies.jsonl", "leaves.txt", "checkpoint", "manifest.tlog-proof"]
)
def test_garbage_is_a_named_problem_and_never_a_crash(
    name: str, garbage: bytes, package: Path, sound: Made
) -> None:
    (package / name).write_bytes(garbage)
    assert name in {item["file"] for item in problems(package, sound.vkey)}


def test_a_damaged_zip_is_never_verified_and_never_a_crash(sound: Made, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "package"), "zip", sound.folder))
    whole, chance = archive.read_bytes(), random.Random(7)
    judged = 0
    for _ in range(150):
        data = bytearray(whole)
        at = chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)
        archive.write_bytes(data[: chance.choice([len(data), at])])
        try:
            found = problems(archive, sound.vkey)
        except verify.CannotCheck:
            continue
        judged += 1
        if not found:  # a date or a mode was hit: every file is as it was
            left = verify.Package(str(archive))
            with left.opened:
                for name in left.names():
                    assert left.read(name) == (sound.folder / name).read_bytes()
    assert judged


def test_json_that_is_nested_too_deeply_is_named(package: Path, sound: Made) -> None:
    (package / "messages.jsonl").write_bytes(b"[" * 100_000 + b"\n")
    found = problems(package, sound.vkey)
    assert any(item["code"] == "malformed" and item["line"] == 1 for item in found)


def test_a_damaged_manifest_is_never_verified(package: Path, sound: Made) -> None:
    data = json.loads((package / "manifest.json").read_text())
    for name in data:
        broken = {key: value for key, value in data.items() if key != name}
        (package / "manifest.json").write_text(json.dumps(broken))
        try:
            found = problems(package, sound.vkey)
        except verify.CannotCheck:
            continue
        assert found, name


def test_a_long_log_is_read_in_one_pass_to_its_root(tmp_path: Path) -> None:
    line = b"v1 2026-11-21T08:00:00.000000Z " + b"a" * 32 + b" " + b"b" * 32 + b" "
    leaves = [line + f"{number:064x}".encode() for number in range(100_000)]
    (tmp_path / "leaves.txt").write_bytes(b"".join(leaf + b"\n" for leaf in leaves))
    tree, asked = verify.Tree({len(leaves)}), verify.Wanted({"c" * 32: ""}, {}, "", "")
    package = verify.Package(str(tmp_path))
    with package.opened:
        for line in verify.read_leaves(package):
            tree.extend([verify.leaf_hash(line)])
            assert not asked.covers(verify.parse_leaf(line.decode()))
    tree.end()
    assert tree.roots[len(leaves)] == packages.Tree(leaves).root_between(0, len(leaves))


def test_proofs_hold_for_every_place_and_for_no_other() -> None:
    leaves = [bytes([number]) for number in range(24)]
    tree = packages.Tree(leaves)
    for size in range(1, 25):
        root = tree.root_between(0, size)
        for index in range(size):
            proof = tree.inclusion(index, 0, size)
            assert verify.included(tree.leaves[index], index, size, proof, root)
            assert not verify.included(tree.leaves[index - 1], index, size, proof, root) or size < 2
            assert not verify.included(tree.leaves[index], index, size, [*proof, root], root)
            assert not verify.included(tree.leaves[index], index + 1, size, proof, root)
        for older in range(1, size + 1):
            one = verify.Checkpoint("log", older, tree.root_between(0, older))
            other = verify.Checkpoint("log", size, root)
            proof = tree.consistency(older, 0, size)
            assert verify.consistent(one, other, proof)
            if older < size:
                assert not verify.consistent(one, other, proof[:-1])
                assert not verify.consistent(one._replace(root=root), other, proof)


def test_a_signature_over_another_text_is_refused() -> None:
    key = packages.signing_key()
    note = packages.checkpoint([b"a"], key).encode()
    parsed = verify.parse_key(packages.vkey_of(key))
    assert verify.open_checkpoint(note, parsed).size == 1
    for broken in (note.replace(b"\n1\n", b"\n2\n"), note[:-2], note.replace(b"\n\n", b"\n"), b""):
        with pytest.raises(ValueError):  # noqa: PT011 - many texts, one meaning
            verify.open_checkpoint(broken, parsed)
    encoded = base64.b64encode(b"\2" + bytes(32)).decode()
    with pytest.raises(verify.CannotCheck):
        verify.parse_key(f"log+00000000+{encoded}")
