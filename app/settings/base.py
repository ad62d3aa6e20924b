"""What holds everywhere. What differs by place stands in dev, prod and test."""

import os
from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF

from app.settings.env import (
    bucket_urls,
    collector_url,
    database_role,
    env,
    ice_urls,
    key_bytes,
    key_provider,
    key_text,
    kms_key,
    listening,
    livekit_secret,
    livekit_url,
    long_text,
    loopback,
    mail_server,
    natural,
    postgresql,
    random_key,
    random_text,
    receipts_stream,
    redis_url,
    some_words,
    storage_url,
    turn_secret,
    witness_pairs,
    words,
)

BASE_DIR = Path(__file__).resolve().parent.parent.parent
# All that a process writes to disk goes below this folder.
STATE_DIR = env.optional("STATE_DIR", Path, default=BASE_DIR / ".parley")

DEBUG = False

# Secrets and places: required everywhere. Development has them from the file that
# `make run` writes, tests from the stack that they start, production from the operator.
ALLOWED_HOSTS = env.required("ALLOWED_HOSTS", some_words, why="the host names we answer to")

# A process works as one role of the database. `manage.py` says which one its command needs.
# Where that role's own address is not given, DATABASE_URL is it.
_POSTGRES = "postgres://user:password@host:port/database"
DATABASE_ROLE = env.optional("DATABASE_ROLE", database_role, default="app")
_ROLE_URL = "DATABASE_URL" if DATABASE_ROLE == "app" else f"{DATABASE_ROLE}_DATABASE_URL".upper()
_ROLE_DATABASE = env.optional(_ROLE_URL, postgresql, default=None, why=_POSTGRES)
DATABASES = {
    "default": _ROLE_DATABASE or env.required("DATABASE_URL", postgresql, why=_POSTGRES),
}
if DATABASE_ROLE == "admin":  # it makes the others: `manage.py database_roles`
    DATABASE_LOGINS = {
        kind: env.required(name, postgresql, why=f"{_POSTGRES}, of the {kind}")
        for kind, name in {
            "owner": "OWNER_DATABASE_URL",
            "app": "DATABASE_URL",
            "sealer": "SEALER_DATABASE_URL",
        }.items()
    }
REDIS_URL = env.required("REDIS_URL", redis_url, why="redis://host:port/0")
# Threads of the gateway that talk to the database, each with a connection of its own.
GATEWAY_THREADS = env.optional("GATEWAY_THREADS", natural, default=8)
# HTTP requests under way in an ASGI process that have a connection to the database at once.
GATEWAY_REQUESTS = env.optional("GATEWAY_REQUESTS", natural, default=16)
# Threads of `web` and `worker`, which app/start.py gives them, each with a connection.
WEB_THREADS = env.optional("WEB_THREADS", natural, default=16)
WORKER_THREADS = env.optional("WORKER_THREADS", natural, default=4)
# How many connections the deployment reckons with for one instance: app/connections.py.
DATABASE_CONNECTIONS: int | None = env.optional("DATABASE_CONNECTIONS", natural, default=None)
# Sockets of one gateway process; one more is told to come back later.
GATEWAY_SOCKETS = env.optional("GATEWAY_SOCKETS", natural, default=5000)

# Secrets of what members wrote. The sealer and who makes roles open nothing: what their process
# is not given, it makes up.
_BLIND = DATABASE_ROLE in {"sealer", "admin"}
_KEY, _TEXT = (random_key, random_text) if _BLIND else (None, None)
FIELD_ENCRYPTION_KEY = env.required(
    "FIELD_ENCRYPTION_KEY",
    key_text,
    why="32 random bytes in base64, for application secrets",
    spare=_KEY,
)
AUDIT_PSEUDONYM_KEY = env.required(
    "AUDIT_PSEUDONYM_KEY",
    key_bytes,
    why="32 random bytes in base64, for pseudonyms in the trail",
    spare=_KEY,
)
BLIND_INDEX_KEY = env.required(
    "BLIND_INDEX_KEY",
    key_bytes,
    why="32 random bytes in base64, for finding people by email",
    spare=_KEY,
)
JWT_SIGNING_KEY = env.required(
    "JWT_SIGNING_KEY",
    long_text,
    why="at least 50 random characters, not SECRET_KEY",
    spare=_TEXT,
)
SECRET_KEY = env.required("SECRET_KEY", long_text, why="at least 50 random characters", spare=_TEXT)
# What wraps the data keys: docs/keys.md.
KEY_PROVIDER = env.optional("KEY_PROVIDER", key_provider, default="local")
_KEY_FILE = "a file of 32 random bytes in base64, readable by us only"
if KEY_PROVIDER == "local":
    KEY_ENCRYPTION_KEY_FILE: Path | None = env.required(
        "KEY_ENCRYPTION_KEY_FILE", Path, why=_KEY_FILE, spare=(lambda: "/none") if _BLIND else None
    )
    KMS_KEY = env.optional("KMS_KEY", kms_key, default="")
