"""A person's face where there is no picture: letters and one of eight colours.

The same for a person on every page: `initials` and `face` of static/web/js/store.js agree.
"""

import re

from django import template

from app.accounts.models import User

register = template.Library()


@register.filter
def initials(name: str) -> str:
    """Up to two letters: "Ada Lovelace" is AL."""
    words = [word for word in re.split(r"[\s-]+", name) if re.search(r"\w", word)]
    picked = [words[0], words[-1]] if len(words) > 1 else words
    return "".join(word[0].upper() for word in picked) or "?"


@register.filter
def face(person: User) -> str:
    """The class of one of the eight colours."""
    total = 0
    for letter in str(person.pk):
        total = (total * 31 + ord(letter)) % 2**32
    return f"face-{total % 8}"
