"""What an export is made of and for whom: formats, an age key, the items that are not complete."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("compliance", "0004_holds_guards")]

    operations = [
        migrations.AddField("exportrequest", "formats", models.JSONField(default=list)),
        migrations.AddField(
            "exportrequest", "recipient", models.CharField(blank=True, max_length=100, default=""),
            preserve_default=False,
        ),
        migrations.AddField("exportrequest", "partial_items", models.JSONField(default=list)),
        migrations.AlterField(
            "exportrequest",
            "stage",
            models.CharField(
                blank=True,
                choices=[
                    ("", "Not begun"),
                    ("sealing", "Waiting until the log has sealed the approval"),
                    ("reading", "Reading the log"),
                    ("formatting", "Writing the tables and pages"),
                    ("logging", "Waiting until the log holds the manifest"),
                    ("checking", "Checking the package"),
                ],
                default="",
                max_length=16,
            ),
        ),
    ]
