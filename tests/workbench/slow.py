"""What `FANFOLD_SLOW` asks for: the same tests in a slow browser, over a slow line, or where things stand still."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

#: How many times slower the browser's scripts are.
_RATE = 6
#: How long the browser or the server stands still, and how long both go on before one does so again.
_STOPPED_S, _GOING_S = (0.5, 3.0), (0.5, 4.0)

#: All that comes from the server and goes there takes a while of its own; a socket's messages keep their order.
_LINE = """(() => {
  const pause = () => 20 + 600 * Math.random() ** 3;
  const later = () => new Promise((resolve) => setTimeout(resolve, pause()));
  const inOrder = () => {
    let before = Promise.resolve();
    return (act) => { const now = later(); before = before.then(() => now).then(act).catch(reportError); };
  };
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    #out = inOrder();
    #in = inOrder();
    send(data) { this.#out(() => { if (this.readyState === Socket.OPEN) super.send(data); }); }
    set onmessage(listener) { super.onmessage = (event) => this.#in(() => listener.call(this, event)); }
    get onmessage() { return super.onmessage; }
  };
  const real = window.fetch;
  window.fetch = async (to, how) => {
    if (how?.keepalive) return real(to, how);  // it outlives the page, and what waits here does not
    await later();
    const answer = await real(to, how);
    await later();
    return answer;
  };
})()"""


def asked_for() -> frozenset[str]:
    """What is to be slow: `browser` (its scripts), `line` (to the server and back), `stops` (each stands still)."""
    return frozenset(filter(None, os.environ.get("FANFOLD_SLOW", "").split(",")))


def slowed(browser: Browser) -> Browser:
    """The browser, whose pages are as slow as is asked for."""
    slow = asked_for()
    if not slow:
        return browser
    new_context = browser.new_context

    def context_of(**options: Any) -> BrowserContext:
        context = new_context(**options)
        if "line" in slow:
            context.add_init_script(_LINE)
        if "browser" in slow:
            context.new_page = _slow_pages(context)  # type: ignore[method-assign]
        return context

    browser.new_context = context_of  # type: ignore[method-assign]
    browser.new_page = lambda **options: context_of(**options).new_page()  # type: ignore[method-assign]
    return browser


def _slow_pages(context: BrowserContext) -> Callable[[], Page]:
    new_page = context.new_page

    def slow_page() -> Page:
        page = new_page()
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": _RATE})
        return page

    return slow_page


@contextmanager
def standing_still(pids: Callable[[], Sequence[int]]) -> Iterator[None]:
    """Have one of these processes stand still, again and again, where that is asked for."""
    if "stops" not in asked_for():
        yield
        return
    over = threading.Event()

    def stop_and_go() -> None:
        while not over.wait(random.uniform(*_GOING_S)):
            with suppress(ProcessLookupError):
                os.kill(pid := random.choice(pids()), signal.SIGSTOP)
                over.wait(random.uniform(*_STOPPED_S))
                os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
