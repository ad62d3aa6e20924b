"""What an instance holds for a sealed field: a token, a text, or both.

Never changed once made, so that copies of an instance may share it. None of these shows its
text when printed, copied deeply or pickled.
"""

from typing import Any

from app.encryption.envelope import Opened, Sealed
from app.encryption.secret import SEALED


class StoredToken(str):
    """A token on its way between database and row: to everybody else it reads `<sealed>`."""

    __slots__ = ("token",)
    token: str

    def __new__(cls, token: str) -> "StoredToken":
        made = super().__new__(cls, SEALED)
        made.token = token
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredToken, (self.token,)


class Content:
    """One of Loaded, Written, Known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return SEALED

    def __deepcopy__(self, memo: Any) -> "Content":
        return self


class Loaded(Content):
    """A token from the database that nobody has opened yet."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    def __reduce__(self) -> tuple[Any, ...]:
        return Loaded, (self.token,)


class Written(Content):
    """A text that was assigned and is not sealed yet."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a text that is not sealed yet cannot be pickled: save it first")


class Known(Content):
    """A token with its text, and the place where it was sealed or opened.

    `anew`: the same text was assigned again, so it may be sealed for another place.
    """

    __slots__ = ("anew", "place", "salt", "text", "token")

    def __init__(
        self, token: str, place: bytes, content: Opened | Sealed, *, anew: bool = False
    ) -> None:
        self.token = token
        self.place = place
        self.text = content.text
        self.salt = content.salt
        self.anew = anew

    def __reduce__(self) -> tuple[Any, ...]:
        return Loaded, (self.token,)
