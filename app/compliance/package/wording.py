"""Versions of messages, and what happened in calls, as people read it: in PDF and mails alike."""

import heapq
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from app.compliance.package import call_wording

_WHY = {
    "erased": "The text cannot be read any more: its key was destroyed.",
    "unreadable": "The text could not be opened: its row was changed.",
    "missing": "The text is not in the database.",
}


def in_order(
    messages: Iterator[dict[str, Any]], calls: Iterator[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Both, in the order of the log."""
    return heapq.merge(messages, calls, key=itemgetter("leaf"))


def is_of_a_call(row: dict[str, Any]) -> bool:
    """Whether the row stands in calls.jsonl."""
    return "action" in row


def head(row: dict[str, Any]) -> str:
    """Place in the log, time, who did what to which message or in which call."""
    if is_of_a_call(row):
        what = call_wording.head(row, person(row, "actor"))
    else:
        reply = f", in the thread {row['thread']}" if row["thread"] else ""
        what = (
            f"{person(row, 'actor')} {row['kind']} message {row['message']},"
            f" version {row['revision']}{reply}"
        )
    return f"Leaf {row['leaf']} · {row['at'].replace('T', ' ').replace('Z', ' UTC')} · {what}"


def text(row: dict[str, Any]) -> str:
    """What was written, or why there is nothing; what is known of somebody's stay in a call."""
    if is_of_a_call(row):
        return call_wording.text(row, person(row, "person"))
    if row["kind"] == "deleted":
        return f"(Deleted. The message was written by {person(row, 'author')}.)"
    if row["status"] != "ok":
        return f"({_WHY[row['status']]})"
    return str(row["body"])


def person(row: dict[str, Any], prefix: str) -> str:
    name, email = row[f"{prefix}_name"], row[f"{prefix}_email"]
    if name and email:
        return f"{name} <{email}>"
    return str(name or row[prefix] or "Parley")


def place(row: dict[str, Any]) -> str:
    """What the conversation is called."""
    return str(row["conversation_name"] or f"{row['conversation_kind']} {row['conversation']}")
