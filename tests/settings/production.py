"""An environment in which production starts, made for each test process."""

import base64
import secrets


def production_environment() -> dict[str, str]:
    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    return {
        "DJANGO_SETTINGS_MODULE": "app.settings.prod",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ALLOWED_HOSTS": "chat.example.org",
        "CSRF_TRUSTED_ORIGINS": "https://chat.example.org",
        "DATABASE_URL": "postgres://web:secret-of-the-database@db.example.org:5432/parley",
        "REDIS_URL": "rediss://:secret-of-redis@redis.example.org:6379/0",
        "FIELD_ENCRYPTION_KEY": key(),
        "AUDIT_PSEUDONYM_KEY": key(),
        "BLIND_INDEX_KEY": key(),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(64),
        "KEY_ENCRYPTION_KEY_FILE": "/run/secrets/key-encryption.key",
        "CHECKPOINT_ORIGIN": "chat.example.org/log",
        "TRUSTED_PROXY_COUNT": "1",
        "STATE_DIR": "/srv/parley",
        "ERASURE_LIST": "/srv/erasures/list",
    }
