"""What counts as a word, in many scripts, and that index and comparison agree about it."""

import unicodedata

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.chat.search.words import (
    excerpt,
    folded,
    index_words,
    listening_for,
    look_up,
    says,
    words_of,
)

SOME = [
    "ward",
    "Ärzte",
    "straße",
    "STRASSE",
    "3.4",
    "don't",
    "中文",
    "猫",
    "한국어",
    "ภาษา",
    "é",
    "e\u0301",
]
texts = st.lists(
    st.one_of(
        st.sampled_from(SOME), st.sampled_from([" ", ", ", "-", "\n", ""]), st.text(max_size=4)
    )
).map("".join)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't discharge: 3.4!", ["don", "t", "discharge", "3", "4"]),
        ("snake_case ward-4", ["snake", "case", "ward", "4"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("dis\u00adcharge", ["discharge"]),
        ("नमस्ते كِتَاب", ["नमस्ते", "كِتَاب"]),
        ("ﬁle ㎏ Ⅳ", ["file", "kg", "iv"]),
        ("我在ward", ["我", "在", "ward"]),
        ("👍 — …", []),
    ],
)
def test_what_a_word_is(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_text_in_ascii_has_the_words_that_it_has_beside_other_letters() -> None:
    """It is taken apart by a shorter way."""
    for sign in map(chr, range(128)):
        text = f"{sign}Aa{sign}zZ9 {sign}{sign}"
        assert words_of(text) == words_of(f"{text} é")[:-1], repr(sign)


def test_neighbours_in_a_script_without_spaces_are_indexed_as_pairs() -> None:
    pairs = {"我", "在", "中", "文", "我在", "在中", "中文"}
    assert index_words("我在中文") == {word.encode() for word in pairs}
    assert look_up([("中", "文"), ("ward",)]) == ["ward", "中文"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=texts, words=st.lists(st.lists(st.sampled_from(SOME), min_size=1), min_size=1, max_size=3)
)
def test_the_index_holds_every_word_that_is_looked_up_for_a_text_that_says_it(
    text: str, words: list[list[str]]
) -> None:
    phrases = [phrase for some in words if (phrase := tuple(words_of(" ".join(some))))]
    spoken = text + " " + ", ".join(" ".join(phrase) for phrase in phrases)
    assert says(spoken, phrases)
    wanted = {word.encode() for word in look_up(phrases)}
    assert index_words(spoken) >= wanted
    # Whoever says it all has everything that is looked up: the index never hides a hit.
    if says(text, phrases):
        assert index_words(text) >= wanted


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=texts | st.text("wardWARD3.4 t'", max_size=40),
    words=st.lists(st.lists(st.sampled_from([*SOME, "K", "\u212a"]), min_size=1), max_size=2),
)
@example(text="40 K", words=[["\u212a"]])  # the Kelvin sign folds to k
@example(text="ward", words=[["Ärzte"]])
@example(text="ward-4 4ward ward_4", words=[["ward", "3.4"]])
@example(text="wardward", words=[["ward"]])
def test_looking_at_bytes_first_misses_nothing_and_finds_nothing_more(
    text: str, words: list[list[str]]
) -> None:
    phrases = [phrase for some in words if (phrase := tuple(words_of(" ".join(some))))]
    for content in (text, f"{text} {', '.join(' '.join(phrase) for phrase in phrases)}"):
        expected = content if says(content, phrases) else None
        assert listening_for(phrases)(content.encode()) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts, word=st.sampled_from(SOME))
def test_an_excerpt_is_a_part_of_the_text_and_marks_what_was_looked_for(
    text: str, word: str
) -> None:
    phrase = tuple(words_of(word))
    pieces = excerpt(text, [phrase])
    shown = "".join(part for part, _ in pieces).strip("…")
    assert shown in unicodedata.normalize("NFC", text)
    marked = [part for part, is_hit in pieces if is_hit]
    assert all(set(words_of(part)) <= set(phrase) for part in marked)
    if says(text, [phrase]) and len(text) < 100:
        assert marked


def test_an_excerpt_of_a_long_text_begins_near_the_match() -> None:
    pieces = excerpt("before " * 100 + "here it is" + " after" * 100, [("it",)])
    assert [part for part, is_hit in pieces if is_hit] == ["it"]
    assert pieces[0] == ("…", False)
    assert pieces[1][0].startswith("before ")
    assert sum(len(part) for part, _ in pieces) < 260


def test_an_excerpt_shows_the_end_of_a_long_address_before_the_match() -> None:
    address = "https://example.org/" + "path/" * 100
    pieces = excerpt(f"see {address} about it", [("about",)])
    assert pieces[0] == ("…", False)
    assert pieces[1][0].endswith("path/path/path/ ")
    assert 40 <= len(pieces[1][0]) <= 80
    assert pieces[2] == ("about", True)


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=9))
def test_an_excerpt_shows_what_stands_before_the_match(lengths: list[int]) -> None:
    before = " ".join("a" * length for length in lengths)
    pieces = excerpt(f"{before} it", [("it",)])
    shown = "".join(part for part, is_hit in pieces if not is_hit).removeprefix("…")
    assert f"{before} ".endswith(shown)
    assert len(shown) >= min(40, len(before) + 1)
