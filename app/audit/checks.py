"""Django's system checks for the net: whatever would leak or slip through stops the start."""

from collections.abc import Sequence
from typing import Any

from auditlog.conf import settings
from auditlog.registry import auditlog
from django.apps.config import AppConfig
from django.core import checks

from app.audit.net import is_registered, unfit


def check_net(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """E001: settings of django-auditlog; E002: a model registered past `net.register`."""
    found: list[checks.CheckMessage] = []
    for wrong, message in _settings():
        if wrong:
            found.append(checks.Error(message, id="parley.audit.E001"))
    for model in auditlog.get_models():
        for problem in _registration(model):
            found.append(checks.Error(problem, obj=model, id="parley.audit.E002"))
    return found


def _settings() -> list[tuple[bool, str]]:
    middleware = any("auditlog" in name for name in settings.MIDDLEWARE)
    return [
        (
            settings.AUDITLOG_LOGENTRY_MODEL != "audit.Entry",
            "AUDITLOG_LOGENTRY_MODEL must be audit.Entry: its own table can be changed",
        ),
        (
            settings.AUDITLOG_INCLUDE_ALL_MODELS or bool(settings.AUDITLOG_INCLUDE_TRACKING_MODELS),
            "models are watched by app.audit.net.register only: settings name no fields",
        ),
        (
            middleware,
            "django-auditlog's middleware believes the client's X-Forwarded-For: remove it",
        ),
        (
            settings.MIGRATION_MODULES.get("auditlog", "") is not None,
            "MIGRATION_MODULES must have auditlog: None: its own table would be bound to users",
        ),
    ]


def _registration(model: Any) -> list[str]:
    label = model._meta.label
    fields = auditlog.get_model_fields(model)
    problems = unfit(model, fields["include_fields"])
    if not is_registered(model):
        problems.append(f"{label}: register it with app.audit.net.register")
    if fields["mask_fields"] or fields["mask_callable"]:
        problems.append(f"{label}: a mask shows half of what it masks")
    if auditlog.get_serialize_options(model)["serialize_data"]:
        problems.append(f"{label}: serialize_data would copy whole rows into the trail")
    if auditlog._registry[model]["m2m_fields"]:
        problems.append(f"{label}: many-to-many changes would be kept as str() of rows")
    return problems
