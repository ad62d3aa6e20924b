"""An acknowledged message is in the database, sealed and in the trail, whatever is killed."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import uuid4

from websockets.exceptions import ConnectionClosed

from app.accounts.models import User
from app.audit.models import Entry
from app.chat import access
from app.chat.models import Conversation, Message, MessageVersion
from tests.chat.talk import room
from tests.realtime.speaker import Speaker, connected
from tests.server import WebServer


@dataclass
class Burst:
    """Sends as fast as the server takes it, until the connection is gone."""

    conversation: Conversation
    sent: dict[str, str] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)

    def run(self, speaker: Speaker) -> None:
        try:
            while True:
                window = [self._post(speaker) for _ in range(8)]
                for id_, number in window:
                    self.acked[id_] = speaker.reply(number)["offset"]
                time.sleep(0.75)  # eight at once, within the rate limit in the long run
        except (ConnectionClosed, TimeoutError, OSError):
            return

    def _post(self, speaker: Speaker) -> tuple[str, int]:
        id_ = str(uuid4())
        self.sent[id_] = f"message {len(self.sent)} of {id_}"
        number = speaker.post(
            "send", conversation=str(self.conversation.pk), id=id_, body=self.sent[id_]
        )
        return id_, number


def test_what_was_acknowledged_before_a_sigkill_is_there_once_sealed_and_in_the_trail(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    bursts = [Burst(ward) for _ in range(4)]
    with ExitStack() as sockets:
        threads = []
        for burst, user in zip(bursts, (alice, bob, alice, bob), strict=True):
            speaker = sockets.enter_context(connected(server.base_url, user))
            threads.append(threading.Thread(target=burst.run, args=(speaker,)))
        for thread in threads:
            thread.start()
        time.sleep(2.5)
        server.kill()
        for thread in threads:
            thread.join(timeout=30)
    server.start()

    acked = {id_: offset for burst in bursts for id_, offset in burst.acked.items()}
    texts = {id_: body for burst in bursts for id_, body in burst.sent.items()}
    assert len(acked) >= 50, "the burst was too short to show anything"
    kept = {str(row.pk): row for row in Message.objects.filter(conversation=ward)}
    assert acked.keys() <= kept.keys(), "an acknowledged message is lost"
    assert kept.keys() <= texts.keys()
    for id_, offset in acked.items():
        assert kept[id_].offset == offset
    versions = MessageVersion.objects.filter(message__conversation=ward)
    assert len(versions) == len(kept)
    for version in versions:
        assert version.body == texts[str(version.message_id)]
        entry = Entry.objects.get(pk=version.entry_id)
        assert entry.target_id == str(version.message_id)


def test_what_was_not_acknowledged_is_sent_again_and_is_there_once(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, alice) as a:
        ids = [str(uuid4()) for _ in range(40)]
        for id_ in ids:
            a.post("send", conversation=str(ward.pk), id=id_, body=f"text of {id_}")
        a.frame()  # some are committed by now, others are not
        server.kill()
    server.start()
    with connected(server.base_url, alice) as a:
        offsets = [a.send(ward.pk, f"text of {id_}", id=id_)["offset"] for id_ in ids]
    assert len(set(offsets)) == len(ids)
    shown = access.timeline(bob, ward.pk, limit=200).messages
    assert sorted(str(view.message.pk) for view in shown) == sorted(ids)
    assert all(view.body == f"text of {view.message.pk}" for view in shown)
