"""What people may write: checked once, before anything is sealed."""

import unicodedata

from app.errors import Invalid
from app.realtime.protocol import MAX_BODY_CHARACTERS

MAX_NAME = 80
MAX_TOPIC = 250
MAX_FILE_NAME = 200
# Control signs and those that turn the direction of writing: `exe.gpj` as `jpg.exe`.
_UNSEEN = {"Cc", "Cf", "Zl", "Zp"}
_EMOJI_CATEGORIES = {"So", "Sk", "Sm", "Po", "Mn", "Me", "Cf", "Nd"}


def body(text: str) -> str:
    """Return a message's text as it is kept. Raises Invalid, never naming what was written."""
    return _checked(text, "body", MAX_BODY_CHARACTERS)


def name(text: str) -> str:
    """Return a conversation's name without blanks around it. Raises Invalid."""
    return _checked(text.strip(), "name", MAX_NAME)


def topic(text: str) -> str:
    """Return a conversation's topic, which may be empty. Raises Invalid."""
    return _checked(text.strip(), "topic", MAX_TOPIC) if text.strip() else ""


def file_name(text: str) -> str:
    """Return a file's name without the folders it came from. Raises Invalid."""
    name = text.replace("\\", "/").rpartition("/")[2].strip()
    if any(unicodedata.category(sign) in _UNSEEN for sign in name):
        told = ["It contains signs that nobody sees."]
        raise Invalid("That is no valid name of a file.", fields={"name": told})
    return _checked(name, "name", MAX_FILE_NAME)


def emoji(text: str) -> str:
    """Return a reaction. Raises Invalid for words: reactions are kept in the clear."""
    pictures = [sign for sign in text if unicodedata.category(sign) in {"So", "Sk", "Me"}]
    fitting = all(unicodedata.category(sign) in _EMOJI_CATEGORIES for sign in text)
    if not pictures or not fitting or len(text) > 16:
        raise Invalid("A reaction is one emoji.", fields={"emoji": ["This is no emoji."]})
    return text


def _checked(text: str, field: str, limit: int) -> str:
    if not text.strip():
        raise Invalid("There is nothing written.", fields={field: ["Write something."]})
    if len(text) > limit:
        told = f"At most {limit} characters; this has {len(text)}."
        raise Invalid("That is too long.", fields={field: [told]})
    try:
        text.encode()
    except UnicodeEncodeError:
        told = "It contains half a character (a lone surrogate)."
        raise Invalid("That is no valid text.", fields={field: [told]}) from None
    return text
