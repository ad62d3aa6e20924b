"""Entries in the words of a SIEM: OCSF 1.8.0 (https://schema.ocsf.io/1.8.0). Pure.

Nothing of `parameters`, `before` and `after` but a role is told: who watches for attacks needs no
commitments, and a reason that an officer gave is not theirs to read. What identifies an entry
(its id, its place in the log, the hash of its body) is told, so that a line can be proven.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.audit import catalogue, merkle
from app.audit.actions import Action
from app.audit.body import Body, BodyActor

VERSION = "1.8.0"
PRODUCT = {"name": "Parley", "vendor_name": "Parley"}

EVENT_LOG, ACCOUNT, AUTHENTICATION, ENTITY = 1008, 3001, 3002, 3004
USER_ACCESS, GROUP, API = 3005, 3006, 6003
OTHER = 99

# The class and the activity in it, where they are not those of the subject and the verb.
_EXACT: Mapping[Action, tuple[int, int]] = {
    Action.SESSION_STARTED: (AUTHENTICATION, 1),
    Action.SESSION_REFUSED: (AUTHENTICATION, 1),
    Action.SESSION_ENDED: (AUTHENTICATION, 2),
    Action.USER_CREATED: (ACCOUNT, 1),
    Action.USER_ENABLED: (ACCOUNT, 2),
    Action.USER_PASSWORD_CHANGED: (ACCOUNT, 3),
    Action.USER_DISABLED: (ACCOUNT, 5),
    Action.USER_ROLE_CHANGED: (USER_ACCESS, 1),
    Action.MEMBER_ADDED: (GROUP, 3),
    Action.MEMBER_JOINED: (GROUP, 3),
    Action.MEMBER_LEFT: (GROUP, 4),
    Action.MEMBER_REMOVED: (GROUP, 4),
    Action.MEMBER_ROLE_CHANGED: (GROUP, 1),
    Action.LOG_ANCHORED: (EVENT_LOG, 3),
}
_CLASSES: Mapping[str, int] = {
    "log": EVENT_LOG,
    "content": EVENT_LOG,
    "user": ACCOUNT,
    "session": AUTHENTICATION,
    "token": AUTHENTICATION,
    "member": GROUP,
    **dict.fromkeys(
        (
            "organization", "invitation", "data_key", "key_encryption_key", "conversation",
            "hold", "erasure", "export", "row",
        ),
        ENTITY,
    ),
}  # fmt: skip
_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4  # the same in both classes
_VERBS: Mapping[str, int] = {
    **dict.fromkeys(("created", "requested", "placed", "sent", "uploaded", "added"), _CREATE),
    **dict.fromkeys(("opened", "downloaded", "read", "fed", "disclosed", "performed"), _READ),
    **dict.fromkeys(("changed", "updated", "edited", "rewrapped", "rotated"), _UPDATE),
    **dict.fromkeys(("deleted", "destroyed", "revoked", "removed", "released"), _DELETE),
    "retired": _DELETE,
    "call_policy_changed": _UPDATE,
}
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH, _CRITICAL = 1, 2, 3, 4, 5
_SEVERE: Mapping[Action, int] = {
    Action.LOG_VERIFICATION_FAILED: _CRITICAL,
    Action.CONTENT_VERIFICATION_FAILED: _CRITICAL,
    Action.LOG_ANCHOR_FAILED: _HIGH,
    Action.TOKEN_REUSED: _HIGH,
}
_STATUSES = {"success": 1, "failure": 2}


def kind(action: Action) -> tuple[int, int]:
    """The class and the activity of an action."""
    if action in _EXACT:
        return _EXACT[action]
    subject, _, verb = action.value.partition(":")
    of_class = _CLASSES.get(subject, API)
    known = of_class in {ENTITY, API}
    return of_class, _VERBS.get(verb, OTHER) if known else OTHER


def event(body: Body, raw: bytes, leaf: bytes, index: int, *, log: str) -> dict[str, Any]:
    """The entry as an event. `raw` is the body's bytes, `leaf` its line in the tree of the log
    that is called `log`, `index` its place there."""
    action = Action(body.action)
    of_class, activity = kind(action)
    told = {
        "category_uid": of_class // 1000,
        "class_uid": of_class,
        "activity_id": activity,
        "type_uid": of_class * 100 + activity,
        "severity_id": _severity(action, body.outcome),
        "status_id": _STATUSES.get(body.outcome, OTHER),
        "time": _milliseconds(body.time),
        "message": catalogue.meaning(action),
        "metadata": {
            "version": VERSION,
            "product": PRODUCT,
            "uid": body.id,
            "sequence": index,
            "log_name": log,
            "event_code": body.action,
            "correlation_uid": body.origin.request_id,
            "tenant_uid": body.organization,
        },
        "actor": _actor(body),
        "src_endpoint": _endpoint(body),
        "raw_data_hash": {"algorithm_id": 3, "value": hashlib.sha256(raw).hexdigest()},
        "unmapped": {
            "actor_role": body.actor.role,
            "method": body.origin.method,
            "scope": body.scope,
            "target": {
                "type": body.target.type, "id": body.target.id, "parent": body.target.parent
            },
            "leaf_hash": merkle.leaf_hash(leaf).hex(),
        },
        **_particulars(of_class, body),
    }  # fmt: skip
    if activity == OTHER:
        told["activity_name"] = body.action
    if told["status_id"] == OTHER:
        told["status"] = body.outcome
    if body.origin.agent and of_class != EVENT_LOG:
        told["http_request"] = {"user_agent": body.origin.agent}
    return told


def _particulars(of_class: int, body: Body) -> dict[str, Any]:
    """What the class requires beside what all have."""
    target, service = body.target, {"name": PRODUCT["name"]}
    whose = {"user": {"uid": target.id}}
    by_class: dict[int, dict[str, Any]] = {
        AUTHENTICATION: {
            "user": {"uid": body.actor.id or target.parent or target.id}, "service": service
        },
        ACCOUNT: whose,
        USER_ACCESS: whose | {"privileges": [str(body.after.get("role", ""))]},
        GROUP: whose
        | {"group": {"uid": target.parent or str(body.scope), "type": "conversation"}},
        ENTITY: {"entity": {"uid": target.id, "type": target.type, "type_id": OTHER}},
        EVENT_LOG: {"log_name": target.type},
        API: {
            "api": {"operation": body.action, "service": service},
            "resources": [{"uid": target.id, "type": target.type}],
        },
    }  # fmt: skip
    return by_class[of_class]


def _actor(body: Body) -> dict[str, Any]:
    actor: BodyActor = body.actor
    if actor.kind == "system":
        return {"app_name": PRODUCT["name"]}
    told: dict[str, Any] = {"user": {"uid": actor.id} if actor.id else {"name": actor.kind}}
    if body.origin.session:
        told["session"] = {"uid": body.origin.session}
    return told


def _endpoint(body: Body) -> dict[str, Any]:
    return {"ip": body.origin.address} if body.origin.address else {"name": body.actor.kind}


def _severity(action: Action, outcome: str) -> int:
    if action in _SEVERE:
        return _SEVERE[action]
    if outcome != "success" or action.is_disclosure:
        return _MEDIUM
    return _LOW if action.is_grave else _INFORMATIONAL


def _milliseconds(time: str) -> int:
    at = datetime.fromisoformat(time.replace("Z", "+00:00")).astimezone(UTC)
    return int(at.timestamp() * 1000)
