"""What the database itself enforces: nothing in the call record without its entry in the trail,
nothing of it deleted, and what is over stays as it was."""

from django.db import migrations

REQUIRE = """
CREATE CONSTRAINT TRIGGER {0}_entry AFTER INSERT OR UPDATE ON {0}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION parley_require_entry({1});
ALTER TABLE {0} ENABLE ALWAYS TRIGGER {0}_entry;
"""

KEEP = """
CREATE FUNCTION voice_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the call record is kept as it was: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER voice_call_kept BEFORE DELETE OR TRUNCATE ON voice_call
    FOR EACH STATEMENT EXECUTE FUNCTION voice_refuse();
CREATE TRIGGER voice_participant_kept BEFORE DELETE OR TRUNCATE ON voice_participant
    FOR EACH STATEMENT EXECUTE FUNCTION voice_refuse();
CREATE TRIGGER voice_connection_kept BEFORE DELETE OR TRUNCATE ON voice_connection
    FOR EACH STATEMENT EXECUTE FUNCTION voice_refuse();

CREATE TRIGGER voice_call_over BEFORE UPDATE ON voice_call FOR EACH ROW
    WHEN (OLD.ended_at IS NOT NULL OR (NEW.id, NEW.conversation_id, NEW.started_at)
        IS DISTINCT FROM (OLD.id, OLD.conversation_id, OLD.started_at))
    EXECUTE FUNCTION voice_refuse();
CREATE TRIGGER voice_participant_over BEFORE UPDATE ON voice_participant FOR EACH ROW
    WHEN (OLD.left_at IS NOT NULL OR NEW.gen < OLD.gen OR
        (NEW.pid, NEW.call_id, NEW.conversation_id, NEW.user_id, NEW.device, NEW.joined_at, NEW.key)
        IS DISTINCT FROM
        (OLD.pid, OLD.call_id, OLD.conversation_id, OLD.user_id, OLD.device, OLD.joined_at, OLD.key))
    EXECUTE FUNCTION voice_refuse();

-- A report is written under the lock of its participant's row.
CREATE FUNCTION voice_refuse_late_report() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    over boolean;
BEGIN
    EXECUTE format('SELECT left_at IS NOT NULL FROM %I.voice_participant WHERE pid = $1',
        TG_TABLE_SCHEMA) INTO over USING NEW.participant_id;
    IF over THEN
        RAISE EXCEPTION 'the call record is kept as it was: % on % refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER voice_connection_over BEFORE INSERT OR UPDATE ON voice_connection
    FOR EACH ROW EXECUTE FUNCTION voice_refuse_late_report();

ALTER TABLE voice_call ENABLE ALWAYS TRIGGER voice_call_kept;
ALTER TABLE voice_call ENABLE ALWAYS TRIGGER voice_call_over;
ALTER TABLE voice_participant ENABLE ALWAYS TRIGGER voice_participant_kept;
ALTER TABLE voice_participant ENABLE ALWAYS TRIGGER voice_participant_over;
ALTER TABLE voice_connection ENABLE ALWAYS TRIGGER voice_connection_kept;
ALTER TABLE voice_connection ENABLE ALWAYS TRIGGER voice_connection_over;
"""

RELEASE = """
DROP FUNCTION voice_refuse CASCADE;
DROP FUNCTION voice_refuse_late_report CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("voice", "0001_initial"), ("audit", "0002_guards")]

    operations = [
        migrations.RunSQL(
            REQUIRE.format("voice_call", "'call', 'id'"),
            "DROP TRIGGER voice_call_entry ON voice_call",
        ),
        migrations.RunSQL(
            REQUIRE.format("voice_participant", "'participant', 'pid'"),
            "DROP TRIGGER voice_participant_entry ON voice_participant",
        ),
        migrations.RunSQL(KEEP, RELEASE),
    ]
