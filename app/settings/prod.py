"""Production: refuses to start without each secret, and names all that is missing."""

from app.settings.env import env, natural, words
from app.settings.logs import configure
from app.settings.reports import configure as report_to

for _name, _why in {
    "CSRF_TRUSTED_ORIGINS": "the origins of our pages, such as https://chat.example.org",
    "CHECKPOINT_ORIGIN": "the name of this log, such as chat.example.org/log; never change it",
    "TRUSTED_PROXY_COUNT": "how many proxies before us append to X-Forwarded-For (0: none)",
    "STATE_DIR": "a folder for files, on storage that all processes share",
    "ERASURE_LIST": "a file that says what was erased; a restore of the database must not touch it",
}.items():
    env.required(_name, str, why=_why)

from app.settings.base import *  # noqa: E402, F403
from app.settings.base import (  # noqa: E402
    BASE_DIR,
    DATABASES,
    RECEIPTS,
    RELEASE,
    TRUSTED_PROXY_COUNT,
)

CSRF_TRUSTED_ORIGINS: list[str] = env.optional("CSRF_TRUSTED_ORIGINS", words, default=[])
CONN_MAX_AGE = env.optional("DATABASE_CONNECTION_SECONDS", natural, default=60)
env.check()

DATABASES["default"] |= {"CONN_MAX_AGE": CONN_MAX_AGE, "CONN_HEALTH_CHECKS": True}
_HOST = str(DATABASES["default"].get("HOST") or "")
# A socket in the file system (Cloud SQL's) or the loopback crosses no network.
if _HOST and not _HOST.startswith("/") and _HOST not in {"localhost", "127.0.0.1", "::1"}:
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("sslmode", "require")

SECURE_SSL_REDIRECT = True
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
# The prefix makes browsers refuse it from a subdomain or without TLS.
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_SECURE = True

STATIC_ROOT = BASE_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "app.web.staticfiles.HashedFiles"},
}

LOGGING = configure(
    as_json=True,
    with_messages=False,
    receipts=RECEIPTS,
    project=env.optional("GOOGLE_CLOUD_PROJECT", str, default=""),
)

report_to(env.optional("SENTRY_DSN", str, default=""), RELEASE)
