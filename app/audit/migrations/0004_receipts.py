"""Find a leaf by its hash: what a receipt is asked for by."""

import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_anchors")]

    operations = [
        migrations.AddIndex(
            model_name="leaf",
            index=django.contrib.postgres.indexes.HashIndex(
                fields=["hash"], name="audit_leaf_hash"
            ),
        ),
    ]
