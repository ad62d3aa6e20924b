"""API tokens: simplejwt's, tied to a `Session`, with nothing usable left in the database.

simplejwt keeps the text of each refresh token in its table, which would hand live credentials
to whoever reads a backup; here the table holds the token's id alone.
"""

from dataclasses import dataclass

from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.utils import datetime_from_epoch

from app.accounts.models import Session


@dataclass(frozen=True, slots=True)
class TokenPair:
    access: str
    refresh: str


class SessionRefreshToken(RefreshToken):
    """A refresh token of one session; its access tokens carry the same claims."""

    def check_blacklist(self) -> None:
        """Nothing: a used token must be told from a forged one, which `services.refresh` does.

        It asks `is_used` under the lock of the session.
        """

    @classmethod
    def for_session(cls, session: Session) -> "SessionRefreshToken":
        """A new token of the session, noted as outstanding."""
        token = cls()
        token["sub"] = str(session.user_id)
        token["sid"] = str(session.pk)
        token["org"] = str(session.user.organization_id)
        token._note()
        return token

    def _note(self) -> OutstandingToken:
        row, _ = OutstandingToken.objects.get_or_create(
            jti=self["jti"],
            defaults={
                "user_id": self["sub"],
                "token": "",
                "created_at": self.current_time,
                "expires_at": datetime_from_epoch(self["exp"]),
            },
        )
        return row

    def use_up(self) -> None:
        """Blacklist the token: seen again, it betrays a theft."""
        BlacklistedToken.objects.get_or_create(token=self._note())

    def is_used(self) -> bool:
        return bool(BlacklistedToken.objects.filter(token__jti=self["jti"]).exists())

    def pair(self) -> TokenPair:
        return TokenPair(access=str(self.access_token), refresh=str(self))
