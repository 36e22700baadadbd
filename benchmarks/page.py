"""What the Workbench's page takes, measured in Chromium: its first paint, the way of an event to it, the server's CPU.

python -m benchmarks page
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from playwright.sync_api import Page, sync_playwright

from benchmarks.measure import best, middle
from benchmarks.row import Row
from tests.workbench.browser import WIDE, launch
from tests.workbench.conftest import Workbench
from tests.workbench.samples import delays

RUNS = 10_000
VISITS = 6
EVENTS = 12
WATCHED_S = 20.0
#: Runs that end each second of a job that is watched while it runs.
PACE = 40

#: Since the navigation began, in the page's own clock: when the chart of all runs has been drawn.
_PAINTED = "() => document.querySelector('[data-chart=timeline][data-drawn] canvas') && performance.now()"
#: Notes when a text first stands on the page, by the clock that both processes share.
_NOTE = """(words) => { window.seenAt = null; const look = () => {
  if (!window.seenAt && document.body.innerText.includes(words)) window.seenAt = Date.now() / 1000; };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true }); }"""


def page_rows() -> list[Row]:
    """The three targets of the page, each for a job of 10,000 runs where it matters."""
    with viewed() as (workbench, page):
        return [first_paint(workbench, page), event_on_the_page(workbench, page), *server_cpu(workbench, page)]


@contextmanager
def viewed() -> Iterator[tuple[Workbench, Page]]:
    """A Workbench with a store of its own, and one viewer who has come in."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser, workbench = launch(playwright), Workbench(Path(folder) / "home", Path(folder))
        try:
            page = browser.new_page(viewport=WIDE)
            page.goto(workbench.address)
            yield workbench, page
        finally:
            browser.close()
            workbench.close()


def first_paint(workbench: Workbench, page: Page) -> Row:
    """From the navigation to the drawn chart, of jobs that nobody has looked at: the store is read meanwhile."""
    large, small = [], []
    for _ in range(VISITS):  # in turns, so that whatever else the machine does meets both alike
        small.append(_painted_s(workbench, page, workbench.store.finished(10).id))
        large.append(_painted_s(workbench, page, workbench.store.finished(RUNS, failing=500).id))
    ours, peer = best(large), best(small)
    return Row(
        "the page of a job of 10,000 runs that nobody has looked at, from its address to its chart",
        f"{ours:.2f} s",
        f"a job of 10 runs {peer:.2f} s",
        f"{ours / peer:.2f} x",
        "< 1.5 s",
        ours < 1.5,
    )


def _painted_s(workbench: Workbench, page: Page, job_id: str) -> float:
    page.goto(f"{workbench.root}/job/{job_id}", wait_until="commit")
    return float(page.wait_for_function(_PAINTED).json_value()) / 1000


def event_on_the_page(workbench: Workbench, page: Page) -> Row:
    """From before a run's end is written to its count on the page, in a job of 10,000 runs that is running."""
    store = workbench.store
    header = store.job(delays, range(RUNS), cache=False)
    store.starts(header, *range(EVENTS + 1))
    store.ends(header, 0)
    page.goto(f"{workbench.root}/job/{header.id}")
    page.get_by_text("1 succeeded").wait_for()
    took = []
    for index in range(1, EVENTS + 1):
        page.evaluate(_NOTE, f"{index + 1} succeeded")
        time.sleep(0.06 * index)  # so that each event meets the page at another moment between two of its looks
        written_at = time.time()
        store.ends(header, index)
        took.append(page.wait_for_function("() => window.seenAt").json_value() - written_at)
    work = "an event of a job of 10,000 runs, from its writing to the page"
    told = f"{max(took):.2f} s at most"
    return Row(work, told, f"median {middle(took):.2f} s", "", "< 1.5 s", max(took) < 1.5)


def server_cpu(workbench: Workbench, page: Page) -> list[Row]:
    """The server's CPU with one viewer, of a job that has ended and of one that runs."""
    store = workbench.store
    ended = store.finished(RUNS)
    rows = [_watched(workbench, page, ended.id, "has ended", lambda _: None)]
    running = store.job(delays, range(RUNS), cache=False)
    store.starts(running, *range(RUNS // 2))

    def go_on(second: int) -> None:
        store.ends(running, *range(second * PACE, (second + 1) * PACE))

    return [*rows, _watched(workbench, page, running.id, f"runs, {PACE} of them ending each second", go_on)]


def _watched(workbench: Workbench, page: Page, job_id: str, how: str, go_on) -> Row:
    page.goto(f"{workbench.root}/job/{job_id}")
    go_on(0)
    page.wait_for_function(_PAINTED)
    server = psutil.Process(workbench.process.pid)
    page.wait_for_timeout(2000)  # what the visit itself takes is over
    before, began, second = _cpu_s(server), time.monotonic(), 1
    while (passed := time.monotonic() - began) < WATCHED_S:
        if passed >= second - 1:
            go_on(second)
            second += 1
        page.wait_for_timeout(100)
    percent = 100 * (_cpu_s(server) - before) / (time.monotonic() - began)
    work = f"the server's CPU with one viewer of 10,000 runs: the job {how}"
    return Row(work, f"{percent:.1f}% of a core", f"over {WATCHED_S:.0f} s", "", "< 10%", percent < 10)


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system
