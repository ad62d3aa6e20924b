"""Small matters of English."""


def with_article(noun: str) -> str:
    """The noun as in: an officer, a member."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
