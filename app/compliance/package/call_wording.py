"""What happened in a call as people read it; nothing that the entry says is left out."""

from typing import Any

_DID = {
    "started": "began the call",
    "ended": "ended the call, as the last to leave",
    "joined": "joined the call",
    "resumed": "came back to the call",
    "left": "left the call",
    "kicked": "put somebody out of the call",
    "moved": "sent somebody on to another call",
    "muted": "muted a microphone in the call",
    "unmuted": "unmuted their microphone in the call",
    "told": "caused a notice to everybody in the call",
    "shared": "changed what they send beside sound in the call",
    "handed_over": "changed the way of the call's media",
}
_WHY = {
    "left": "They left.",
    "timeout": "Nothing was heard of them any more.",
    "kicked": "A host put them out.",
    "moved": "They went on to another call.",
    "replaced": "Their device joined again.",
    "revoked": "They might not stay: no member any more, or signed out.",
    "room_closed": "The room was closed.",
    "sfu_handover": "The call went on through a server.",
}


def head(row: dict[str, Any], actor: str) -> str:
    """Who did what in which call."""
    target = row["target"]
    call = target["id"] if target["type"] == "call" else target["parent"]
    did = row["action"].partition(":")[2]
    return f"{actor} {_DID.get(did, did)} {call}"


def text(row: dict[str, Any], person: str) -> str:
    """Whose place it was, on which device, why it ended, how its connections were."""
    given, after = row["parameters"] or {}, row["after"] or {}
    lines = []
    if row["target"]["type"] == "participant":
        lines.append(
            f"({person}, place {row['target']['id']}, device {given.get('device')},"
            f" generation {given.get('gen')})"
        )
    if "reason" in given:
        by = f" By {given['by']}." if given.get("by") else ""
        lines.append(f"{_WHY.get(given['reason'], given['reason'])} ({given['reason']}){by}")
    known = {"user", "device", "gen", "reason", "by", "connections"}
    rest = {name: value for name, value in (given | after).items() if name not in known}
    lines += [f"{name}: {value}" for name, value in rest.items()]
    lines += [_connection(one) for one in given.get("connections", [])]
    return "\n".join(lines)


def _connection(one: dict[str, Any]) -> str:
    """Loss in percent, times in milliseconds; the evidence has ppm and microseconds."""
    figures = ", ".join(
        f"{label} {_range(one[name], per)} {unit}"
        for name, label, per, unit in (
            ("loss_ppm", "loss", 10_000, "%"),
            ("jitter_us", "jitter", 1_000, "ms"),
            ("rtt_us", "round trip", 1_000, "ms"),
        )
    )
    return f"to {one['peer']}: {one['candidate']}, {figures}, {one['reports']} reports"


def _range(figures: dict[str, int], per: int) -> str:
    mean, worst, last = (figures[name] / per for name in ("mean", "worst", "last"))
    return f"{mean:g} (worst {worst:g}, last {last:g})"
