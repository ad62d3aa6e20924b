"""Finding the user of a browser session, and checking a password in even work.

`services.sign_in` is the only way in: it limits attempts and records them. This backend
exists because Django keeps the name of one in each browser session.
"""

from typing import Any
from uuid import UUID

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest

from app.accounts.models import User


def verified(user: User | None, password: str) -> bool:
    """Whether the password is that user's and the user is active.

    Exactly one Argon2 computation in every case, so that the time taken does not tell
    whether an address exists.
    """
    if user is None or not user.has_usable_password():
        make_password(password)
        return False
    with transaction.atomic():  # an outdated hash is replaced here, and the row is watched
        return user.check_password(password) and user.is_active


class AccountBackend(BaseBackend):
    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Nobody: signing in goes through `services.sign_in`."""
        return

    def get_user(self, user_id: UUID) -> User | None:
        """The active user with this id."""
        users = User.objects.select_related("organization")
        return users.filter(pk=user_id, is_active=True).first()