else:
    KEY_ENCRYPTION_KEY_FILE = env.optional("KEY_ENCRYPTION_KEY_FILE", Path, default=None)
    KMS_KEY = env.required("KMS_KEY", kms_key, why="projects/…/cryptoKeys/… of Cloud KMS")
# Files that were in force before, as long as `manage.py keys status` names them.
KEY_ENCRYPTION_KEY_FILES_OLD: list[str] = env.optional(
    "KEY_ENCRYPTION_KEY_FILES_OLD", words, default=[]
)
# Only for tests: a KMS of theirs, on this machine alone, spoken to without TLS.
KMS_INSECURE_LOOPBACK_ENDPOINT = env.optional(
    "KMS_INSECURE_LOOPBACK_ENDPOINT", loopback, default=""
)
# How long a process may hold an unwrapped data key, in seconds; the same for all of them.
DATA_KEY_SECONDS = env.optional("DATA_KEY_SECONDS", natural, default=300)
# Which data keys were destroyed: on storage that a restore of the database leaves alone.
ERASURE_LIST = env.optional("ERASURE_LIST", Path, default=STATE_DIR / "erasures.list")
# Only the sealer's process is given this one.
SEALER_SIGNING_KEY_FILE = env.optional("SEALER_SIGNING_KEY_FILE", Path, default=None)
CHECKPOINT_ORIGIN = env.optional("CHECKPOINT_ORIGIN", str, default="parley.local/log")
# Where checkpoints are kept outside our reach: docs/operations.md.
ANCHOR_BUCKET: list[str] = env.optional("ANCHOR_BUCKET", bucket_urls, default=[])
ANCHOR_WITNESS: list[tuple[str, str]] = env.optional("ANCHOR_WITNESS", witness_pairs, default=[])
ANCHOR_MAIL: list[str] = env.optional("ANCHOR_MAIL", some_words, default=[])
ANCHOR_MINUTES = env.optional("ANCHOR_MINUTES", natural, default=60)
ANCHOR_KEEP_DAYS = env.optional("ANCHOR_KEEP_DAYS", natural, default=2192)  # six years
if ANCHOR_MAIL:
    _MAIL = env.required("SMTP_URL", mail_server, why="ANCHOR_MAIL needs smtp:// or smtps://") or {}
    EMAIL_HOST, EMAIL_PORT = _MAIL.get("HOST"), _MAIL.get("PORT")
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL.get("HOST_USER"), _MAIL.get("HOST_PASSWORD")
    EMAIL_USE_SSL, EMAIL_USE_TLS = _MAIL.get("USE_SSL"), _MAIL.get("USE_TLS")
    EMAIL_TIMEOUT = 10  # seconds, of each step
    DEFAULT_FROM_EMAIL = env.required("MAIL_FROM", str, why="the address that our mail comes from")
# Where each log goes in OCSF, as lines of JSON; and the header that says who sends it.
SIEM_URL = env.optional("SIEM_URL", collector_url, default="")
SIEM_AUTHORIZATION = env.optional("SIEM_AUTHORIZATION", str, default="")
# Where a receipt of each entry is told: a line of JSON with its leaf hash. stdout, stderr, off.
RECEIPTS = env.optional("RECEIPTS", receipts_stream, default="stdout")
# Where a process answers Prometheus: the first free port of these. docs/operations.md.
METRICS_LISTEN = env.optional("METRICS_LISTEN", listening, default=None)
RELEASE = env.optional("RELEASE", str, default="")
# How many proxies of ours append to X-Forwarded-For; 0: nobody is believed.
TRUSTED_PROXY_COUNT = env.optional("TRUSTED_PROXY_COUNT", natural, default=0)

# Finished exports, in the clear, for their officers: readable by us only.
EXPORT_DIR = env.optional("EXPORT_DIR", Path, default=STATE_DIR / "exports")

