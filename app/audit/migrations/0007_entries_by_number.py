"""The guard of a row that names its entry finds it by its number, however large the batch."""

from django.db import migrations

from app.audit.guards import install_functions


def replace(apps, schema_editor):
    install_functions(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_feeds")]

    operations = [migrations.RunPython(replace, migrations.RunPython.noop)]
