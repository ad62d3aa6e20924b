"""Who belongs to which conversation, and who may do what, against the trail's last word on it.

Whoever writes to the database need not open a text: they make themselves a member, or an
officer, and let the application open it. Here such a row is found out.
"""

from typing import Any

from app.audit.body import parse
from app.audit.canonical import NotCanonical
from app.compliance.reconciliation.findings import Comparison, Fault
from app.compliance.reconciliation.rows import stream

# The last entry of each (conversation, person) beside the present stay; either may be missing.
_MEMBERS = """
SELECT coalesce(told.target_parent, now.conversation), coalesce(told.target_id, now.person),
    now.role, told.action_name, told.body
FROM (
    SELECT DISTINCT ON (target_parent, target_id) target_parent, target_id, action_name, body
    FROM audit_entry
    WHERE organization_id = %(organization)s AND action_name LIKE 'member:%%'
    ORDER BY target_parent, target_id, id DESC
) AS told FULL JOIN (
    SELECT m.conversation_id::text AS conversation, m.user_id::text AS person, m.role
    FROM chat_membership m JOIN chat_conversation c ON c.id = m.conversation_id
    WHERE c.organization_id = %(organization)s AND m.left_at IS NULL
) AS now ON now.conversation = told.target_parent AND now.person = told.target_id
"""
_ENDED = {"member:left", "member:removed"}

_ROLES = """
SELECT u.id::text, u.role, u.is_active, given.body, ended.action_name
FROM accounts_user u
LEFT JOIN LATERAL (
    SELECT body FROM audit_entry
    WHERE target_type = 'user' AND target_id = u.id::text AND organization_id = u.organization_id
        AND action_name IN ('user:created', 'user:role_changed')
    ORDER BY id DESC LIMIT 1
) AS given ON true
LEFT JOIN LATERAL (
    SELECT action_name FROM audit_entry
    WHERE target_type = 'user' AND target_id = u.id::text AND organization_id = u.organization_id
        AND action_name IN ('user:enabled', 'user:disabled')
    ORDER BY id DESC LIMIT 1
) AS ended ON true
WHERE u.organization_id = %(organization)s
"""


def check_members(found: Comparison) -> None:
    """Everybody who belongs to a conversation now, in the role that the trail gave them."""
    for conversation, person, role, action, body in stream(_MEMBERS, found.organization):
        logged = None if action is None or action in _ENDED else _role(body)
        if role != logged:
            place = f"person {person} in conversation {conversation}"
            message = f"the row says {_said(role)}, the trail {_said(logged)}"
            found.add(Fault.MEMBERSHIP, place, message)


def check_roles(found: Comparison) -> None:
    """Everybody's role in the organization, and whether they may sign in."""
    for person, role, active, body, ended in stream(_ROLES, found.organization):
        logged = None if body is None else _role(body)
        if role != logged:
            message = f"the row says {role}, the trail {_said(logged)}"
            found.add(Fault.ROLE, f"person {person}", message)
        if active != (ended != "user:disabled"):
            message = "they may sign in, and the trail says disabled"
            if not active:
                message = "they may not sign in, and the trail does not say disabled"
            found.add(Fault.ROLE, f"person {person}", message)


def _role(body: Any) -> str | None:
    """What the entry gave them; None when it cannot be read (`audit_verify` says why)."""
    try:
        role = parse(bytes(body)).after.get("role")
    except NotCanonical:
        return None
    return role if isinstance(role, str) else None


def _said(role: str | None) -> str:
    return role or "not there"
