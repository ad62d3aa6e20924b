"""What the database itself enforces: no step of an export without its entry, and none deleted."""

from django.db import migrations

REQUIRE = """
CREATE CONSTRAINT TRIGGER compliance_export_requested AFTER INSERT ON compliance_exportrequest
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION parley_require_entry('export', 'id', 'request_entry');
ALTER TABLE compliance_exportrequest ENABLE ALWAYS TRIGGER compliance_export_requested;

-- Building and ready follow from an approval; their entry is written before the package is shown.
CREATE CONSTRAINT TRIGGER compliance_export_decided AFTER UPDATE ON compliance_exportrequest
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (OLD.state <> NEW.state AND NEW.state NOT IN ('building', 'ready', 'partial'))
EXECUTE FUNCTION parley_require_entry('export', 'id');
ALTER TABLE compliance_exportrequest ENABLE ALWAYS TRIGGER compliance_export_decided;
"""

FREE = """
DROP TRIGGER compliance_export_requested ON compliance_exportrequest;
DROP TRIGGER compliance_export_decided ON compliance_exportrequest;
"""

# Triggers, not rights: a later grant on all tables would give the right back unseen.
KEEP = """
CREATE FUNCTION compliance_refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'requests for exports are kept: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER compliance_exportrequest_kept BEFORE DELETE OR TRUNCATE ON compliance_exportrequest
    FOR EACH STATEMENT EXECUTE FUNCTION compliance_refuse_deletion();
"""

RELEASE = """
DROP TRIGGER compliance_exportrequest_kept ON compliance_exportrequest;
DROP FUNCTION compliance_refuse_deletion();
"""


class Migration(migrations.Migration):
    dependencies = [("compliance", "0001_initial"), ("audit", "0002_guards")]

    operations = [
        migrations.RunSQL(REQUIRE, FREE),
        migrations.RunSQL(KEEP, RELEASE),
    ]
