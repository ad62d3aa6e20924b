"""What was said is kept also where a superuser says that triggers shall not fire."""

from django.db import migrations

TABLES = ("chat_message", "chat_messageversion", "chat_membership")
ALWAYS = "ALTER TABLE {0} ENABLE ALWAYS TRIGGER {0}_kept"
AS_BEFORE = "ALTER TABLE {0} ENABLE TRIGGER {0}_kept"


class Migration(migrations.Migration):
    dependencies = [("chat", "0002_guards")]

    operations = [
        migrations.RunSQL(ALWAYS.format(table), AS_BEFORE.format(table)) for table in TABLES
    ]
