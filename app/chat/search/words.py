"""What counts as a word, and whether a text says what is looked for. Pure.

A text is compared without regard to case and to compatible forms (NFKC, case-folded). A word
is a run of letters, digits and their marks. Scripts that are written without spaces between
words have no such runs: there each letter stands alone, and neighbours are found as a phrase.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise

Phrase = tuple[str, ...]
"""Words that stand one after the other; most often only one."""

# Thai, Lao, Myanmar, Khmer; kana; Han; and Hangul, whose particles stick to their nouns.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
# Invisible, and within a word: soft hyphen, joiners, byte order mark.
_INVISIBLE = dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF])
_ASCII_WORD = re.compile("[a-z0-9]+")
# The same of bytes, four times as fast: each is its lower case, or a blank between words.
_ASCII_FOLDED = bytes(
    ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else 32 for byte in range(256)
)
_STARTS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_BETWEEN = "\0"  # in no word
_BLANK = re.compile(r"\s")


def folded(text: str) -> str:
    """The form in which texts are compared (near Unicode's toNFKC_Casefold, 3.13 R5)."""
    if text.isascii():
        return text.lower()
    # Translating is the slowest part, and hardly a text needs it.
    visible = text if text.isprintable() else text.translate(_INVISIBLE)
    once = unicodedata.normalize("NFKC", visible).casefold()
    return unicodedata.normalize("NFKC", once)


def words_of(text: str) -> list[str]:
    """The words of a text, in its order."""
    if text.isascii():
        return [word.decode() for word in _ascii_words(text)]
    return _words_in(folded(text))


def _ascii_words(text: str) -> list[bytes]:
    return text.encode().translate(_ASCII_FOLDED).split()


def index_words(text: str) -> set[bytes]:
    """What a text is found by, in UTF-8: its words, and pairs of neighbours in scripts without
    spaces."""
    if text.isascii():  # no such script
        return {*_ascii_words(text)}
    words = words_of(text)
    return {word.encode() for word in (*words, *map("".join, _pairs(words)))}


def look_up(phrases: Iterable[Phrase]) -> list[str]:
    """What of a query to look up in the index, the longest (most often the rarest) first.

    A letter that is in a pair is left out: whoever has the pair has the letter.
    """
    found: set[str] = set()
    for phrase in phrases:
        pairs = _pairs(phrase)
        paired = {letter for pair in pairs for letter in pair}
        found |= {*map("".join, pairs), *(word for word in phrase if word not in paired)}
    return sorted(found, key=lambda word: (-len(word), word))


def says(text: str, phrases: Sequence[Phrase]) -> bool:
    """Whether the text says all of the phrases."""
    content = folded(text)
    # Most texts say none of it: that is seen without taking them apart.
    if not all(word in content for phrase in phrases for word in phrase):
        return False
    line = _line(_words_in(content))
    return all(_line(phrase) in line for phrase in phrases)


def listening_for(phrases: Sequence[Phrase]) -> Callable[[bytes], str | None]:
    """A function of a text in UTF-8: the text, if it says all of the phrases, else None.

    Most texts are ASCII, where folding is lowering and a word with any other letter in it does
    not occur: `says` is answered from the bytes then, mostly by a word that is not in them.
    """
    words = [word.encode() for phrase in phrases for word in phrase]
    patterns = [_in_ascii(phrase) for phrase in phrases]

    def heard(content: bytes) -> str | None:
        if not content.isascii():
            text = content.decode()
            return text if says(text, phrases) else None
        lowered = content.lower()
        for word in words:
            if word not in lowered:
                return None
        for pattern in patterns:
            if pattern.search(lowered) is None:
                return None
        return content.decode()

    return heard


def _in_ascii(phrase: Phrase) -> re.Pattern[bytes]:
    between = b"[^a-z0-9]+".join(re.escape(word.encode()) for word in phrase)
    return re.compile(b"(?<![a-z0-9])" + between + b"(?![a-z0-9])")


def _line(words: Sequence[str]) -> str:
    return _BETWEEN + _BETWEEN.join(words) + _BETWEEN


def _words_in(content: str) -> list[str]:
    if content.isascii():
        return _ASCII_WORD.findall(content)
    return _word_pattern().findall(content)


def _pairs(words: Sequence[str]) -> set[tuple[str, str]]:
    return {pair for pair in pairwise(words) if _unspaced(pair[0]) and _unspaced(pair[1])}


def _unspaced(word: str) -> bool:
    return _STARTS_UNSPACED.match(word) is not None


@cache
def _word_pattern() -> re.Pattern[str]:
    letter = rf"[^\W_{_UNSPACED}]"
    return re.compile(rf"{letter}+(?:{_marks()}+{letter}*)*|(?=[^\W_])[{_UNSPACED}]{_marks()}*")


@cache
def _marks() -> str:
    """A character class of all combining marks (category M), which `re` has no name for."""
    planes = (range(0x300, 0x20000), range(0xE0100, 0xE01F0))
    points = [point for plane in planes for point in plane]
    found = [point for point in points if unicodedata.category(chr(point))[0] == "M"]
    ranges: list[list[int]] = []
    for point in found:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges) + "]"


