"""Debian's Chromium, as tests drive it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

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


class SharedBrowser:
    """One Chromium for many tests, and windows of it that keep what they have loaded from one test to the next.

    While Playwright is up, asyncio takes its loop for one that runs in this thread, and would refuse any other: it is
    told of it for the time of a test that looks at a page, and only then.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser, self._loop = browser, asyncio._get_running_loop()
        self._idle: dict[object, list[BrowserContext]] = {}
        self._in_use: list[tuple[object, BrowserContext]] = []

    @contextmanager
    def in_use(self) -> Iterator[Browser]:
        """The browser, for one test; its windows are as good as new for the next one."""
        asyncio._set_running_loop(self._loop)
        try:
            yield self._browser
        finally:
            for kind, window in self._in_use:
                for page in window.pages:
                    page.close()
                window.clear_cookies()
                window.clear_permissions()
                self._idle.setdefault(kind, []).append(window)
            self._in_use.clear()
            asyncio._set_running_loop(None)

    def page(self, root: str, *, size: Any, scheme: Any) -> Page:
        """An empty page in a window that no other page of this test is in, and that remembers nothing of `root`."""
        kind = (size["width"], size["height"], scheme)
        idle = self._idle.get(kind)
        window = (
            idle.pop() if idle else self._browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        )
        self._in_use.append((kind, window))
        page = window.new_page()
        session = window.new_cdp_session(page)
        session.send("Storage.clearDataForOrigin", {"origin": root, "storageTypes": "local_storage,indexeddb"})
        session.detach()
        return page


@contextmanager
def shared() -> Iterator[SharedBrowser]:
    """A browser that tests share, until the last of them has ended."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        one = SharedBrowser(browser)
        asyncio._set_running_loop(None)
        yield one
        asyncio._set_running_loop(one._loop)
        browser.close()


#: Resolves once nothing moves: no animation or transition that ends by itself, no Vue transition, a socket that is
#: connected, and no change of the document for as long as `quiet` (ms).
_REST = """([quiet, patience]) => new Promise((resolve) => {
  const begun = performance.now();
  let changed = begun;
  const observer = new MutationObserver(() => { changed = performance.now(); });
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  const moves = () => document.getAnimations().some(
    (one) => one.playState === "running" && one.effect.getComputedTiming().endTime !== Infinity);
  const look = () => {
    const now = performance.now();
    const waits = moves() || document.querySelector("[class*=-enter-active], [class*=-leave-active]")
      || (window.socket && !window.did_handshake) || document.readyState !== "complete";
    if (waits) changed = now;
    const rests = now - changed > quiet;
    if (rests || now - begun > patience) { observer.disconnect(); resolve(rests); } else requestAnimationFrame(look);
  };
  look();
})"""


def at_rest(page: Page, *, quiet_ms: int = 150) -> Page:
    """Wait until the page is at rest, before anything of it is measured: colours, places, sizes, pictures."""
    assert page.evaluate(_REST, [quiet_ms, 15_000]), "the page did not come to rest within 15 s"
    return page


def fits(page: Page, size: Any) -> bool:
    """Whether the page at rest is no wider than the screen."""
    return bool(at_rest(page).evaluate("document.documentElement.scrollWidth") <= size["width"])


def axe_script() -> str:
    """axe-core, as package-lock.json pins it."""
    return npm_program("axe-core", "axe.min.js")[1]
