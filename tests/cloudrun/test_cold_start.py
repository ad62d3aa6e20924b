"""An instance begins while members send and connect: who is sent to it waits, and is served."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest

from app.accounts.models import Organization
from app.realtime.protocol import Ack
from tests.cast import join
from tests.chat.talk import room
from tests.cloudrun.balancer import Balancer
from tests.cloudrun.conftest import Starts
from tests.faults.town import Instances, Town, living_in
from tests.realtime.speaker import bearer

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("image")]


def test_what_comes_while_an_instance_starts_waits_for_it_and_is_served(
    starts: Starts, balancer: Balancer, organization: Organization
) -> None:
    people = [join(organization, f"member{number}") for number in range(6)]
    square = room(*people)
    tokens = [bearer(one) for one in people]
    balancer.sends_to(starts("gateway"))
    with (
        living_in(Instances(cast(Any, (balancer,))), square, people) as town,
        ThreadPoolExecutor(len(people)) as senders,
    ):
        town.until(lambda: all(one.is_connected for one in town.members), "all are there")
        before = [one.client.link for one in town.members]
        cold = starts("gateway", now=False)
        balancer.sends_to(cold)  # as if the first were full
        town.do(renew_all(town))
        sent = senders.map(lambda token: post(balancer, str(square.pk), token), tokens)
        town.until(lambda: balancer.waited >= 2 * len(people), "they wait for an instance")
        cold.start()
        acked = len(town.acked)
        for id_, body, ack in sent:
            town.sent[id_], town.acked[id_] = body, ack
        town.until(
            lambda: all(
                one.client.link not in {None, old}
                for one, old in zip(town.members, before, strict=True)
            ),
            "each has a socket of the new instance",
        )
        town.until(lambda: len(town.acked) > acked + len(people), "members wrote meanwhile")
        town.check()
    assert balancer.statuses.keys() == {101, 201}, balancer.statuses


async def renew_all(town: Town) -> None:
    for member in town.members:
        member.client.renew()


def post(balancer: Balancer, conversation: str, token: str) -> tuple[str, str, Ack]:
    """Send by REST, once."""
    id_ = str(uuid4())
    body = f"message {id_} by REST"
    asked = urllib.request.Request(
        f"{balancer.base_url}/api/conversations/{conversation}/messages",
        json.dumps({"id": id_, "body": body}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=60) as response:
        return id_, body, msgspec.json.decode(response.read(), type=Ack)
