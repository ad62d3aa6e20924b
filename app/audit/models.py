"""The trail's tables. No foreign key leaves this file: nothing deleted elsewhere changes history.

Only `app.audit` imports this module; everybody else uses services and access.
"""

import uuid as uuids
from typing import Any

from auditlog.models import AbstractLogEntry
from django.contrib.postgres.indexes import HashIndex
from django.db import DEFAULT_DB_ALIAS, models

from app.audit import canonical, merkle
from app.audit.fields import CurrentTransactionId, TransactionIdField
from app.audit.net import RowChanges
from app.audit.writing import Written

__all__ = [
    "Anchor",
    "Checkpoint",
    "Cosignature",
    "Entry",
    "Horizon",
    "Key",
    "Leaf",
    "Node",
    "Tree",
    "Verification",
]


class Entry(AbstractLogEntry, models.Model):  # type: ignore[misc]  # auditlog is untyped
    """One thing that happened; django-auditlog's entry model, with its columns replaced.

    The truth is `body` (canonical JSON) and `leaf`; the other columns repeat parts of the
    body to be searched by, and the verifier checks that they agree with it.
    """

    # What django-auditlog stores would leak content or vanish with what it points to.
    content_type = object_pk = object_id = object_repr = serialized_data = None
    action = changes_text = changes = actor = actor_email = cid = None
    remote_addr = remote_port = timestamp = additional_data = None

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True, editable=False)
    organization_id = models.UUIDField()
    action_name = models.CharField(max_length=64)
    scope_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    target_type = models.CharField(max_length=64)
    target_id = models.CharField(max_length=255)
    target_parent = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField()
    body = models.BinaryField()
    body_hash = models.BinaryField()
    leaf = models.BinaryField()
    xid = TransactionIdField(db_default=CurrentTransactionId(), editable=False)

    objects = RowChanges()

    class Meta:
        get_latest_by = "id"
        ordering = ["-id"]
        default_permissions = ()
        indexes = [
            models.Index(fields=["xid", "id"], name="audit_entry_sealing"),
            models.Index(fields=["organization_id", "id"], name="audit_entry_organization"),
            models.Index(
                fields=["organization_id", "action_name", "id"], name="audit_entry_action"
            ),
            models.Index(fields=["organization_id", "actor_id", "id"], name="audit_entry_actor"),
            models.Index(fields=["organization_id", "scope_id", "id"], name="audit_entry_scope"),
            models.Index(fields=["target_type", "target_id"], name="audit_entry_target"),
        ]

    def __str__(self) -> str:
        return f"entry {self.id}"

    @classmethod
    def of(cls, written: Written) -> "Entry":
        """The entry that `writing.write` has just inserted."""
        record, target = written.record, written.record.target
        # As Django makes one from a row: in half the time of naming each column.
        return cls.from_db(
            DEFAULT_DB_ALIAS,
            _WRITTEN,
            [
                written.id, uuids.UUID(written.uuid), record.organization, record.action.value,
                record.scope, record.actor.id, target.type, target.id, target.parent, written.at,
                written.body, written.body_hash, written.leaf,
            ],
        )  # fmt: skip

    @property
    def leaf_hash(self) -> bytes:
        """RFC 6962 leaf hash, 32 bytes: what a receipt shows."""
        return merkle.leaf_hash(bytes(self.leaf))

    @property
    def document(self) -> dict[str, Any]:
        """The body, parsed. Raises NotCanonical if the bytes are not canonical."""
        document: dict[str, Any] = canonical.load(bytes(self.body))
        return document


_WRITTEN = [field.attname for field in Entry._meta.concrete_fields if field.name != "xid"]


