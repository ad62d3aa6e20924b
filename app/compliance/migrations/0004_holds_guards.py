"""What the database itself enforces: what is held is kept, and no step is without its entry."""

from django.db import migrations

# The one place that says what is held. The organization's own keys seal names: under any hold
# they are kept. Rows of membership are never deleted, so "was ever a member" can be told.
HELD = """
CREATE OR REPLACE FUNCTION parley_is_held(organization uuid, conversation uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM compliance_legalhold hold
        WHERE hold.organization_id = organization AND hold.released_at IS NULL AND (
            conversation IS NULL
            OR EXISTS (
                SELECT FROM compliance_heldconversation held
                WHERE held.hold_id = hold.id AND held.conversation_id = conversation
            )
            OR EXISTS (
                SELECT FROM compliance_heldperson held
                JOIN chat_membership stay ON stay.user_id = held.person_id
                WHERE held.hold_id = hold.id AND stay.conversation_id = conversation
            )
        )
    );
END $$;
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION parley_is_held(uuid, uuid) SET search_path = %I, pg_temp',
        current_schema());
END $$;
"""

NOTHING_HELD = """
CREATE OR REPLACE FUNCTION parley_is_held(organization uuid, conversation uuid) RETURNS boolean
LANGUAGE plpgsql AS $$ BEGIN RETURN false; END $$;
"""

# Placing waits for deletions that have begun, and those that begin later wait for it. Sealed
# columns may be sealed anew, when a data key is rotated: their commitments are in the trail.
PLACE = """
CREATE FUNCTION compliance_place_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(parley_hold_lock(NEW.organization_id));
    RETURN NEW;
END $$;
CREATE TRIGGER compliance_legalhold_at_once BEFORE INSERT ON compliance_legalhold
    FOR EACH ROW EXECUTE FUNCTION compliance_place_hold();
ALTER TABLE compliance_legalhold ENABLE ALWAYS TRIGGER compliance_legalhold_at_once;

CREATE FUNCTION compliance_keep_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what officers did stays as it was: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER compliance_legalhold_stays BEFORE UPDATE ON compliance_legalhold FOR EACH ROW
    WHEN ((OLD.released_at IS NOT NULL
            AND (NEW.released_at, NEW.released_by_id, NEW.release_asked_by_id)
                IS DISTINCT FROM (OLD.released_at, OLD.released_by_id, OLD.release_asked_by_id))
        OR (NEW.id, NEW.organization_id, NEW.placed_by_id, NEW.placed_at, NEW.place_entry)
            IS DISTINCT FROM
            (OLD.id, OLD.organization_id, OLD.placed_by_id, OLD.placed_at, OLD.place_entry))
    EXECUTE FUNCTION compliance_keep_hold();
ALTER TABLE compliance_legalhold ENABLE ALWAYS TRIGGER compliance_legalhold_stays;
CREATE TRIGGER compliance_heldconversation_stays BEFORE UPDATE ON compliance_heldconversation
    FOR EACH ROW EXECUTE FUNCTION compliance_keep_hold();
ALTER TABLE compliance_heldconversation ENABLE ALWAYS TRIGGER compliance_heldconversation_stays;
CREATE TRIGGER compliance_heldperson_stays BEFORE UPDATE ON compliance_heldperson
    FOR EACH ROW EXECUTE FUNCTION compliance_keep_hold();
ALTER TABLE compliance_heldperson ENABLE ALWAYS TRIGGER compliance_heldperson_stays;
CREATE TRIGGER compliance_reading_stays BEFORE UPDATE ON compliance_reading FOR EACH ROW
    WHEN ((NEW.id, NEW.organization_id, NEW.conversation_id, NEW.officer_id, NEW.opened_at,
            NEW.closes_at, NEW.open_entry)
        IS DISTINCT FROM (OLD.id, OLD.organization_id, OLD.conversation_id, OLD.officer_id,
            OLD.opened_at, OLD.closes_at, OLD.open_entry))
    EXECUTE FUNCTION compliance_keep_hold();
ALTER TABLE compliance_reading ENABLE ALWAYS TRIGGER compliance_reading_stays;
"""

PLACE_BACK = """
DROP TRIGGER compliance_reading_stays ON compliance_reading;
DROP TRIGGER compliance_heldperson_stays ON compliance_heldperson;
DROP TRIGGER compliance_heldconversation_stays ON compliance_heldconversation;
DROP TRIGGER compliance_legalhold_stays ON compliance_legalhold;
DROP TRIGGER compliance_legalhold_at_once ON compliance_legalhold;
DROP FUNCTION compliance_keep_hold();
DROP FUNCTION compliance_place_hold();
"""

TABLES = ("legalhold", "heldconversation", "heldperson", "reading", "erasure")
KEEP = """
CREATE FUNCTION compliance_keep_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what officers did is kept: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
""" + "".join(
    f"""
CREATE TRIGGER compliance_{table}_kept BEFORE DELETE OR TRUNCATE ON compliance_{table}
    FOR EACH STATEMENT EXECUTE FUNCTION compliance_keep_rows();
ALTER TABLE compliance_{table} ENABLE ALWAYS TRIGGER compliance_{table}_kept;
"""
    for table in TABLES
)
RELEASE = (
    "".join(f"DROP TRIGGER compliance_{table}_kept ON compliance_{table};" for table in TABLES)
    + "DROP FUNCTION compliance_keep_rows();"
)

_REQUIRE = """
CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW {when} EXECUTE FUNCTION parley_require_entry({arguments});
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};
"""
REQUIRED = [
    ("compliance_hold_placed", "INSERT", "compliance_legalhold", "", "'hold', 'id', 'place_entry'"),
    (
        "compliance_hold_changed", "UPDATE", "compliance_legalhold",
        "WHEN ((OLD.release_asked_by_id, OLD.release_asked_at, OLD.released_at) IS DISTINCT FROM"
        " (NEW.release_asked_by_id, NEW.release_asked_at, NEW.released_at))",
        "'hold', 'id'",
    ),
    (
        "compliance_reading_opened", "INSERT", "compliance_reading", "",
        "'reading', 'id', 'open_entry'",
    ),
    (
        "compliance_erasure_requested", "INSERT", "compliance_erasure", "",
        "'erasure', 'id', 'request_entry'",
    ),
    (
        "compliance_erasure_decided", "UPDATE", "compliance_erasure",
        "WHEN (OLD.state <> NEW.state)", "'erasure', 'id'",
    ),
]  # fmt: skip
REQUIRE = "".join(
    _REQUIRE.format(name=name, event=event, table=table, when=when, arguments=arguments)
    for name, event, table, when, arguments in REQUIRED
)
FREE = "".join(f"DROP TRIGGER {name} ON {table};" for name, _, table, _, _ in REQUIRED)


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0003_holds_readings_erasures"),
        ("encryption", "0003_legal_holds"),
        ("audit", "0002_guards"),
    ]

    operations = [
        migrations.RunSQL(HELD, NOTHING_HELD),
        migrations.RunSQL(PLACE, PLACE_BACK),
        migrations.RunSQL(KEEP, RELEASE),
        migrations.RunSQL(REQUIRE, FREE),
    ]
