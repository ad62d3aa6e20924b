"""An anchor that keeps another history is told from one that cannot be reached."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('audit', '0004_receipts')]

    operations = [
        migrations.AddField('anchor', 'disagrees', models.BooleanField(default=False)),
    ]
