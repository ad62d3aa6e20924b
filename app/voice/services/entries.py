"""What entries of the trail say of participants and calls."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from app.audit.actions import Action
from app.audit.context import Actor, Origin
from app.audit.services import Record, Target
from app.voice.models import Call, Connection
from app.voice.rooms import Identity, Place


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes rooms of an organization, when, and where from (None: from where we are)."""

    organization: UUID
    actor: Actor
    at: datetime = field(default_factory=timezone.now)
    origin: Origin | None = None


def of_place(act: Act, action: Action, place: Place, call: Call, **more: Any) -> Record:
    """An entry about a participant; their call stands with it as what they belong to."""
    parameters = {"user": str(place.user), "device": str(place.device), "gen": place.gen}
    return Record(
        action,
        organization=act.organization,
        actor=act.actor,
        target=Target("participant", str(place.pid), str(call.pk)),
        scope=place.conversation,
        origin=act.origin,
        **{**more, "parameters": parameters | more.get("parameters", {})},
    )


def of_call(act: Act, action: Action, call: Call, **more: Any) -> Record:
    return Record(
        action,
        organization=act.organization,
        actor=act.actor,
        target=Target("call", str(call.pk), str(call.conversation_id)),
        scope=call.conversation_id,
        origin=act.origin,
        **more,
    )


def announced(place: Place) -> dict[str, Any]:
    """What a device said of itself when it came."""
    return {"muted": place.muted, "identity": identity_hash(place.identity)}


def identity_hash(identity: Identity) -> str:
    """SHA-256, in hex, of what a device announced: key, fingerprint, signature, a line each."""
    lines = (identity.key, identity.fingerprint, identity.signature)
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def outcome(reason: str, by: UUID | None, connections: Iterable[Connection]) -> Mapping[str, Any]:
    """Why somebody left, and how their connections were."""
    return {
        "reason": reason,
        "by": str(by) if by else None,
        "connections": [quality(row) for row in connections],
    }


def quality(row: Connection) -> dict[str, Any]:
    """How a connection was: loss in parts per million, times in microseconds."""
    return {
        "peer": str(row.peer),
        "candidate": row.candidate,
        "reports": row.reports,
        "loss_ppm": _figures(row, "loss"),
        "jitter_us": _figures(row, "jitter"),
        "rtt_us": _figures(row, "rtt"),
    }


def _figures(row: Connection, name: str) -> dict[str, int]:
    return {
        "last": getattr(row, f"{name}_last"),
        "worst": getattr(row, f"{name}_worst"),
        "mean": getattr(row, f"{name}_sum") // max(1, row.reports),
    }
