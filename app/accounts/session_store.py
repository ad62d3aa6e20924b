"""Django's browser sessions, kept under a hash of their key.

The key in the cookie is a credential: whoever reads the database, or a backup of it, must
not be able to walk in with it.
"""

from hashlib import sha256
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.utils import timezone

__all__ = ["SessionStore", "UpdateError"]


def stored(key: str) -> str:
    """160 bits of SHA-256 in the 40 characters that the table has; keys have 165 bits."""
    return sha256(key.encode()).hexdigest()[:40]


class SessionStore(db.SessionStore):
    def _get_session_from_db(self) -> Any:
        found = self.model.objects.filter(
            session_key=stored(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        if found is None:
            self._session_key = None
        return found

    async def _aget_session_from_db(self) -> Any:
        found = await self.model.objects.filter(
            session_key=stored(self.session_key or ""), expire_date__gt=timezone.now()
        ).afirst()
        if found is None:
            self._session_key = None
        return found

    def create_model_instance(self, data: Any) -> Any:
        return self._hashed(super().create_model_instance(data))

    async def acreate_model_instance(self, data: Any) -> Any:
        return self._hashed(await super().acreate_model_instance(data))

    def exists(self, session_key: str) -> bool:
        return bool(super().exists(stored(session_key)))

    async def aexists(self, session_key: str) -> bool:
        return bool(await super().aexists(stored(session_key)))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(stored(key))

    async def adelete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            await super().adelete(stored(key))

    @staticmethod
    def _hashed(row: Any) -> Any:
        row.session_key = stored(row.session_key)
        return row
