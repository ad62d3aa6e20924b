"""What a name, an address and a password must be, said beside the field that it concerns."""

import unicodedata
from typing import Final

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from app.errors import Invalid

LONGEST_NAME: Final = 80
LONGEST_EMAIL: Final = 254  # RFC 5321, 4.5.3.1.3
LONGEST_LABEL: Final = 120
LONGEST_PASSWORD: Final = 256  # longer ones would only cost hashing time


def checked_name(name: str) -> str:
    """The name without blanks around it. Raises Invalid for an empty or a deceptive one."""
    stripped = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(stripped) <= LONGEST_NAME:
        text = f"A name has 1 to {LONGEST_NAME} characters."
    elif any(unicodedata.category(mark) in {"Cc", "Cf", "Cs", "Co", "Cn"} for mark in stripped):
        # Direction marks and invisible characters let one person look like another.
        text = "A name has no invisible characters."
    else:
        return stripped
    raise Invalid(fields={"display_name": [text]})


def checked_password(password: str, *, email: str, name: str, field: str = "password") -> None:
    """Raise Invalid, saying why, for a password that is too easy or too long."""
    if len(password) > LONGEST_PASSWORD:
        raise Invalid(fields={field: [f"A password has at most {LONGEST_PASSWORD} characters."]})
    if password.casefold() in {email.casefold(), name.casefold()}:
        raise Invalid(fields={field: ["A password is neither your name nor your address."]})
    try:
        validate_password(password)
    except ValidationError as error:
        raise Invalid(fields={field: list(error.messages)}) from error