# What is shown of a text.

Piece = tuple[str, bool]
"""A part of a text, and whether it is what was looked for."""
_EXCERPT = 240  # characters
_BEFORE = 60
_NEAR = 20


def excerpt(text: str, phrases: Sequence[Phrase]) -> list[Piece]:
    """A part of the text around the first match, cut into what matches and what does not."""
    text = unicodedata.normalize("NFC", text)
    matches = _matches(text, phrases)
    start = _start(text, matches[0][0]) if matches else 0
    end = min(len(text), start + _EXCERPT)
    pieces: list[Piece] = [("…", False)] if start else []
    at = start
    for first, last in matches:
        if first >= end:
            break
        pieces += [(text[at:first], False), (text[first : min(last, end)], True)]
        at = min(last, end)
    pieces.append((text[at:end] + ("…" if end < len(text) else ""), False))
    return [piece for piece in pieces if piece[0]]


def _start(text: str, match: int) -> int:
    """Where to begin, so that what stands before the match is in sight too.

    At a word if one begins near there, else within a long one, such as an address.
    """
    start = match - _BEFORE
    if start <= 0:
        return 0
    blank = _BLANK.search(text, max(0, start - _NEAR), start + _NEAR)
    return blank.end() if blank else start


def _matches(text: str, phrases: Sequence[Phrase]) -> list[tuple[int, int]]:
    """Where in the text the phrases stand, in order and without overlap."""
    content, origin = _mapped(text)
    pattern = _ASCII_WORD if content.isascii() else _word_pattern()
    spans = [match.span() for match in pattern.finditer(content)]
    words = [content[first:last] for first, last in spans]
    hit = [False] * len(words)
    for phrase in phrases:
        length = len(phrase)
        for at in range(len(words) - length + 1):
            if tuple(words[at : at + length]) == phrase:
                hit[at : at + length] = [True] * length
    merged: list[tuple[int, int]] = []
    for (first, last), marked in zip(spans, hit, strict=True):
        if marked:
            start, end = origin[first][0], origin[last - 1][1]
            if merged and start <= merged[-1][1]:
                start = merged.pop()[0]
            merged.append((start, end))
    return merged


def _mapped(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The folded text, and for each of its characters the span of `text` that it comes from."""
    if text.isascii():
        return text.lower(), [(at, at + 1) for at in range(len(text))]
    parts, origin = [], []
    for match in re.finditer(rf".{_marks()}*", text, re.DOTALL):
        part = folded(match.group())
        parts.append(part)
        origin += [match.span()] * len(part)
    return "".join(parts), origin
