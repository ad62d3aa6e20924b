"""Roles, rights and triggers: the trail becomes append-only for everybody."""

from django.db import migrations

from app.audit.guards import create_roles, grant, install_functions, install_triggers


def guard(apps, schema_editor):
    connection = schema_editor.connection
    create_roles(connection)
    install_functions(connection)
    install_triggers(connection)
    grant(connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    # No way back: who could take the guards off by migrating could rewrite history.
    operations = [migrations.RunPython(guard)]
