"""A session's User-Agent in words that its owner recognises. A guess, and only for display."""

import re

from app.accounts.models import Session, SessionKind

_BROWSERS = (
    ("Edge", r"Edg/"),
    ("Opera", r"OPR/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/"),
    ("Safari", r"Safari/"),
)
_SYSTEMS = (
    ("Android", r"Android"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux|X11"),
)
_HELD = {"Android", "iPhone", "iPad"}


def described(session: Session) -> dict[str, str]:
    """`name`, such as "Firefox on Linux", and `icon`."""
    if session.kind == SessionKind.API:
        program = session.agent.partition("/")[0][:40] or "A program"
        return {"name": f"{program} (API)", "icon": "code"}
    browser = _first(_BROWSERS, session.agent) or "A browser"
    system = _first(_SYSTEMS, session.agent)
    name = f"{browser} on {system}" if system else browser
    return {"name": name, "icon": "smartphone" if system in _HELD else "monitor"}


def _first(table: tuple[tuple[str, str], ...], agent: str) -> str | None:
    return next((name for name, pattern in table if re.search(pattern, agent)), None)
