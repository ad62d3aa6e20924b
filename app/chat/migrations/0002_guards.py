"""What the database itself enforces: no version without its entry in the trail, and none deleted."""

from django.db import migrations

REQUIRE = """
CREATE CONSTRAINT TRIGGER chat_messageversion_entry AFTER INSERT ON chat_messageversion
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION parley_require_entry('message', 'message_id', 'entry_id');
ALTER TABLE chat_messageversion ENABLE ALWAYS TRIGGER chat_messageversion_entry;
"""

KEEP = """
DO $$ BEGIN
    REVOKE DELETE ON chat_message, chat_messageversion, chat_membership FROM parley_app;
EXCEPTION
    -- where roles may not be made, `audit_status` says so
    WHEN undefined_object THEN NULL;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial"), ("audit", "0002_guards")]

    operations = [
        migrations.RunSQL(REQUIRE, "DROP TRIGGER chat_messageversion_entry ON chat_messageversion"),
        migrations.RunSQL(KEEP, migrations.RunSQL.noop),
    ]
