"""Searching a million sealed messages in 400 conversations: by blind words, and by opening all.

One person is in every conversation, another in a tenth of them. Queries are drawn anew for each
round: rare, middling and common words, two words, phrases, a person with a word, a period.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from app.accounts.models import User
from app.chat.search.access import Wanted, search
from app.chat.search.finding import Criteria
from app.chat.search.models import IndexState, SearchIndex
from benchmarks.corpus import Corpus, make_corpus
from benchmarks.figures import Figure
from tests.live import LiveDatabase
from tests.stack import running_stack

MESSAGES, CONVERSATIONS = 1_000_000, 400
ROUNDS, SCANS = 8, 5


def measure(scale: float) -> Iterator[Figure]:
    with running_stack().fresh_database() as database:
        live = LiveDatabase(database)
        with live.acting_as("app"):
            start = time.perf_counter()
            corpus = make_corpus(
                live,
                messages=int(MESSAGES * scale),
                conversations=max(20, int(CONVERSATIONS * scale)),
            )
            rate = corpus.messages / (time.perf_counter() - start)
            yield Figure("load sealed and indexed messages by COPY", "a second", [rate])
            yield from _indexed(corpus)
            yield _scanned(corpus)


def _indexed(corpus: Corpus) -> Iterator[Figure]:
    chance = random.Random(7)  # noqa: S311 - repeatable, not secret
    for name, user in (("all", corpus.everywhere), ("a tenth of the", corpus.usual)):
        _round(corpus, user, chance)  # the keys are in memory, as in a process that runs
        rounds = [_round(corpus, user, chance) for _ in range(ROUNDS)]
        every = [milliseconds for one in rounds for milliseconds in one]
        p95 = [statistics.quantiles(one, n=20)[-1] for one in rounds]
        yield Figure(f"search {name} conversations", "ms", every)
        yield Figure(f"search {name} conversations, p95", "ms", p95, 50, "at most")


def _round(corpus: Corpus, user: User, chance: random.Random) -> list[float]:
    times = []
    for make in _QUERIES:
        for _ in range(4):
            wanted = Wanted(make(corpus, chance))
            start = time.perf_counter()
            search(user, wanted)
            times.append((time.perf_counter() - start) * 1000)
    return times


def _word(corpus: Corpus, chance: random.Random, first: int, last: int) -> tuple[str, ...]:
    return (chance.choice(corpus.words[first:last]),)


def _period(corpus: Corpus, chance: random.Random) -> Criteria:
    since = corpus.first + (corpus.last - corpus.first) * chance.random() * 0.8
    word = _word(corpus, chance, 100, 5000)
    return Criteria([word], since=since, until=since + timedelta(days=30))


_QUERIES: tuple[Callable[[Corpus, random.Random], Criteria], ...] = (
    lambda corpus, chance: Criteria([_word(corpus, chance, 20_000, 30_000)]),
    lambda corpus, chance: Criteria([_word(corpus, chance, 1000, 5000)]),
    lambda corpus, chance: Criteria([_word(corpus, chance, 0, 50)]),
    lambda corpus, chance: Criteria([_word(corpus, chance, 50, 500) for _ in "ab"]),
    lambda corpus, chance: Criteria([_word(corpus, chance, 0, 30) + _word(corpus, chance, 0, 30)]),
    lambda corpus, chance: Criteria(
        [_word(corpus, chance, 100, 2000)], authors=frozenset([chance.choice(corpus.people).pk])
    ),
    _period,
    lambda _, chance: Criteria([(f"nobody{chance.getrandbits(64)}",)]),
)


def _scanned(corpus: Corpus) -> Figure:
    """Switched off: how many messages a second are opened and looked at for a word of nobody's."""
    SearchIndex.objects.update_or_create(
        organization=corpus.organization,
        defaults={"state": IndexState.OFF, "changed_at": timezone.now()},
    )
    wanted, rates = Wanted(Criteria([(f"nobody{uuid4().hex}",)])), []
    for _ in range(SCANS):
        start = time.perf_counter()
        page = search(corpus.everywhere, wanted)
        rates.append(page.opened / (time.perf_counter() - start))
    return Figure("search switched off: messages opened and looked at", "a second", rates, 50_000)
