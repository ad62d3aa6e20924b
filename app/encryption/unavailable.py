"""What is raised while a key encryption key cannot be used."""

from app.encryption.envelope import Fault, SealError
from app.errors import Unavailable


class KeyUnavailable(SealError, Unavailable):  # type: ignore[misc]  # `code` is the same in both
    """Nothing is lost, and nothing is sealed or opened with this key for now.

    Its text, for the operator, names which key and why; people are told to try again (`message`).
    """

    def __init__(self, told: str) -> None:
        super().__init__(Fault.KEY_UNAVAILABLE, told)
        self.message = Unavailable.default_message
