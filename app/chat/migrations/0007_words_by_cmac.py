"""Words have other numbers now: each organization's index is built again, by the job that does so
after it was turned on. Until then what is not built is opened and looked at."""

from django.db import migrations

BUILD_AGAIN = """
INSERT INTO chat_searchindex (organization_id, state, total, done, changed_at)
SELECT c.organization_id, 'building', count(*), 0, now()
FROM chat_message m JOIN chat_conversation c ON c.id = m.conversation_id
WHERE m.deleted_at IS NULL GROUP BY c.organization_id
ON CONFLICT (organization_id) DO UPDATE SET
    state = 'building', reached_at = NULL, reached_id = NULL,
    total = excluded.total, done = 0, changed_at = excluded.changed_at
WHERE chat_searchindex.state IN ('complete', 'building');
"""


class Migration(migrations.Migration):
    dependencies = [("chat", "0006_conversation_revision")]

    operations = [migrations.RunSQL(BUILD_AGAIN, BUILD_AGAIN)]
