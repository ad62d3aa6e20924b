"""Files: no upload counts as whole without its entry in the trail, and none is taken back once sent."""

import app.encryption.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ENTRY = """
CREATE CONSTRAINT TRIGGER chat_attachment_entry AFTER UPDATE OF entry_id ON chat_attachment
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.entry_id IS DISTINCT FROM OLD.entry_id)
EXECUTE FUNCTION parley_require_entry('attachment', 'id', 'entry_id');
ALTER TABLE chat_attachment ENABLE ALWAYS TRIGGER chat_attachment_entry;
"""

# Its key, name and description may be sealed anew (another data key), nothing else may change.
KEEP = """
CREATE FUNCTION chat_attachment_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a file that was sent stays with its message: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER chat_attachment_sent BEFORE UPDATE ON chat_attachment FOR EACH ROW
    WHEN (OLD.message_id IS NOT NULL AND (
        (NEW.id, NEW.organization_id, NEW.conversation_id, NEW.uploader_id, NEW.message_id,
         NEW.position, NEW.size, NEW.entry_id, NEW.created_at, NEW.completed_at, NEW.deleted_at)
        IS DISTINCT FROM
        (OLD.id, OLD.organization_id, OLD.conversation_id, OLD.uploader_id, OLD.message_id,
         OLD.position, OLD.size, OLD.entry_id, OLD.created_at, OLD.completed_at, OLD.deleted_at)))
    EXECUTE FUNCTION chat_attachment_refuse();
CREATE TRIGGER chat_attachment_kept BEFORE DELETE OR TRUNCATE ON chat_attachment
    FOR EACH STATEMENT EXECUTE FUNCTION chat_refuse_deletion();
ALTER TABLE chat_attachment ENABLE ALWAYS TRIGGER chat_attachment_sent;
ALTER TABLE chat_attachment ENABLE ALWAYS TRIGGER chat_attachment_kept;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0003_kept_always'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Attachment',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('organization_id', models.UUIDField()),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('size', models.BigIntegerField()),
                ('key', app.encryption.fields.SealedTextField(null=True)),
                ('name', app.encryption.fields.SealedTextField(null=True)),
                ('description', app.encryption.fields.SealedTextField(null=True)),
                ('entry_id', models.BigIntegerField(null=True)),
                ('created_at', models.DateTimeField()),
                ('completed_at', models.DateTimeField(null=True)),
                ('deleted_at', models.DateTimeField(null=True)),
                ('gone_at', models.DateTimeField(null=True)),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='chat.conversation')),
                ('message', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='attachments', to='chat.message')),
                ('uploader', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('gone_at__isnull', True), ('message__isnull', True)), fields=['created_at'], name='chat_attachment_unsent')],
                'constraints': [models.UniqueConstraint(models.F('message'), models.F('position'), name='chat_attachment_position'), models.CheckConstraint(condition=models.Q(('size__gte', 0)), name='chat_attachment_size'), models.CheckConstraint(condition=models.Q(models.Q(('completed_at__isnull', True), ('description__isnull', True), ('entry_id', None)), models.Q(('completed_at__isnull', False), ('entry_id__isnull', False)), _connector='OR'), name='chat_attachment_completed'), models.CheckConstraint(condition=models.Q(('message__isnull', True), models.Q(('completed_at__isnull', False), ('deleted_at__isnull', True), ('key__isnull', False)), _connector='OR'), name='chat_attachment_sent'), models.CheckConstraint(condition=models.Q(('deleted_at__isnull', True), models.Q(('description__isnull', True), ('key__isnull', True), ('name__isnull', True)), _connector='OR'), name='chat_attachment_deleted')],
            },
        ),
        migrations.RunSQL(ENTRY, migrations.RunSQL.noop),
        migrations.RunSQL(KEEP, "DROP FUNCTION chat_attachment_refuse CASCADE"),
    ]