# Members' files, sealed: a folder, or a bucket of Google's or of anything that speaks S3.
# Google's client would ask for each bucket's metadata in a thread of its own, for traces that
# we do not take, with a permission that we need not have, and try for two minutes.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
ATTACHMENT_STORAGE = env.optional(
    "ATTACHMENT_STORAGE", storage_url, default=f"file://{STATE_DIR.absolute()}/attachments"
)
# One part of an upload stays in memory under ASGI too: no plaintext in temporary files.
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# Calls: how many a room holds, and what helps media through firewalls. docs/voice.md.
VOICE_MESH_CAPACITY = env.optional("VOICE_MESH_CAPACITY", natural, default=8)
STUN_URLS: list[str] = env.optional("STUN_URLS", ice_urls, default=[])
TURN_URLS: list[str] = env.optional("TURN_URLS", ice_urls, default=[])
TURN_SECRET = ""
if TURN_URLS:
    TURN_SECRET = env.required("TURN_SECRET", turn_secret, why="coturn's static-auth-secret")
# For calls that a mesh cannot carry: docs/voice.md. Without it they end at a mesh's size.
LIVEKIT_URL = env.optional("LIVEKIT_URL", livekit_url, default="")
VOICE_SFU_CAPACITY = env.optional("VOICE_SFU_CAPACITY", natural, default=50)
LIVEKIT_API_KEY = LIVEKIT_API_SECRET = ""
if LIVEKIT_URL:
    LIVEKIT_API_KEY = env.required("LIVEKIT_API_KEY", str, why="LIVEKIT_URL needs it")
    LIVEKIT_API_SECRET = env.required(
        "LIVEKIT_API_SECRET", livekit_secret, why="at least 32 characters; LIVEKIT_URL needs it"
    )

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "auditlog",
    "channels",
    "csp",
    "drf_spectacular",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "app.audit",
    "app.realtime",
    "app.encryption",
    "app.accounts",
    "app.chat",
    "app.voice",
    "app.compliance",
    "app.web",
]

MIDDLEWARE = [
    "app.web.probes.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "app.web.connections.ConnectionsMiddleware",
    "app.web.observing.ObservingMiddleware",
    "app.web.gate.GateMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "app.accounts.middleware.SessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "app.web.signing.GraveMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "app.web.headers.HeadersMiddleware",
]

ROOT_URLCONF = "app.urls"
ASGI_APPLICATION = "app.asgi.application"
WSGI_APPLICATION = "app.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
MEDIA_ROOT = STATE_DIR / "files"
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["app.accounts.backends.AccountBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/sign-in"
SESSION_ENGINE = "app.accounts.session_store"  # keeps keys hashed
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "app.web.views.errors.csrf_failed"

# Seconds that a grave action waits for its signed checkpoint; the sealer signs every second.
GRAVE_PATIENCE: float | None = 5.0

AUDITLOG_LOGENTRY_MODEL = "audit.Entry"
AUDITLOG_STORE_JSON_CHANGES = True
# Its own table would stay empty, and its foreign keys would bind it to our users.
MIGRATION_MODULES = {"auditlog": None}

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["app.accounts.rest.BoundedJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "app.accounts.authentication.BrowserSessionAuthentication",
        "app.accounts.authentication.TokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "app.accounts.rest.Negotiation",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "app.accounts.rest.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Parley",
    "DESCRIPTION": "Team chat for organizations that answer to auditors.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "USER_ID_CLAIM": "sub",
}

# Its client asks by HTTPS why a socket was refused.
_SFU_SOURCES = [LIVEKIT_URL, LIVEKIT_URL.replace("ws", "http", 1)] if LIVEKIT_URL else []
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF, *_SFU_SOURCES],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "require-trusted-types-for": ["'script'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    "beat-of-the-trail": {"task": "audit.heartbeat", "schedule": 3600},
    "verify-the-trail": {"task": "audit.verify_due", "schedule": 60},
    "reconcile": {"task": "compliance.reconcile", "schedule": 86400},
    "feed-the-siem": {"task": "audit.feed_siem", "schedule": 60, "options": {"expires": 60}},
    "anchor-the-trail": {"task": "audit.anchor_due", "schedule": 60},
    "resume-exports": {"task": "compliance.resume_exports", "schedule": 60},
    "resume-erasures": {"task": "compliance.resume_erasures", "schedule": 60},
    "expire-exports": {"task": "compliance.expire_exports", "schedule": 3600},
    "tidy-accounts": {"task": "accounts.tidy", "schedule": 3600},
    "tidy-attachments": {"task": "chat.tidy_attachments", "schedule": 3600},
    "work-on-search-indexes": {"task": "chat.work_on_search_indexes", "schedule": 60},
    "tidy-sfu": {"task": "voice.tidy_all_sfu", "schedule": 30, "options": {"expires": 30}},
    "sweep-voice-rooms": {"task": "voice.sweep", "schedule": 5, "options": {"expires": 5}},
    "prune-streams": {"task": "realtime.prune", "schedule": 3600},
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
