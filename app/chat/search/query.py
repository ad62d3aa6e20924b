"""What a person types into the box of the search: words, "phrases" and filters. Pure.

`from:name`, `in:name`, `before:2026-11-01`, `after:2026-11-01`; a name with blanks in quotes.
`before:` a day leaves that day out, `after:` a day has it in.
"""

import re
from dataclasses import dataclass
from datetime import date

from app.chat.search.words import Phrase, words_of
from app.errors import Invalid

LONGEST = 500  # characters
MOST_WORDS = 24
_PART = re.compile(
    r'(?:(?P<filter>from|in|before|after):)?(?:"(?P<quoted>[^"]*)"?|(?P<plain>[^\s"]+))', re.I
)


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for; names are as typed, several of them mean any of them."""

    phrases: tuple[Phrase, ...] = ()
    people: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    before: date | None = None
    after: date | None = None


def parse(text: str) -> Query:
    """Read a query. Raises Invalid, saying what is wrong with it, never repeating it."""
    if len(text) > LONGEST:
        raise wrong(f"At most {LONGEST} characters.")
    phrases: list[Phrase] = []
    filters: dict[str, list[str]] = {"from": [], "in": [], "before": [], "after": []}
    for part in _PART.finditer(text):
        given = part["quoted"] if part["quoted"] is not None else part["plain"]
        if part["filter"]:
            filters[part["filter"].lower()].append(given)
        elif phrase := tuple(words_of(given)):
            phrases.append(phrase)
    if sum(map(len, phrases)) > MOST_WORDS:
        raise wrong(f"At most {MOST_WORDS} words.")
    return Query(
        phrases=tuple(dict.fromkeys(phrases)),
        people=tuple(filters["from"]),
        conversations=tuple(filters["in"]),
        before=_day(filters["before"]),
        after=_day(filters["after"]),
    )


def _day(given: list[str]) -> date | None:
    if not given:
        return None
    try:
        (day,) = map(date.fromisoformat, given)
    except ValueError:
        raise wrong("Write one day, such as before:2026-11-01.") from None
    if not 1970 <= day.year <= 9000:
        raise wrong("That day is not in our calendar.")
    return day


def wrong(told: str) -> Invalid:
    """What is told of a query; never what was in it."""
    return Invalid("The search cannot be read.", fields={"query": [told]})
