"""Names and topics are sealed for a revision that only grows: an old one cannot be put back."""

from django.db import migrations, models

FORWARD_ONLY = """
CREATE FUNCTION chat_refuse_older_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a conversation goes forward: revision % after % refused',
        NEW.revision, OLD.revision USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER chat_conversation_forward BEFORE UPDATE ON chat_conversation FOR EACH ROW
    WHEN (NEW.revision < OLD.revision) EXECUTE FUNCTION chat_refuse_older_revision();
ALTER TABLE chat_conversation ENABLE ALWAYS TRIGGER chat_conversation_forward;
"""
BACK = """
DROP TRIGGER chat_conversation_forward ON chat_conversation;
DROP FUNCTION chat_refuse_older_revision();
"""


class Migration(migrations.Migration):
    dependencies = [("chat", "0005_search")]

    operations = [
        migrations.AddField(
            'conversation', 'revision', models.PositiveIntegerField(default=0, db_default=0)
        ),
        migrations.RunSQL(FORWARD_ONLY, BACK),
    ]
