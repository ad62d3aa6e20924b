"""The net under the services: django-auditlog notices rows that change, whoever changed them.

Only explicit fields of registered models are seen, never a sealed one; the actor is the one
that the edge set with `acting_as`; the entry is written in the transaction of the change.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from auditlog.registry import auditlog
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models, router
from django.db.models.signals import pre_delete, pre_save

from app.audit.actions import Action
from app.audit.context import SYSTEM, current_actor
from app.audit.writing import OutsideTransaction, Record, Target, write

if TYPE_CHECKING:
    from app.audit.models import Entry

    _Manager = models.Manager[Entry]
else:
    from auditlog.models import LogEntryManager as _Manager

Lookup = Callable[[Any], UUID | None]
_ACTIONS = (Action.ROW_CREATED, Action.ROW_UPDATED, Action.ROW_DELETED)  # auditlog's 0, 1, 2
_lookups: dict[type[models.Model], tuple[Lookup, Lookup]] = {}


def register(
    model: type[models.Model],
    fields: Iterable[str],
    *,
    organization: str = "organization_id",
    scope: str | None = None,
) -> None:
    """Watch `fields` of `model`; `organization` and `scope` are dotted attributes of a row.

    Raises ImproperlyConfigured for a field that must not be in the trail (see `unfit`).
    """
    names = list(fields)
    problems = unfit(model, names)
    if problems:
        raise ImproperlyConfigured("; ".join(problems))
    in_scope: Lookup = attrgetter(scope) if scope else _no_scope
    _lookups[model] = (attrgetter(organization), in_scope)
    auditlog.register(model, include_fields=names)
    uid = f"parley-audit-{model._meta.label}"
    pre_save.connect(_require_transaction, sender=model, dispatch_uid=uid)
    pre_delete.connect(_require_transaction, sender=model, dispatch_uid=uid)


def is_registered(model: type[models.Model]) -> bool:
    """Whether `register` has seen the model, so that its rows have an organization."""
    return model in _lookups


def unfit(model: type[models.Model], names: Iterable[str]) -> list[str]:
    """Say what is wrong with watching these fields of `model`; empty when nothing is.

    Sealed fields and passwords would put content into the trail; binary fields crash
    django-auditlog (it decodes them as UTF-8); no names at all means every field to it.
    """
    chosen, problems = list(names), []
    if not chosen:
        problems.append(f"{model._meta.label}: name the fields to watch, none means all")
    for name in chosen:
        field = model._meta.get_field(name)
        if _is_sealed(field) or "password" in name:
            problems.append(f"{model._meta.label}.{name} is sealed and never in the trail")
        elif isinstance(field, models.BinaryField) or field.many_to_many:
            problems.append(f"{model._meta.label}.{name} is of a kind that cannot be watched")
    return problems


def _no_scope(_row: object) -> None:
    return None


def _is_sealed(field: object) -> bool:
    # By name, because importing that package reads its key from the settings at once.
    return any(kind.__module__.startswith("encrypted_model_fields") for kind in type(field).__mro__)


class RowChanges(_Manager):
    """What django-auditlog calls to log; writes our entries instead of its own."""

    def log_create(
        self, instance: models.Model, force_log: bool = False, **kwargs: Any
    ) -> "Entry | None":
        """Write a ROW_* entry for the changes that django-auditlog saw; None if there are none."""
        if force_log:
            raise ImproperlyConfigured("services record who looked: there is no ROW_* for it")
        changes: Mapping[str, Any] | None = kwargs.get("changes")
        if not changes:
            return None
        action = _ACTIONS[kwargs["action"]]
        organization, scope = _lookups[type(instance)]
        where = organization(instance)
        if where is None:
            raise ImproperlyConfigured(f"{instance._meta.label}: a row of no organization")
        record = Record(
            action,
            where,
            current_actor.get() or SYSTEM,
            Target(instance._meta.label_lower, str(instance.pk)),
            scope(instance),
            before={} if action is Action.ROW_CREATED else _side(changes, 0),
            after={} if action is Action.ROW_DELETED else _side(changes, 1),
        )
        using = instance._state.db or router.db_for_write(type(instance))
        return self.model.of(write([record], using=using)[0])

    def log_m2m_changes(self, *args: Any, **kwargs: Any) -> None:
        """Refused: it would store `str()` of every related object. Use an explicit model."""
        raise ImproperlyConfigured("many-to-many fields are not watched: use an explicit model")


def _side(changes: Mapping[str, Any], index: int) -> dict[str, Any]:
    return {name: _plain(values[index]) for name, values in changes.items()}


def _plain(value: Any) -> str | int | bool | None:
    return value if value is None or isinstance(value, str | int) else str(value)


def _require_transaction(sender: type[models.Model], using: str, **_: Any) -> None:
    # post_save runs after an autocommitted INSERT: too late to fail closed, so ask before.
    if not connections[using].in_atomic_block:
        raise OutsideTransaction(f"{sender._meta.label} is watched: change it in a transaction")
