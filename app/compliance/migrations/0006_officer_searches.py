"""Officers' searches: what they look for and why, sealed."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import app.encryption.fields


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("compliance", "0005_export_formats"),
    ]

    operations = [
        migrations.CreateModel(
            name="OfficerSearch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("query", app.encryption.fields.SealedTextField()),
                ("matter", app.encryption.fields.SealedTextField()),
                ("reason", app.encryption.fields.SealedTextField()),
                ("begun_at", models.DateTimeField(auto_now_add=True)),
                ("closes_at", models.DateTimeField()),
                (
                    "officer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={"abstract": False},
        ),
    ]
