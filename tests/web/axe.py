"""axe-core in a page: what is hard or impossible for people who cannot see or point well."""

import os
from typing import Any

import pytest
from playwright.sync_api import Page

from app.settings.base import BASE_DIR

AXE = BASE_DIR / "node_modules" / "axe-core" / "axe.min.js"

EXAMINED: dict[str, Any] = {"bypass_csp": True, "reduced_motion": "reduce"}
"""Options of a browser's context in which axe can be run: our policy would refuse its script."""


ACCESS = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOUR = ["color-contrast", "link-in-text-block"]
"""The rules of these that look at colours."""


def bring_axe(page: Page) -> None:
    """Load axe into the page; without it the test is left out, but never in CI."""
    if not AXE.exists():
        assert not os.environ.get("CI"), "npm ci brings axe-core"
        pytest.skip("axe-core is not here: npm ci")
    page.add_script_tag(path=AXE)


def put_in_theme(page: Page, theme: str) -> None:
    """Light or dark, and wait until no colour is on its way any more."""
    page.evaluate(
        """async (theme) => {
            document.documentElement.dataset.theme = theme
            const frame = () => new Promise((done) => requestAnimationFrame(done))
            await frame()
            const moving = document.getAnimations().filter((one) => one instanceof CSSTransition)
            await Promise.allSettled(moving.map((one) => one.finished))
            await frame()
        }""",
        theme,
    )


def serious_faults(page: Page) -> list[str]:
    """What axe calls serious or critical under WCAG 2.2 A and AA.

    Where a page was put into dark, colours alone are looked at: dark is another set of values of
    colours and nothing else (tokens.css).
    """
    theme = page.evaluate("document.documentElement.dataset.theme")
    options = {
        "runOnly": {"type": "rule", "values": COLOUR} if theme == "dark" else ACCESS,
        "resultTypes": ["violations"],  # of what passes, axe need not describe each element
    }
    found: dict[str, Any] = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{fault['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]