class Leaf(models.Model):
    """Where an entry stands in its organization's tree. Written once, by the sealer."""

    entry_id = models.BigIntegerField(primary_key=True)
    organization_id = models.UUIDField()
    index = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["organization_id", "index"], name="audit_leaf_place"),
            models.CheckConstraint(condition=models.Q(index__gte=0), name="audit_leaf_index"),
        ]
        # For receipts. Half as large as a B-tree of 32 random bytes, and as quick to add to.
        indexes = [HashIndex(fields=["hash"], name="audit_leaf_hash")]

    def __str__(self) -> str:
        return f"leaf {self.index} of {self.organization_id}"


class Node(models.Model):
    """Root of a full subtree of 256^level leaves, so that a proof reads hundreds of rows, not all.

    Derived from the leaves, and checked against them by the verifier.
    """

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField()
    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id", "level", "index"], name="audit_node_place"
            ),
        ]

    def __str__(self) -> str:
        return f"node {self.level}/{self.index} of {self.organization_id}"


class Tree(models.Model):
    """The state of one organization's tree: its size and the roots of its perfect subtrees."""

    organization_id = models.UUIDField(primary_key=True)
    size = models.BigIntegerField()
    frontier = models.BinaryField()
    updated_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"tree of {self.organization_id}"


class Horizon(models.Model):
    """Up to where the sealer has taken entries: all of (xid, id) up to here. One row.

    Transaction ids belong to a cluster, so the cluster's system identifier stands beside.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    system_identifier = models.BigIntegerField()
    xid = TransactionIdField()
    entry_id = models.BigIntegerField()
    updated_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_horizon_one")]

    def __str__(self) -> str:
        return "the sealer's horizon"


class Checkpoint(models.Model):
    """A signed statement about a tree's size and root: the note is the exact text."""

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id", "size"], name="audit_checkpoint_size"
            ),
        ]

    def __str__(self) -> str:
        return f"checkpoint {self.size} of {self.organization_id}"


class Key(models.Model):
    """A public key that signs checkpoints of an organization, as a C2SP `vkey`."""

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField()
    vkey = models.CharField(max_length=512)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["organization_id", "vkey"], name="audit_key_vkey"),
        ]

    def __str__(self) -> str:
        return f"key of {self.organization_id}"


class Verification(models.Model):
    """What a verification of an organization's log found, for the officer's page."""

    id = models.UUIDField(primary_key=True, default=uuids.uuid4)
    organization_id = models.UUIDField()
    at = models.DateTimeField()
    size = models.BigIntegerField()
    ok = models.BooleanField()
    problems = models.JSONField(default=list)
    milliseconds = models.IntegerField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["organization_id", "at"], name="audit_verification_latest")]

    def __str__(self) -> str:
        return f"verification of {self.organization_id}"


class Anchor(models.Model):
    """How one anchor stands with one organization's log, and when it is next due."""

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField()
    name = models.CharField(max_length=255)
    size = models.BigIntegerField(default=0)
    kept_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField()
    failures = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True)
    warning = models.CharField(max_length=500, blank=True)
    disagrees = models.BooleanField(default=False)
    # Of an anchor that is several, one after another (mail): the checkpoint that is being brought
    # to all of them, since when, and the pseudonyms of those who have it.
    round = models.BigIntegerField(null=True)
    round_at = models.DateTimeField(null=True)
    told = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["organization_id", "name"], name="audit_anchor_once"),
        ]

    def __str__(self) -> str:
        return f"anchor {self.name} of {self.organization_id}"


class Feed(models.Model):
    """How far a receiver of the log (a SIEM) has got with one organization's."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64)
    organization_id = models.UUIDField()
    next_index = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["name", "organization_id"], name="audit_feed_once"),
        ]

    def __str__(self) -> str:
        return f"feed {self.name} of {self.organization_id}"


class Cosignature(models.Model):
    """A checkpoint that a witness signed too: `note` carries the log's and the witness's line."""

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField()
    witness = models.CharField(max_length=255)
    size = models.BigIntegerField()
    note = models.TextField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id", "witness", "size"], name="audit_cosignature_once"
            ),
        ]

    def __str__(self) -> str:
        return f"cosignature of {self.witness} on {self.size} of {self.organization_id}"
