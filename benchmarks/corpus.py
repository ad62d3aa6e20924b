"""A large organization, quickly: real sealed rows and real blind words, by COPY.

Words follow Zipf's law, conversations are of very different sizes, messages are spread over
months. The trail is left out (its trigger is off in this database alone): what needs entries
sends through the services.
"""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from uuid import UUID

from django.db import connection

from app.accounts.models import Organization, User
from app.accounts.services import found_organization
from app.chat.models import Conversation, Kind, Membership
from app.chat.search.words import index_words
from app.encryption import envelope, services
from app.encryption.blind import blind_words
from app.encryption.keyring import keyring
from tests.live import LiveDatabase

CHUNK = 10_000  # rows of one COPY
VOCABULARY = 30_000
_LABEL = envelope.label("chat_messageversion", "body")
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "al", "en", "or")]
Row = tuple[object, ...]


@dataclass
class Corpus:
    """What was made: `everywhere` belongs to every conversation, `usual` to a tenth of them."""

    organization: Organization
    everywhere: User
    usual: User
    conversations: list[Conversation]
    people: list[User]
    words: list[str]
    """The vocabulary, the commonest first."""
    first: datetime
    last: datetime
    messages: int
    _offsets: dict[UUID, int] = field(default_factory=dict)


def make_corpus(
    database: LiveDatabase,
    *,
    messages: int,
    conversations: int = 400,
    months: int = 12,
    people: int = 50,
    seed: int = 1,
) -> Corpus:
    """Fill an empty database; connected as its superuser within."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    last = datetime(2026, 11, 1, tzinfo=UTC)
    first = last - timedelta(days=30.4 * months)
    organization = found_organization(slug="corpus", name="Corpus")
    users = [
        User.objects.create_user(
            organization=organization,
            email=f"person-{number}@example.org",
            display_name=f"Person {number}",
        )
        for number in range(people)
    ]
    rooms = [
        Conversation(
            organization=organization,
            kind=Kind.PRIVATE,
            name=f"room-{number}",
            topic="",
            created_by=users[0],
        )
        for number in range(conversations)
    ]
    Conversation.objects.bulk_create(rooms)
    members = [_members(users, number, chance) for number in range(conversations)]
    Membership.objects.bulk_create(
        [
            Membership(conversation=room, user=user, joined_at=first)
            for room, present in zip(rooms, members, strict=True)
            for user in present
        ]
    )
    corpus = Corpus(
        organization, users[0], users[1], rooms, users, _vocabulary(chance), first, last, messages
    )
    with database.acting_as("superuser"):
        _copy_messages(corpus, members, chance)
    return corpus


def _members(users: list[User], number: int, chance: random.Random) -> list[User]:
    others = chance.sample(users[2:], 8)
    return [users[0], *([users[1]] if number % 10 == 0 else []), *others]


def _vocabulary(chance: random.Random) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(chance.choices(_SYLLABLES, k=chance.choice([1, 2, 2, 3, 3, 4])))] = None
    return list(words)


def texts(count: int, seed: int = 1) -> list[str]:
    """What people say: fourteen words in the mean, a few of them common."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    words = _vocabulary(chance)
    return [_text(words, chance) for _ in range(count)]


_COMMON = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))


def _text(words: Sequence[str], chance: random.Random) -> str:
    length = max(1, int(chance.expovariate(1 / 14)))
    return " ".join(chance.choices(words, cum_weights=_COMMON, k=length))


def _copy_messages(
    corpus: Corpus, members: Sequence[Sequence[User]], chance: random.Random
) -> None:
    with connection.cursor() as cursor:
        # Neither foreign keys nor the trail's trigger: both would cost more than the rows.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("ALTER TABLE chat_messageversion DISABLE TRIGGER chat_messageversion_entry")
        cursor.execute("DROP INDEX chat_search_words")
        rows = _messages(corpus, members, chance)
        for start in range(0, corpus.messages, CHUNK):
            some = [next(rows) for _ in range(min(CHUNK, corpus.messages - start))]
            for (table, columns), kind in zip(_TABLES, zip(*some, strict=True), strict=True):
                text = "\n".join("\t".join(map(str, row)) for row in kind)
                cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.StringIO(text))
        # As the migration made it: what is loaded at once is indexed at once.
        cursor.execute(
            "CREATE INDEX chat_search_words ON chat_searchtokens USING gin (words) "
            "WITH (fastupdate = off)"
        )
        cursor.execute(
            "ALTER TABLE chat_messageversion ENABLE ALWAYS TRIGGER chat_messageversion_entry"
        )
        cursor.execute("VACUUM (ANALYZE) chat_message, chat_messageversion, chat_searchtokens")


_TABLES = (
    ("chat_message", 'id, conversation_id, author_id, "offset", created_at, revision'),
    (
        "chat_messageversion",
        "id, message_id, organization_id, conversation_id, revision, kind, body, editor_id, at, "
        "entry_id",
    ),
    (
        "chat_searchtokens",
        "message_id, conversation_id, author_id, created_at, key_id, words",
    ),
)


def _messages(
    corpus: Corpus, members: Sequence[Sequence[User]], chance: random.Random
) -> Iterator[tuple[Row, Row, Row]]:
    """A row for each of `_TABLES`, message by message, the oldest first."""
    step = (corpus.last - corpus.first) / corpus.messages
    busy = list(accumulate(1 / (rank + 20) for rank in range(len(members))))
    places = range(len(members))
    offsets = [0] * len(members)
    keys: dict[tuple[int, date], bytes] = {}
    for number in range(corpus.messages):
        at = corpus.first + step * number
        (place,) = chance.choices(places, cum_weights=busy)
        room, author = corpus.conversations[place], chance.choice(members[place]).pk
        month = at.date().replace(day=1)
        key = keys.get((place, month))
        if key is None:
            key = keys[place, month] = services.reserve_data_key(
                organization=corpus.organization.pk, conversation=room.pk, month=month
            ).id.bytes
        text = _text(corpus.words, chance)
        message, version = UUID(int=chance.getrandbits(128)), UUID(int=chance.getrandbits(128))
        where = envelope.place_in(_LABEL, corpus.organization.pk, version, room.pk, 1)
        sealed = envelope.seal(keyring.to_open(key).cipher, key, where, text).token
        words = ",".join(map(str, blind_words(key, index_words(text))))
        offsets[place] += 1
        yield (
            (message, room.pk, author, offsets[place], at, 1),
            (
                version, message, corpus.organization.pk, room.pk, 1, "created", sealed, author,
                at, 0,
            ),
            (message, room.pk, author, at, UUID(bytes=key), "{" + words + "}"),
        )  # fmt: skip
