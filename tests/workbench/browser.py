"""Debian's Chromium, as tests drive it."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, Playwright, Request, ViewportSize, sync_playwright

from tests.infra.tooling import npm_program
from tests.workbench.slow import slowed

#: The first of them that is there. The shell is the same browser without its own windows: a quarter less of CPU.
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")

#: Without these Chromium looks for its maker's hosts at every start, and refuses to run as root.
#: Pages of one origin share a process: it has compiled their scripts.
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --process-per-site"
).split()

#: How long one test may have the browser, all that it does at its end included: Playwright waits for ever for an answer
#: of a page that gives none. It is less than what pytest gives a test, which does not watch over what comes after that.
_TEST_S = 240.0
#: How long a browser may take to end, and what drives it to say that it has.
_END_S, _DRIVER_S = 60.0, 15.0

#: How long a draft that a page has sent may take, beyond which it is one of a page that has gone since.
_DRAFTS_S = 2.0

WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 390, "height": 844}


def launch(playwright: Playwright) -> Browser:
    """A headless Chromium; what is missing is said in words that help."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    assert program, (
        "The tests of the Workbench need Chromium: `make chromium` (as root), or "
        "`apt-get install chromium-headless-shell`, or a whole `chromium`."
    )
    return slowed(playwright.chromium.launch(executable_path=program, args=_FLAGS))


@contextmanager
def ended_after(patience_s: float, processes: Iterable[Any]) -> Iterator[list[int]]:
    """Kill these processes where what is done here takes longer than that; gives the ids of those that were."""
    killed: list[int] = []

    def kill() -> None:
        for process in processes:
            killed.append(process.pid)
            with suppress(psutil.NoSuchProcess):
                process.kill()

    timer = threading.Timer(patience_s, kill)
    timer.daemon = True
    timer.start()
    try:
        yield killed
    finally:
        timer.cancel()


@contextmanager
def answering_within(patience_s: float) -> Iterator[None]:
    """Have each call of Playwright end within that time: it fails where its browser has ended, or what drives that."""
    with ended_after(patience_s, _browsers()), ended_after(patience_s + _DRIVER_S, _drivers()):
        yield


def _drivers() -> Iterator[psutil.Process]:
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if "run-driver" in process.cmdline():
                yield process


