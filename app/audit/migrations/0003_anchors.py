"""Where checkpoints are kept outside, and what witnesses signed: append-only as well."""

from django.db import migrations, models

from app.audit.guards import install


def guard(apps, schema_editor):
    install(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0002_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='Anchor',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organization_id', models.UUIDField()),
                ('name', models.CharField(max_length=255)),
                ('size', models.BigIntegerField(default=0)),
                ('kept_at', models.DateTimeField(null=True)),
                ('next_at', models.DateTimeField()),
                ('failures', models.IntegerField(default=0)),
                ('failing_since', models.DateTimeField(null=True)),
                ('problem', models.CharField(blank=True, max_length=500)),
                ('warning', models.CharField(blank=True, max_length=500)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('organization_id', 'name'), name='audit_anchor_once')],
            },
        ),
        migrations.CreateModel(
            name='Cosignature',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organization_id', models.UUIDField()),
                ('witness', models.CharField(max_length=255)),
                ('size', models.BigIntegerField()),
                ('note', models.TextField()),
                ('at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('organization_id', 'witness', 'size'), name='audit_cosignature_once')],
            },
        ),
        migrations.RunPython(guard),
    ]
