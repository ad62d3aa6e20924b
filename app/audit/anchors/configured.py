"""The anchors that the settings name."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from django.conf import settings

from app.audit.anchors.anchor import Anchor
from app.audit.cosignature import WitnessKey

OFFICERS = "officers"
MAIL = "mail"
_MAIL_EVERY = timedelta(days=1)


def _nobody(_: UUID) -> Sequence[str]:
    return ()


_officers: Callable[[UUID], Sequence[str]] = _nobody


def find_officers_with(addresses: Callable[[UUID], Sequence[str]]) -> None:
    """People are known further up: whoever knows them says here how to find their addresses."""
    global _officers  # noqa: PLW0603  # set once, while the apps are loaded
    _officers = addresses


def configured() -> list[Anchor]:
    """Every anchor of ANCHOR_BUCKET, ANCHOR_WITNESS and ANCHOR_MAIL; raises BadNote."""
    every = timedelta(minutes=settings.ANCHOR_MINUTES)
    anchors: list[Anchor] = [_bucket(url, every) for url in settings.ANCHOR_BUCKET]
    anchors += [_witness(url, vkey, every) for url, vkey in settings.ANCHOR_WITNESS]
    if settings.ANCHOR_MAIL:
        anchors.append(_mailbox(tuple(settings.ANCHOR_MAIL)))
    return anchors


def names() -> list[str]:
    """The names of all of them, without loading what it takes to reach them; raises BadNote."""
    buckets = [bucket_name(url) for url in settings.ANCHOR_BUCKET]
    return [*buckets, *witness_keys(), *([MAIL] if settings.ANCHOR_MAIL else [])]


def bucket_name(url: str) -> str:
    """`s3://bucket/prefix`, without options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def witness_keys() -> dict[str, WitnessKey]:
    """The keys of the witnesses, by their names; raises BadNote."""
    keys = [WitnessKey.parse(vkey) for _, vkey in settings.ANCHOR_WITNESS]
    return {key.name: key for key in keys}


@lru_cache
def _bucket(url: str, every: timedelta) -> Anchor:
    parts = urlsplit(url)
    period = timedelta(days=settings.ANCHOR_KEEP_DAYS)
    given = (
        bucket_name(url),
        parts.netloc,
        parts.path.strip("/"),
        every,
        period,
        dict(parse_qsl(parts.query)),
    )
    # Each brings a large client: only what is configured is loaded.
    if parts.scheme == "s3":
        from app.audit.anchors.s3 import S3Bucket  # noqa: PLC0415

        return S3Bucket(*given)
    from app.audit.anchors.gcs import GoogleBucket  # noqa: PLC0415

    return GoogleBucket(*given)


def _witness(url: str, vkey: str, every: timedelta) -> Anchor:
    from app.audit.anchors.witness import Witness  # noqa: PLC0415  # brings a client, as above

    return Witness(url, WitnessKey.parse(vkey), every)


def _mailbox(addresses: tuple[str, ...]) -> Anchor:
    from app.audit.anchors.mailbox import Mailbox  # noqa: PLC0415

    if addresses == (OFFICERS,):
        return Mailbox(_officers, _MAIL_EVERY)
    return Mailbox(lambda _: addresses, _MAIL_EVERY)
