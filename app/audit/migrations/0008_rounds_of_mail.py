"""A mail that some have got is sent to the others alone, whoever was killed meanwhile."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('audit', '0007_entries_by_number')]

    operations = [
        migrations.AddField('anchor', 'round', models.BigIntegerField(null=True)),
        migrations.AddField('anchor', 'round_at', models.DateTimeField(null=True)),
        migrations.AddField(
            'anchor',
            'told',
            models.JSONField(default=list, db_default=models.Value([], models.JSONField())),
        ),
    ]
