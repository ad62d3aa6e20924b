"""What officers state before they look, hold or erase: sealed, and committed to in the trail."""

from app.errors import Invalid

LONGEST_REASON = 1000
LONGEST_MATTER = 200


def stated(text: str, name: str, longest: int) -> str:
    """The text without its ends' blanks. Raises Invalid where nothing, or too much, is said."""
    text = text.strip()
    if not 1 <= len(text) <= longest or "\0" in text:
        raise Invalid(fields={name: [f"Give a {name}, in 1 to {longest} characters."]})
    return text
