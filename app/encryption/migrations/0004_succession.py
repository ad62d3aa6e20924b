"""A key may have a successor: it then seals, or wraps, nothing new, and still opens."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [('encryption', '0003_legal_holds')]

    operations = [
        migrations.AddField('keyencryptionkey', 'superseded_at', models.DateTimeField(null=True)),
        migrations.AddField('datakey', 'closed_at', models.DateTimeField(null=True)),
        migrations.RemoveConstraint('keyencryptionkey', 'one_kek_in_force_per_organization'),
        migrations.RemoveConstraint('datakey', 'one_data_key_per_conversation_and_month'),
        migrations.AddConstraint(
            'keyencryptionkey',
            models.UniqueConstraint(
                fields=['organization_id'],
                condition=Q(superseded_at__isnull=True),
                name='one_kek_in_force_per_organization',
            ),
        ),
        migrations.AddConstraint(
            'keyencryptionkey',
            models.CheckConstraint(
                condition=Q(retired_at__isnull=True) | Q(superseded_at__isnull=False),
                name='a_kek_is_superseded_before_it_retires',
            ),
        ),
        migrations.AddConstraint(
            'datakey',
            models.UniqueConstraint(
                fields=['organization_id', 'conversation_id', 'month'],
                condition=Q(closed_at__isnull=True, destroyed_at__isnull=True),
                nulls_distinct=False,
                name='one_data_key_per_conversation_and_month',
            ),
        ),
    ]
