"""How the trail stands, over all logs, for the metrics and whoever is woken by them.

Asked often, so each question looks at one row an organization, or stops at the first it finds.
"""

from datetime import UTC, datetime

from django.db import transaction

from app import metrics
from app.audit.anchors.configured import names
from app.audit.rows import rows, run, value

_PATIENCE = "3s"
# In the order in which the sealer takes them: the first without a leaf has waited the longest.
_OLDEST_WAITING = """
SELECT e.at FROM audit_entry e
WHERE (e.xid, e.id) > (coalesce((SELECT xid FROM audit_horizon), '0'),
                       coalesce((SELECT entry_id FROM audit_horizon), 0))
    AND NOT EXISTS (SELECT FROM audit_leaf l WHERE l.entry_id = e.id)
ORDER BY e.xid, e.id LIMIT 1
"""
# A tree is written with each checkpoint, and there is one for each log.
_OLDEST_CHECKPOINT = "SELECT min(updated_at) FROM audit_tree"
# Mail goes once a day, and that it fails is seen in the numbers beside.
_ANCHORS = """
SELECT min(kept_at) FILTER (WHERE name <> 'mail'),
    count(*) FILTER (WHERE failing_since IS NOT NULL), count(*) FILTER (WHERE disagrees)
FROM audit_anchor WHERE name = ANY(%s)
"""
_VERIFICATIONS = """
SELECT min(v.at), count(*) FILTER (WHERE NOT v.ok) FROM audit_tree t
JOIN LATERAL (
    SELECT at, ok FROM audit_verification
    WHERE organization_id = t.organization_id ORDER BY at DESC LIMIT 1
) v ON true
"""


def standing() -> dict[str, float]:
    """The gauges of the trail; an age is left out where there is nothing yet. Raises database
    errors."""
    now = datetime.now(UTC)
    with transaction.atomic():
        run(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
        waiting = rows(_OLDEST_WAITING, [])
        checkpoint = value(_OLDEST_CHECKPOINT, [])
        kept, failing, disagreeing = rows(_ANCHORS, [names()])[0]
        verified, failed = rows(_VERIFICATIONS, [])[0]
    ages = {
        metrics.TRAIL_LAG: waiting[0][0] if waiting else now,
        metrics.CHECKPOINT_AGE: checkpoint,
        metrics.ANCHOR_AGE: kept,
        metrics.VERIFICATION_AGE: verified,
    }
    told = {gauge.name: max(0.0, (now - at).total_seconds()) for gauge, at in ages.items() if at}
    return told | {
        metrics.ANCHORS_FAILING.name: failing,
        metrics.ANCHORS_DISAGREEING.name: disagreeing,
        metrics.VERIFICATIONS_FAILED.name: failed,
    }
