"""Roles, rights and triggers: the trail becomes append-only for everybody."""

from django.db import migrations

from app.audit.guards import install


def guard(apps, schema_editor):
    install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    # No way back: who could take the guards off by migrating could rewrite history.
    operations = [migrations.RunPython(guard)]
