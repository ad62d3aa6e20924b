"""One pass over the log writes leaves, bodies and what repeats them, all in the log's order.

Batches are small and nothing is kept of them but ids of people and conversations, so memory does
not grow with the log. After any batch the pass can be left, and gone on with from its `state`.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from app.audit import disclosure
from app.audit.actions import Action
from app.audit.disclosure import LoggedEntry
from app.audit.leaves import timestamp
from app.chat.models import Attachment, MessageVersion
from app.compliance.models import ExportRequest
from app.compliance.package import attached
from app.compliance.package.attached import KEYS, NotNow
from app.compliance.package.background import Background
from app.compliance.package.files import Folder
from app.compliance.package.items import Items
from app.compliance.package.labels import Conversations, People
from app.compliance.scope import Scope
from app.compliance.verify import MESSAGE_ACTIONS, VIEWS
from app.encryption.fields import Fault, SealError, opened, prefetch_data_keys, token

Body = dict[str, Any]
GROWING = ("leaves.txt", "bodies.jsonl", "messages.jsonl", *VIEWS)
"""What the pass writes; everything else is written at once, after it."""


class Contents:
    """Writes the data files of one export. `counts` and `items` tell what became of it."""

    def __init__(
        self, folder: Folder, asked: ExportRequest, size: int, state: dict[str, Any] | None = None
    ) -> None:
        self._asked, self._scope, self._size = asked, Scope.of(asked), size
        self._folder = folder
        self._people = People(asked.organization_id)
        self._conversations = Conversations(asked.organization_id)
        self._background = Background(asked.organization_id, self._scope, size)
        self._seen_people = {str(asked.requester_id), str(asked.decider_id)}
        self._seen_people |= {str(item) for item in self._scope.people}
        self._seen_conversations = {str(item) for item in self._scope.conversations}
        self.counts: Counter[str] = Counter()
        self.items = Items(state and state["items"])
        if state is None:
            for name in GROWING:
                folder.open(name)
        else:
            self.counts.update(state["counts"])
            self._seen_people |= set(state["people"])
            self._seen_conversations |= set(state["conversations"])

    def state(self) -> dict[str, Any]:
        """What to go on with, beside the files."""
        return {
            "counts": self.counts,
            "items": self.items.state(),
            "people": sorted(self._seen_people),
            "conversations": sorted(self._seen_conversations),
        }

    def write(self, position: int, done: Callable[[int], None]) -> None:
        """Go on from leaf `position`; `done` hears of each batch how far it reached."""
        organization = self._asked.organization_id
        for batch in disclosure.logged_entries(organization, self._size, start=position):
            self._write_batch(batch)
            position += len(batch)
            done(position)

    def write_rest(self) -> None:
        """What is known at the end: names, items, who was there at the beginning."""
        conversations = self._conversations.documents(self._seen_conversations)
        for row in conversations:
            self._seen_people |= {row["created_by"], *row["members_now"]}
        members = self._background.members_at_start()
        self._seen_people |= {row["user"] for row in members}
        rows = {
            "conversations.jsonl": conversations,
            "people.jsonl": self._people.documents(self._seen_people),
            "members_at_start.jsonl": [self._member_row(row) for row in members],
            "items.jsonl": self.items.rows(),
        }
        for name, documents in rows.items():
            file = self._folder.open(name)
            for document in documents:
                file.json(document)
            self.counts[name.removesuffix(".jsonl")] = len(documents)

    def _write_batch(self, batch: list[LoggedEntry]) -> None:
        files = self._folder.files
        for entry in batch:
            files["leaves.txt"].row(entry.leaf)
        due = [entry for entry in batch if self._is_due(entry)]
        bodies = disclosure.bodies([entry.id for entry in due])
        logged: list[tuple[int, Body]] = []
        beside: list[tuple[int, Body]] = []  # files uploaded before the period, ends of stays
        for entry in due:
            files["bodies.jsonl"].row(bodies[entry.id])
            if self._is_covered(entry):
                logged.append((entry.index, json.loads(bodies[entry.id])))
            elif entry.action in {Action.ATTACHMENT_UPLOADED, Action.CALL_LEFT}:
                beside.append((entry.index, json.loads(bodies[entry.id])))
        self.counts["leaves"] += len(batch)
        self.counts["entries"] += len(logged)
        for _, body in logged:
            self._note(body)
            self.items.count(body["scope"], "entries")
        for _, body in beside:
            self._note(body)
        self._write_messages(logged)
        files_of = attached.attachments_of([body for _, body in [*logged, *beside]])
        for index, body in sorted([*logged, *beside], key=lambda pair: pair[0]):
            self._write_event(index, body, files_of)

    def _is_covered(self, entry: LoggedEntry) -> bool:
        return self._scope.covers(conversation=entry.scope, actor=entry.actor, at=entry.at)

    def _is_due(self, entry: LoggedEntry) -> bool:
        """Besides what was asked for: the export's own request, and what rows refer to."""
        own = entry.target_type == "export" and entry.target_id == str(self._asked.pk)
        return own or self._background.holds(entry.id) or self._is_covered(entry)

    def _note(self, body: Body) -> None:
        self._seen_people |= {body["actor"]["id"]} if body["actor"]["id"] else set()
        if body["target"]["type"] == "user":
            self._seen_people.add(body["target"]["id"])
        if body["action"].startswith("call:"):
            named = (body["parameters"] or {}).get
            self._seen_people |= {who for who in (named("user"), named("by")) if who}
        if body["scope"]:
            self._seen_conversations.add(body["scope"])

    def _write_messages(self, logged: list[tuple[int, Body]]) -> None:
        spoken = [(index, body) for index, body in logged if body["action"] in MESSAGE_ACTIONS]
        rows = MessageVersion.objects.filter(
            pk__in=[body["after"]["version"] for _, body in spoken]
        )
        versions = {str(row.pk): row for row in rows.select_related("message")}
        prefetch_data_keys([token(row, "body") for row in versions.values() if _has_text(row)])
        for index, body in spoken:
            row = self._message_row(index, body, versions.get(body["after"]["version"]))
            self._folder.files["messages.jsonl"].json(row)
            self.counts["versions"] += 1
            self.counts["messages"] += body["action"] == "message:sent"
            self._tally(row)

    def _tally(self, row: Body) -> None:
        """Erased with its reason in the log is complete; anything else that is missing is not."""
        conversation = row["conversation"]
        self.items.count(conversation, "versions")
        if row["status"] == "ok":
            return
        if row["erased_by"] is not None:
            self.items.count(conversation, "texts_erased")
            self.counts["texts_erased"] += 1
            return
        told = {key: row[key] for key in ("leaf", "message", "status")}
        self.items.failed(conversation, "texts_missing", told)
        self.counts["texts_missing"] += 1

    def _message_row(self, index: int, body: Body, version: MessageVersion | None) -> Body:
        message = version.message if version else None
        author = str(message.author_id) if message else body["actor"]["id"]
        thread = message.thread_id if message else None
        if message:
            self._seen_people.add(author)
        content = _content(body, version)
        erased = content["status"] == "erased"
        return {
            "leaf": index,
            "at": body["time"],
            "conversation": body["scope"],
            **self._conversations.labels(body["scope"]),
            "message": body["target"]["id"],
            "thread": str(thread) if thread else None,
            "version": body["after"]["version"],
            "revision": body["after"]["revision"],
            "kind": body["action"].partition(":")[2],
            "created_at": timestamp(message.created_at) if message else None,
            "offset": message.offset if message else None,
            "author": author,
            **self._people.labels("author", author),
            "author_role": self._people.role(author),
            "actor": body["actor"]["id"],
            **self._people.labels("actor", body["actor"]["id"]),
            "actor_role": body["actor"]["role"],
            "commitment": body["after"]["content"],
            **content,
            "erased_by": self._background.end_of_key(body["scope"], body["time"])
            if erased
            else None,
            "attachments": body["after"].get("attachments", []),
        }

    def _write_event(self, index: int, body: Body, files_of: dict[str, Attachment]) -> None:
        for name, prefixes in VIEWS.items():
            if body["action"].startswith(prefixes):
                self.counts[name.removesuffix(".jsonl")] += 1
                row = self._event_row(index, body)
                if body["action"] == Action.ATTACHMENT_UPLOADED:
                    row |= self._put_file(row, files_of)
                if name == "calls.jsonl":
                    person = (body["parameters"] or {}).get("user")
                    row |= {"person": person, **self._people.labels("person", person)}
                self._folder.files[name].json(row)

    def _put_file(self, row: Body, files_of: dict[str, Attachment]) -> Body:
        file_id, where = row["target"]["id"], row["conversation"]
        told = attached.put(self._folder, file_id, files_of.get(file_id))
        end = self._background.end_of_key(where, row["at"]) if told["status"] == "erased" else None
        if told["status"] == "ok":
            self.items.count(where, "files")
        elif end is not None:
            self.items.count(where, "files_erased")
        elif told["status"] != attached.NOT_SENT:
            error = {"leaf": row["leaf"], "file": file_id, "status": told["status"]}
            self.items.failed(where, "files_missing", error)
            self.counts["files_missing"] += 1
        return told | {"erased_by": end}

    def _event_row(self, index: int, body: Body) -> Body:
        return {
            "leaf": index,
            "at": body["time"],
            "action": body["action"],
            "conversation": body["scope"],
            **self._conversations.labels(body["scope"]),
            "actor": body["actor"]["id"],
            **self._people.labels("actor", body["actor"]["id"]),
            "actor_role": body["actor"]["role"],
            **{key: body[key] for key in ("target", "parameters", "before", "after")},
        }

    def _member_row(self, row: Body) -> Body:
        names = self._conversations.labels(row["conversation"])
        return {**row, **names, **self._people.labels("user", row["user"])}


def _has_text(version: MessageVersion) -> bool:
    return version.kind != "deleted"


def _content(body: Body, version: MessageVersion | None) -> Body:
    """The text with its salt, or a status that says why it is not here."""
    nothing = {"body": None, "salt": None}
    if body["after"]["content"] is None:
        return nothing | {"status": "ok"}
    if version is None:
        return nothing | {"status": "missing"}
    try:
        found = opened(version, "body")
    except SealError as error:
        if error.code == Fault.KEY_UNAVAILABLE:
            raise NotNow(KEYS) from error
        return nothing | {"status": "erased" if error.erased else "unreadable"}
    except ValueError:  # the row lost its text
        return nothing | {"status": "missing"}
    return {"body": found.text, "salt": found.salt.hex(), "status": "ok"}
