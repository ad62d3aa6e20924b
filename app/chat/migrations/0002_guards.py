"""What the database itself enforces: no version without its entry in the trail, and none deleted."""

from django.db import migrations

REQUIRE = """
CREATE CONSTRAINT TRIGGER chat_messageversion_entry AFTER INSERT ON chat_messageversion
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION parley_require_entry('message', 'message_id', 'entry_id');
ALTER TABLE chat_messageversion ENABLE ALWAYS TRIGGER chat_messageversion_entry;
"""

# Triggers, not rights: a later grant on all tables would give the right back unseen.
KEEP = """
CREATE FUNCTION chat_refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was said is kept: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER chat_message_kept BEFORE DELETE OR TRUNCATE ON chat_message
    FOR EACH STATEMENT EXECUTE FUNCTION chat_refuse_deletion();
CREATE TRIGGER chat_messageversion_kept BEFORE DELETE OR TRUNCATE ON chat_messageversion
    FOR EACH STATEMENT EXECUTE FUNCTION chat_refuse_deletion();
CREATE TRIGGER chat_membership_kept BEFORE DELETE OR TRUNCATE ON chat_membership
    FOR EACH STATEMENT EXECUTE FUNCTION chat_refuse_deletion();
"""

RELEASE = """
DROP TRIGGER chat_message_kept ON chat_message;
DROP TRIGGER chat_messageversion_kept ON chat_messageversion;
DROP TRIGGER chat_membership_kept ON chat_membership;
DROP FUNCTION chat_refuse_deletion();
"""


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial"), ("audit", "0002_guards")]

    operations = [
        migrations.RunSQL(REQUIRE, "DROP TRIGGER chat_messageversion_entry ON chat_messageversion"),
        migrations.RunSQL(KEEP, RELEASE),
    ]
