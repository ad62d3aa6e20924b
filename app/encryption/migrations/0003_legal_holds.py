"""A data key under a legal hold is not destroyed, whoever asks: the database refuses.

Who holds what is known to compliance, high above: it replaces `parley_is_held`. Whatever deletes
for good, in any app, calls `parley_refuse_if_held` in its transaction (see `encryption.holds`).
"""

from django.db import migrations

# plpgsql, volatile: each statement sees what is committed by then, so also a hold that was being
# placed while we waited for the lock. The lock is shared among deletions; placing a hold takes it
# alone. So no deletion that began before a hold commits after it.
FUNCTIONS = """
CREATE FUNCTION parley_is_held(organization uuid, conversation uuid) RETURNS boolean
LANGUAGE plpgsql AS $$ BEGIN RETURN false; END $$;

CREATE FUNCTION parley_hold_lock(organization uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('parley/legal-hold/' || organization, 0) $$;

CREATE FUNCTION parley_refuse_if_held(organization uuid, conversation uuid, what text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(parley_hold_lock(organization));
    IF parley_is_held(organization, conversation) THEN
        RAISE EXCEPTION 'under a legal hold: % of conversation % is kept', what, conversation
            USING ERRCODE = 'restrict_violation', CONSTRAINT = what || '_under_legal_hold';
    END IF;
END $$;

CREATE FUNCTION encryption_keep_held_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM parley_refuse_if_held(OLD.organization_id, OLD.conversation_id, 'data_key');
    RETURN NEW;
END $$;

-- A temporary table or function of the same name must not serve.
DO $$
DECLARE one text;
BEGIN
    FOREACH one IN ARRAY ARRAY[
        'parley_is_held(uuid, uuid)', 'parley_refuse_if_held(uuid, uuid, text)',
        'encryption_keep_held_keys()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
    END LOOP;
END $$;
"""

# A key that is moved to another conversation or month opens nothing any more: it was bound.
TRIGGER = """
CREATE TRIGGER data_key_under_legal_hold BEFORE UPDATE ON encryption_data_key FOR EACH ROW
WHEN (OLD.wrapped IS NOT NULL AND (NEW.wrapped IS NULL
    OR (NEW.id, NEW.organization_id, NEW.conversation_id, NEW.month)
        IS DISTINCT FROM (OLD.id, OLD.organization_id, OLD.conversation_id, OLD.month)))
EXECUTE FUNCTION encryption_keep_held_keys();
ALTER TABLE encryption_data_key ENABLE ALWAYS TRIGGER data_key_under_legal_hold;
"""


class Migration(migrations.Migration):
    dependencies = [("encryption", "0002_guards")]

    operations = [
        migrations.RunSQL(
            FUNCTIONS,
            """
            DROP FUNCTION encryption_keep_held_keys();
            DROP FUNCTION parley_refuse_if_held(uuid, uuid, text);
            DROP FUNCTION parley_hold_lock(uuid);
            DROP FUNCTION parley_is_held(uuid, uuid);
            """,
        ),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER data_key_under_legal_hold ON encryption_data_key"),
    ]
