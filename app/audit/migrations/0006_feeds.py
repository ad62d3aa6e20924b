"""How far each receiver of the log has got."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('audit', '0005_anchor_disagrees')]

    operations = [
        migrations.CreateModel(
            name='Feed',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64)),
                ('organization_id', models.UUIDField()),
                ('next_index', models.BigIntegerField(default=0)),
            ],
            options={
                'default_permissions': (),
                'constraints': [
                    models.UniqueConstraint(
                        fields=('name', 'organization_id'), name='audit_feed_once'
                    ),
                ],
            },
        ),
    ]
