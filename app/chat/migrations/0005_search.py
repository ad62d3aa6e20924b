"""The blind words of messages. What was said before them is indexed by a job, newest first."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

BEGIN_WITH_WHAT_IS_THERE = """
INSERT INTO chat_searchindex (organization_id, state, total, done, changed_at)
SELECT c.organization_id, 'building', count(*), 0, now()
FROM chat_message m JOIN chat_conversation c ON c.id = m.conversation_id
WHERE m.deleted_at IS NULL GROUP BY c.organization_id
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("chat", "0004_attachments")]

    operations = [
        migrations.CreateModel(
            name="SearchIndex",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("complete", "Complete"),
                            ("building", "Building"),
                            ("clearing", "Clearing"),
                            ("off", "Off"),
                        ],
                        max_length=8,
                    ),
                ),
                ("reached_at", models.DateTimeField(null=True)),
                ("reached_id", models.UUIDField(null=True)),
                ("total", models.BigIntegerField(default=0)),
                ("done", models.BigIntegerField(default=0)),
                ("changed_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="SearchTokens",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="chat.message",
                    ),
                ),
                ("conversation_id", models.UUIDField()),
                ("author_id", models.UUIDField()),
                ("created_at", models.DateTimeField()),
                ("key_id", models.UUIDField()),
                (
                    "words",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["created_at", "id"], name="chat_message_newest"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["author", "created_at", "id"], name="chat_message_author"),
        ),
        migrations.AlterField(
            model_name="message",
            name="author",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="searchtokens",
            index=django.contrib.postgres.indexes.GinIndex(
                fastupdate=False, fields=["words"], name="chat_search_words"
            ),
        ),
        migrations.AddIndex(
            model_name="searchtokens",
            index=models.Index(fields=["conversation_id", "key_id"], name="chat_search_key"),
        ),
        migrations.AddConstraint(
            model_name="searchindex",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["complete", "building", "clearing", "off"])),
                name="chat_search_index_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="searchindex",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("reached_at__isnull", True), ("reached_id__isnull", True)),
                    models.Q(("reached_at__isnull", False), ("reached_id__isnull", False)),
                    _connector="OR",
                ),
                name="chat_search_index_reached",
            ),
        ),
        migrations.RunSQL(BEGIN_WITH_WHAT_IS_THERE, migrations.RunSQL.noop),
    ]
