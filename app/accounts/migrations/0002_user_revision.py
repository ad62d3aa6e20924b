"""Names and addresses are sealed for a revision that only grows: an old one cannot be put back."""

from django.db import migrations, models

FORWARD_ONLY = """
CREATE FUNCTION accounts_refuse_older_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a person goes forward: revision % after % refused',
        NEW.revision, OLD.revision USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER accounts_user_forward BEFORE UPDATE ON accounts_user FOR EACH ROW
    WHEN (NEW.revision < OLD.revision) EXECUTE FUNCTION accounts_refuse_older_revision();
ALTER TABLE accounts_user ENABLE ALWAYS TRIGGER accounts_user_forward;
"""
BACK = """
DROP TRIGGER accounts_user_forward ON accounts_user;
DROP FUNCTION accounts_refuse_older_revision();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            'user', 'revision', models.PositiveIntegerField(default=0, db_default=0)
        ),
        migrations.RunSQL(FORWARD_ONLY, BACK),
    ]
