"""Numbers as people read them: 48 214 entries, 3.4 MB, 12 s."""

from django import template

register = template.Library()
_NARROW_SPACE = "\u202f"


@register.filter
def spaced(number: int | None) -> str:
    """48214 as 48 214, with narrow spaces that do not break."""
    return "" if number is None else f"{number:,}".replace(",", _NARROW_SPACE)


@register.filter
def filesize(size: int | None) -> str:
    """Bytes with a decimal unit."""
    if size is None:
        return ""
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000 or unit == "TB":
            break
    return f"{value:.1f} {unit}"


@register.filter
def duration(seconds: int | None) -> str:
    """Seconds in one unit: 12 s, 3 min, 5 h, 2 days."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
