"""What the Workbench promises of large jobs, measured in Chromium against its targets: `make bench-page`.

It prints a line for each target and writes nothing; it takes some two minutes, most of them to make the jobs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy
import psutil
import shapely
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.measure import best
from benchmarks.page import _PAINTED
from benchmarks.row import Row
from fanfold.codec import encode
from fanfold.core.models import Event, EventKind, JobHeader, Output
from tests.workbench.browser import WIDE, launch
from tests.workbench.conftest import Workbench
from tests.workbench.samples import Store, delays, ended

VISITS = 4
LINES, LINES_A_PIECE = 1_000_000, 1_000
JOBS = 5_000
WATCHED_S = 12.0
_MIB = 1 << 20
_WATCHED = str(Path(__file__).parent / "programs" / "watched_workbench.py")
SHAPES = 100_000
#: Moves the map in each of 40 frames; the longest of these, once it goes.
_MOVE = """() => new Promise((done) => {
  const map = document.getElementById("ff-map"), took = [];
  let last = performance.now();
  const step = () => {
    const now = performance.now();
    took.push(now - last);
    last = now;
    map.dispatchEvent(new KeyboardEvent("keydown", { key: took.length % 2 ? "ArrowLeft" : "ArrowRight" }));
    if (took.length < 40) requestAnimationFrame(step); else done(Math.max(...took.slice(2)));
  };
  requestAnimationFrame(step);
})"""
_ROWS = "(n) => [...document.querySelectorAll('.ag-row .ff-Failed')].length >= n && performance.now()"


def main() -> int:
    """Measure, print, and tell by the exit code whether every target is met."""
    rows = []
    for row in _rows():
        print(row, flush=True)
        rows.append(row)
    return 0 if all(row.met for row in rows) else 1


def _rows() -> Iterator[Row]:
    with viewed() as (workbench, browser, page):
        yield painted(workbench, page, 10_000, 1.0)
        yield painted(workbench, page, 100_000, 2.0)
        yield from searched(workbench, page)
        yield from stalls(workbench, browser)
        yield moved(workbench, page)
    with viewed() as (workbench, _, page):
        yield filtered(workbench, page)


@contextmanager
def viewed() -> Iterator[tuple[Workbench, Browser, Page]]:
    """A Workbench with a store of its own and a watch on its loop, and one viewer who has come in."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch(playwright)
        workbench = Workbench(Path(folder) / "home", Path(folder), program=[_WATCHED])
        try:
            page = browser.new_page(viewport=WIDE)
            page.goto(workbench.address)
            yield workbench, browser, page
        finally:
            browser.close()
            workbench.close()


def painted(workbench: Workbench, page: Page, count: int, limit_s: float) -> Row:
    """From the navigation to the drawn chart of a job that nobody has looked at."""
    took = []
    for _ in range(VISITS):
        header = workbench.store.finished(count, failing=500)
        page.goto(f"{workbench.root}/job/{header.id}", wait_until="commit")
        took.append(float(page.wait_for_function(_PAINTED).json_value()) / 1000)
    return _row(f"a job of {count:,} runs, from its address to its chart", f"{best(took):.2f} s", best(took), limit_s)


def searched(workbench: Workbench, page: Page) -> Iterator[Row]:
    """A word that stands in one of a million lines, from the press of the button to its line in sight."""
    header = _printed(workbench.store)
    page.goto(f"{workbench.root}/job/{header.id}?tab=Logs")
    began = time.monotonic()
    page.wait_for_function("(n) => document.querySelector('#ff-log-count')?.innerText.startsWith(n)", arg=f"{LINES:,}")
    reading_s = time.monotonic() - began
    page.get_by_label("Find").fill("needle")
    began = time.monotonic()
    page.get_by_role("button", name="Next found").click()
    page.locator(".ff-here mark").wait_for()
    took = time.monotonic() - began
    yield _row(f"a word in {LINES:,} lines (read in {reading_s:.0f} s), to its first line", f"{took:.2f} s", took, 1.0)
    resident = psutil.Process(workbench.process.pid).memory_info().rss / _MIB
    yield _row("the server's resident memory after that", f"{resident:.0f} MiB", resident, 250)


def stalls(workbench: Workbench, browser: Browser) -> Iterator[Row]:
    """The loop's longest stall while three viewers look at a job of 10,000 runs that goes on, from page to page.

    The browsers of this measurement keep both cores of a small machine busy, and what waits for a core there says
    nothing of the server: by wall it is measured on a core of its own, and beside them without these waits.
    """
    header = workbench.store.job(delays, range(10_000), cache=False)
    workbench.store.starts(header, *range(5_000))
    pages = [browser.new_page(viewport=WIDE) for _ in range(3)]
    for page in pages:
        page.goto(workbench.address)
    with apart(workbench.process.pid) as is_apart:
        worst = _worst_of_visits(workbench, header, pages, 0)
    work = "the longest stall of the server's loop with three viewers"
    where = "on a core of its own" if is_apart else "beside them, for this system pins no process"
    yield _row(f"{work}, {where}", f"{worst['ms']:.0f} ms", worst["ms"], 50)
    worst = _worst_of_visits(workbench, header, pages, 5_000)
    words = f"{work} beside them ({worst['ms']:.0f} ms by wall), without waits for a core"
    yield _row(words, f"{worst['own_ms']:.0f} ms", worst["own_ms"], 50)


