"""Members who speak to an instance, through the headers of the balancer."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from app.accounts.models import User
from tests.cloudrun.balancer import TOLD
from tests.cloudrun.image import Instance
from tests.realtime.speaker import Speaker, bearer, opened


@contextmanager
def socket_of(user: User, instance: Instance) -> Iterator[Speaker]:
    """A socket of an instance, signed in as a program would be."""
    told = TOLD | {"Authorization": f"Bearer {bearer(user)}"}
    asked = urllib.request.Request(f"{instance.url}/api/realtime/ticket", b"", told)
    with urllib.request.urlopen(asked, timeout=10) as response:
        ticket = json.load(response)["ticket"]
    with opened(instance.url) as speaker:
        speaker.ask("connect", ticket=ticket, client="test/1")
        yield speaker
