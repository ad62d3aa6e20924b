"""What import contracts cannot see: relations between tables follow the order of the apps too."""

from django.apps import apps
from django.db.models import Field

ORDER = ["audit", "realtime", "encryption", "accounts", "chat", "voice", "compliance", "web"]
FRAMEWORK = {"auth", "contenttypes", "sessions", "token_blacklist"}


def test_no_table_points_upwards() -> None:
    for model in apps.get_models():
        label = model._meta.app_label
        if label not in ORDER:
            continue
        for field in model._meta.get_fields():
            if isinstance(field, Field) and field.remote_field:
                other = field.related_model
                assert not isinstance(other, str)
                target = other._meta.app_label  # type: ignore[union-attr]
                if target not in FRAMEWORK:
                    assert ORDER.index(target) <= ORDER.index(label), f"{field} points upwards"


def test_the_trail_points_nowhere() -> None:
    for model in apps.get_app_config("audit").get_models():
        relations = [field.name for field in model._meta.fields if field.remote_field]
        assert relations == [], f"{model.__name__} would vanish or change with {relations}"