def _worst_of_visits(workbench: Workbench, header: JobHeader, pages: list[Page], first: int) -> dict[str, float]:
    """Go from page to page while runs end, from the first of that number on, and keep the worst that the loop tells."""
    pages[0].request.get(f"{workbench.root}/stalls.json")
    began, at, worst = time.monotonic(), first, dict.fromkeys(("ms", "own_ms", "cpu_ms"), 0.0)
    while time.monotonic() - began < WATCHED_S and at < first + 5_000:
        workbench.store.ends(header, *range(at, at + 40))
        tab = ("", "?tab=Runs", "?tab=Errors", "?tab=History")[at // 40 % 4]
        pages[at // 40 % 3].goto(f"{workbench.root}/job/{header.id}{tab}")
        seen = pages[0].request.get(f"{workbench.root}/stalls.json").json()
        worst = {name: max(value, seen[name]) for name, value in worst.items()}
        at += 40
    return worst


@contextmanager
def apart(pid: int) -> Iterator[bool]:
    """That process and its children have a core of their own meanwhile, this one and its children the others.

    False where there is but one core, or a system that pins no process.
    """
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(cores) < 2:
        yield False
        return
    own = {max(cores)}
    try:
        _pin(os.getpid(), cores - own)
        _pin(pid, own)
        yield True
    finally:
        _pin(os.getpid(), cores)


def _pin(pid: int, cores: set[int]) -> None:
    """Have all threads of a process and its children run on these cores; those that they start do as well."""
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            for thread in process.threads():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, cores)


def moved(workbench: Workbench, page: Page) -> Row:
    """The longest frame while a map of 100,000 shapes is moved."""
    header = workbench.store.job(delays, range(10), cache=False)
    random, events = numpy.random.default_rng(1), []
    for run in range(10):
        points = shapely.points(10 * random.random(SHAPES // 10), 5 * random.random(SHAPES // 10))
        shapes = shapely.buffer(points, 0.01, quad_segs=3)
        codec, data = encode(geopandas.GeoDataFrame({"v": random.random(len(shapes))}, geometry=shapes, crs=4326))
        output = Output(codec, sha256(data).hexdigest(), len(data), data)
        events.append(ended(header, run)._replace(output=output))
    workbench.store.log.append(events)
    page.goto(f"{workbench.root}/job/{header.id}?tab=Results")
    page.wait_for_function("() => document.querySelector('#ff-map')?.dataset.drawn", timeout=120_000)
    longest = float(page.evaluate(_MOVE))
    return _row(f"the longest frame while a map of {SHAPES:,} shapes moves", f"{longest:.0f} ms", longest, 50)


def filtered(workbench: Workbench, page: Page) -> Row:
    """5,000 jobs, from the choice of a status to the rows that have it."""
    for number in range(JOBS):
        workbench.store.finished(4, failing=4 if number % 50 == 0 else 0)
    page.goto(f"{workbench.root}/")
    began = time.monotonic()
    page.wait_for_function(
        "async () => (document.body.innerText.match(/([\\d,]+) read/) || [])[1] === undefined"
        f" && document.body.innerText.includes('{JOBS:,}')",
        timeout=300_000,
    )
    page.get_by_label("Status").select_option("Failed")
    page.wait_for_function("() => !document.body.innerText.includes('not read yet')", timeout=300_000)
    reading_s = time.monotonic() - began
    page.get_by_label("Status").select_option("")
    page.wait_for_function(_ROWS.replace(".ff-Failed", ".ff-Completed"), arg=5)
    began = time.monotonic()
    page.get_by_label("Status").select_option("Failed")
    page.wait_for_function(_ROWS, arg=10)
    took = time.monotonic() - began
    return _row(f"{JOBS:,} jobs (read in {reading_s:.0f} s), filtered by status", f"{took:.2f} s", took, 1.0)


def _printed(store: Store) -> JobHeader:
    """A job that has printed a million lines, the word in one of the last."""
    header = store.finished(100)
    for piece in range(LINES // LINES_A_PIECE):
        first = piece * LINES_A_PIECE
        lines = [
            f"line {first + n:07d} downloaded tile z=12 x={n} y=4 and the rest of it" for n in range(LINES_A_PIECE)
        ]
        if first + LINES_A_PIECE >= LINES:
            lines[-2] = "here is the needle"
        event = Event.new(header.id, piece % 100, 0, EventKind.LOG, data={"text": "\n".join([*lines, ""])})
        store.log.append([event])
    return header


def _row(work: str, ours: str, value: float, limit: float) -> Row:
    unit = ours.rpartition(" ")[2]
    return Row(work, ours, "", "", f"< {limit:g} {unit}", value < limit)


if __name__ == "__main__":
    sys.exit(main())
