"""No data key without its entry in the trail, and none that vanishes without a trace."""

from django.db import migrations

REQUIRE_ENTRY = """
CREATE CONSTRAINT TRIGGER data_key_has_its_entry AFTER INSERT ON encryption_data_key
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION parley_require_entry('data_key');
CREATE CONSTRAINT TRIGGER key_encryption_key_has_its_entry
    AFTER INSERT ON encryption_key_encryption_key
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION parley_require_entry('key_encryption_key');
"""

# Destroying a data key empties its row; the row itself stays, to say so.
KEEP_ROWS = """
CREATE FUNCTION encryption_refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'keys are destroyed, not deleted: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER data_key_no_delete BEFORE DELETE ON encryption_data_key
    FOR EACH ROW EXECUTE FUNCTION encryption_refuse_deletion();
CREATE TRIGGER data_key_no_truncate BEFORE TRUNCATE ON encryption_data_key
    FOR EACH STATEMENT EXECUTE FUNCTION encryption_refuse_deletion();
CREATE TRIGGER key_encryption_key_no_delete BEFORE DELETE ON encryption_key_encryption_key
    FOR EACH ROW EXECUTE FUNCTION encryption_refuse_deletion();
CREATE TRIGGER key_encryption_key_no_truncate BEFORE TRUNCATE ON encryption_key_encryption_key
    FOR EACH STATEMENT EXECUTE FUNCTION encryption_refuse_deletion();
"""

RELEASE_ROWS = """
DROP TRIGGER data_key_no_delete ON encryption_data_key;
DROP TRIGGER data_key_no_truncate ON encryption_data_key;
DROP TRIGGER key_encryption_key_no_delete ON encryption_key_encryption_key;
DROP TRIGGER key_encryption_key_no_truncate ON encryption_key_encryption_key;
DROP FUNCTION encryption_refuse_deletion();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_guards"), ("encryption", "0001_initial")]

    operations = [
        migrations.RunSQL(
            REQUIRE_ENTRY,
            """
            DROP TRIGGER data_key_has_its_entry ON encryption_data_key;
            DROP TRIGGER key_encryption_key_has_its_entry ON encryption_key_encryption_key;
            """,
        ),
        migrations.RunSQL(KEEP_ROWS, RELEASE_ROWS),
    ]
