"""A version of a message as people read it, in the PDF and in the mails alike."""

from typing import Any

_WHY = {
    "erased": "The text cannot be read any more: its key was destroyed.",
    "unreadable": "The text could not be opened: its row was changed.",
    "missing": "The text is not in the database.",
}


def head(row: dict[str, Any]) -> str:
    """Place in the log, time, who did what to which message."""
    reply = f", in the thread {row['thread']}" if row["thread"] else ""
    return (
        f"Leaf {row['leaf']} · {row['at'].replace('T', ' ').replace('Z', ' UTC')} ·"
        f" {person(row, 'actor')} {row['kind']} message {row['message']},"
        f" version {row['revision']}{reply}"
    )


def text(row: dict[str, Any]) -> str:
    """What was written, or why there is nothing."""
    if row["kind"] == "deleted":
        return f"(Deleted. The message was written by {person(row, 'author')}.)"
    if row["status"] != "ok":
        return f"({_WHY[row['status']]})"
    return str(row["body"])


def person(row: dict[str, Any], prefix: str) -> str:
    name, email = row[f"{prefix}_name"], row[f"{prefix}_email"]
    return f"{name} <{email}>" if name and email else f"{name or row[prefix]}"


def place(row: dict[str, Any]) -> str:
    """What the conversation is called."""
    return str(row["conversation_name"] or f"{row['conversation_kind']} {row['conversation']}")
