"""One pass over the log writes leaves, bodies and what repeats them, all in the log's order.

Batches are small and nothing is kept of them but ids, so memory does not grow with the log.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from app.audit import disclosure
from app.audit.disclosure import LoggedEntry
from app.audit.leaves import timestamp
from app.chat.models import MessageVersion
from app.compliance.models import ExportRequest
from app.compliance.package.files import Folder
from app.compliance.package.labels import Conversations, People
from app.compliance.scope import Scope
from app.compliance.verify import CSV_COLUMNS, MESSAGE_ACTIONS, VIEWS, csv_line
from app.encryption.fields import SealError, opened, prefetch_data_keys, token

Body = dict[str, Any]


class Contents:
    """Writes the data files of one export. `counts` and `failed` tell what became of it."""

    def __init__(self, folder: Folder, asked: ExportRequest, size: int) -> None:
        self._asked, self._scope, self._size = asked, Scope.of(asked), size
        self._folder = folder
        self._people = People(asked.organization_id)
        self._conversations = Conversations(asked.organization_id)
        self._seen_people = {str(asked.requester_id), str(asked.decider_id)}
        self._seen_conversations = {str(item) for item in self._scope.conversations}
        self._seen_people |= {str(item) for item in self._scope.people}
        self.counts: Counter[str] = Counter()

    @property
    def failed(self) -> int:
        """How many texts could not be put in."""
        return self.counts["texts_missing"]

    def write(self, progress: Callable[[int], None]) -> None:
        """Write everything; `progress` hears how many leaves are done."""
        for name in ("leaves.txt", "bodies.jsonl", "messages.jsonl", "messages.csv", *VIEWS):
            self._folder.open(name)
        self._folder.files["messages.csv"].write(b"\xef\xbb\xbf" + csv_line(list(CSV_COLUMNS)))
        done = 0
        for batch in disclosure.logged_entries(self._asked.organization_id, self._size):
            self._write_batch(batch)
            done += len(batch)
            progress(done)
        self._write_labels()

    def _write_batch(self, batch: list[LoggedEntry]) -> None:
        files = self._folder.files
        for entry in batch:
            files["leaves.txt"].row(entry.leaf)
        due = [entry for entry in batch if self._is_due(entry)]
        bodies = disclosure.bodies([entry.id for entry in due])
        logged: list[tuple[int, Body]] = []
        for entry in due:
            files["bodies.jsonl"].row(bodies[entry.id])
            if self._is_covered(entry):
                logged.append((entry.index, json.loads(bodies[entry.id])))
        self.counts["leaves"] += len(batch)
        self.counts["entries"] += len(logged)
        for _, body in logged:
            self._note_names(body)
        self._write_messages(logged)
        for index, body in logged:
            self._write_event(index, body)

    def _is_covered(self, entry: LoggedEntry) -> bool:
        return self._scope.covers(conversation=entry.scope, actor=entry.actor, at=entry.at)

    def _is_due(self, entry: LoggedEntry) -> bool:
        """Besides what was asked for: the export's own request and approval."""
        own = entry.target_type == "export" and entry.target_id == str(self._asked.pk)
        return own or self._is_covered(entry)

    def _note_names(self, body: Body) -> None:
        self._seen_people |= {body["actor"]["id"] or "", body["target"]["id"]}
        self._seen_conversations.add(body["scope"] or "")

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
            line = csv_line([row.get(column) for column in CSV_COLUMNS])
            self._folder.files["messages.csv"].write(line)
            self.counts["versions"] += 1
            self.counts["messages"] += body["action"] == "message:sent"
            self.counts["texts_missing"] += row["status"] != "ok"

    def _message_row(self, index: int, body: Body, version: MessageVersion | None) -> Body:
        message = version.message if version else None
        author = str(message.author_id) if message else body["actor"]["id"]
        thread = message.thread_id if message else None
        if message:
            self._seen_people.add(author)
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
            **_content(body, version),
        }

    def _write_event(self, index: int, body: Body) -> None:
        for name, prefixes in VIEWS.items():
            if not body["action"].startswith(prefixes):
                continue
            self.counts[name.removesuffix(".jsonl")] += 1
            self._folder.files[name].json(
                {
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
            )

    def _write_labels(self) -> None:
        conversations = self._conversations.documents(self._seen_conversations - {""})
        for row in conversations:
            self._seen_people |= {row["created_by"], *row["members_now"]}
        people = self._people.documents(self._seen_people)
        for name, rows in (("conversations", conversations), ("people", people)):
            file = self._folder.open(f"{name}.jsonl")
            for row in rows:
                file.json(row)
            self.counts[name] = len(rows)


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
        return nothing | {"status": "erased" if error.erased else "unreadable"}
    except ValueError:  # the row lost its text
        return nothing | {"status": "missing"}
    return {"body": found.text, "salt": found.salt.hex(), "status": "ok"}
