"""Debian's Chromium, as tests drive it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.infra.tooling import npm_program

#: Without these Chromium looks for its maker's hosts at every start, and refuses to run as root.
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def launch(playwright: Playwright) -> Browser:
    """A headless Chromium; what is missing is said in words that help."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, (
        "The tests of the Workbench need Chromium: `make chromium` (as root), or `apt-get install chromium`."
    )
    return playwright.chromium.launch(executable_path=program, args=_FLAGS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one file of tests: while Playwright is up, nothing else of this process may run an event loop."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def axe_script() -> str:
    """axe-core, as package-lock.json pins it."""
    return npm_program("axe-core", "axe.min.js")[1]