def _browsers() -> Iterator[psutil.Process]:
    for driver in _drivers():
        with suppress(psutil.NoSuchProcess):
            yield from driver.children(recursive=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one file of tests: while Playwright is up, nothing else of this process may run an event loop."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        with answering_within(_END_S):
            browser.close()


class SharedBrowser:
    """One Chromium for many tests, and pages of it that go from test to test: a new one costs a second of CPU.

    A page that stays keeps its process, which has compiled the scripts; of what a test has done there nothing stays.
    While Playwright is up, asyncio takes its loop for one that runs in this thread, and would refuse any other: it is
    told of it for the time of a test that looks at a page, and only then.
    """

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._browser, self._loop = launch(playwright), asyncio._get_running_loop()
        self._idle: list[Page] = []
        #: The drafts that pages are just sending to their server.
        self._drafts: set[Request] = set()
        self._in_use: list[tuple[str, Page, dict[str, Any]]] = []

    @contextmanager
    def in_use(self, test_s: float = _TEST_S) -> Iterator[Browser]:
        """The browser, for one test; its pages are as good as new for the next one."""
        asyncio._set_running_loop(self._loop)
        try:
            with answering_within(test_s):
                self._replace_ended()
                yield self._browser
                self._take_back()
        finally:
            self._in_use.clear()
            asyncio._set_running_loop(None)

    def pids(self) -> list[int]:
        """The processes of the browser, in no order."""
        return [one.pid for one in _browsers()]

    def close(self) -> None:
        """End the browser."""
        self._browser.close()

    def _replace_ended(self) -> None:
        """Where the test before has had its browser ended, this one has another."""
        if not self._browser.is_connected():
            self._browser = launch(self._playwright)
            self._idle.clear()
            self._drafts.clear()

    def _take_back(self) -> None:
        """Make pages as good as new; one that cannot be is of no use to another test."""
        for root, page, listeners in self._in_use:
            self._keep_no_more(page)
            _forget(page, root, listeners)
            self._idle.append(page)

    def page(self, root: str, *, size: Any, scheme: Any, listeners: dict[str, Any]) -> Page:
        """A page that nobody is on, alone in its window, and that knows nothing of `root`."""
        page = self._idle.pop() if self._idle else self._new_page()
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        for event, listener in listeners.items():
            page.on(event, listener)  # type: ignore[call-overload]
        self._in_use.append((root, page, listeners))
        return page

    def _new_page(self) -> Page:
        context = self._browser.new_context(accept_downloads=True)
        context.on("request", lambda one: self._drafts.add(one) if "/workbench/drafts" in one.url else None)
        for end in ("requestfinished", "requestfailed"):
            context.on(end, self._came_to_its_end)  # type: ignore[call-overload]
        return context.new_page()

    def _came_to_its_end(self, request: Request) -> None:
        self._drafts.discard(request)

    def _keep_no_more(self, page: Page) -> None:
        """Have all pages beside this one send no draft any more, and wait for those that are under way.

        A page sends one as it is left: it would reach the server when the next test has begun with none.
        """
        for one in page.context.pages:
            one.evaluate("() => { window.fetch = () => new Promise(() => {}); }")
        deadline = time.monotonic() + _DRAFTS_S
        while self._drafts and time.monotonic() < deadline:
            page.wait_for_timeout(10)
        self._drafts.clear()


#: What pages of one origin keep in a browser.
_FORGET = """async () => {
  localStorage.clear(); sessionStorage.clear();
  for (const one of await indexedDB.databases()) await new Promise((resolve) => {
    const asked = indexedDB.deleteDatabase(one.name); asked.onsuccess = asked.onerror = asked.onblocked = resolve; });
}"""


def _forget(page: Page, root: str, listeners: dict[str, Any]) -> None:
    """Leave a page empty, without what its test has made it know or listen to."""
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    for other in page.context.pages:
        if other is not page:
            other.close()
    page.goto(f"{root}/favicon.ico")  # of the same origin, so the process stays; nothing runs in it
    page.evaluate(_FORGET)
    page.context.clear_cookies()
    page.context.clear_permissions()


@contextmanager
def shared() -> Iterator[SharedBrowser]:
    """A browser that tests share, until the last of them has ended."""
    with sync_playwright() as playwright:
        one = SharedBrowser(playwright)
        asyncio._set_running_loop(None)
        yield one
        asyncio._set_running_loop(one._loop)
        with answering_within(_END_S):
            one.close()


#: Resolves once nothing moves: no animation or transition that ends by itself, no Vue transition, a socket that is
#: connected, and no change of the document for as long as `quiet` (ms).
_REST = """([quiet, patience]) => new Promise((resolve) => {
  const begun = performance.now();
  let changed = begun;
  const observer = new MutationObserver(() => { changed = performance.now(); });
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  const moves = () => document.getAnimations().some(
    (one) => one.playState === "running" && one.effect.getComputedTiming().endTime !== Infinity);
  // Not by frames alone: a page that is not drawn has none.
  setTimeout(() => { observer.disconnect(); resolve(false); }, patience + 1000);
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
    assert page.evaluate(_REST, [quiet_ms, 60_000]), "the page did not come to rest within 60 s"
    return page


def fits(page: Page, size: Any) -> bool:
    """Whether the page at rest is no wider than the screen."""
    return bool(at_rest(page).evaluate("document.documentElement.scrollWidth") <= size["width"])


def axe_script() -> str:
    """axe-core, as package-lock.json pins it."""
    return npm_program("axe-core", "axe.min.js")[1]
