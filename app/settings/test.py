"""Tests: real PostgreSQL and Redis, which `tests.stack` starts and names in the environment.

The fallbacks let tools that touch no service (types, schema, missing migrations) load
the settings; nothing listens at these addresses.
"""

from app.settings.env import env
from app.settings.logs import configure

env.fall_back_to(
    {
        "SECRET_KEY": "only-for-tests-" * 5,
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "FIELD_ENCRYPTION_KEY": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=",
        "AUDIT_PSEUDONYM_KEY": "YXVkaXQtcHNldWRvbnltLWtleS1mb3ItdGVzdHMtMDE=",
        "BLIND_INDEX_KEY": "YmxpbmQtaW5kZXgta2V5LWZvci10ZXN0cy0wMTIzNDU=",
        "RECEIPTS": "off",
        "JWT_SIGNING_KEY": "signs-tokens-in-tests-" * 4,
        "KEY_ENCRYPTION_KEY_FILE": "/nonexistent/key-encryption.key",
    }
)

from app.settings.base import *  # noqa: E402, F403
from app.settings.base import RECEIPTS  # noqa: E402

env.check()

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# No sealer runs beside most tests; those of waiting start one and set this.
GRAVE_PATIENCE = env.optional("GRAVE_PATIENCE", float, default=None)
# The real algorithm with the least work: hashing a password is not what tests are slow for.
PASSWORD_HASHERS = ["tests.passwords.QuickArgon2"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
LOGGING = configure(as_json=True, with_messages=False, receipts=RECEIPTS)
