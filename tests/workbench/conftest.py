"""A Workbench in a process of its own, a browser, and a store with jobs; what the tests see is kept in docs/images."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from fanfold.core.models import JobHeader
from tests.workbench.browser import WIDE, SharedBrowser, at_rest, ended_after, shared
from tests.workbench.samples import FLIGHTS, HEAVY, HOSTILE, Store
from tests.workbench.slow import standing_still

IMAGES = Path(__file__).parents[2] / "docs" / "images"
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(config, items):
    """For the pictures of the docs only those tests are run that take one."""
    if os.environ.get("FANFOLD_PICTURES") == "1":
        mine = [item for item in items if "picture" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in mine])
        items[:] = mine


_PROGRAM = ("-m", "fanfold.cli", "workbench")
#: How long the Workbench may take to say where it is, and to end.
_START_S, _END_S = 120.0, 60.0


class Workbench:
    """`fanfold workbench`, running; `program` is another that is given the folder and the port."""

    def __init__(
        self,
        home: Path,
        folder: Path,
        *,
        port: int | None = None,
        program: Sequence[str] = _PROGRAM,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """`more`: what its environment has beside this process's."""
        self.home, self.folder = home, folder
        self.store = Store(home)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "FANFOLD"))}
        self._environment = {**kept, "FANFOLD_HOME": str(home), "FANFOLD_OWNER": "ada", **(more or {})}
        given = [str(folder), str(port or 0)]
        if program is _PROGRAM:
            given = [str(folder), "--no-open", "--port", given[1]]
        # A file, for nobody reads it meanwhile: a pipe that is full would hold the server up, and with it all pages.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  `close` closes it
        self.process = subprocess.Popen(
            [sys.executable, *program, *given],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        assert self.process.stdout is not None
        with ended_after(_START_S, [self.process]):
            self.address = self.process.stdout.readline().strip()
        if not self.address:
            self.close()
        assert self.address, f"the Workbench did not start within {_START_S:g} s: {self.said}"

    @property
    def root(self) -> str:
        """The address without the token."""
        return self.address.partition("/?")[0]

    @cached_property
    def cookies(self) -> list[Any]:
        """What lets a browser in: it has not to begin with the page of all jobs to be given it."""
        given = httpx.get(self.address).cookies
        return [{"name": name, "value": value, "url": self.root, "httpOnly": True} for name, value in given.items()]

    def said_so_far(self) -> str:
        """What it has written to stderr."""
        # Not by its own place in the file, which is where it writes as well.
        return os.pread(self._stderr.fileno(), 1 << 24, 0).decode(errors="replace")

    def close(self) -> None:
        """End it, as Ctrl-C does, and read what it has said on stderr."""
        self.process.terminate()
        with ended_after(_END_S, [self.process]) as killed, self._stderr:
            self.process.wait()
            self.said = self.said_so_far()
        self.process.stdout.close()  # type: ignore[union-attr]
        assert not killed, f"the Workbench did not end within {_END_S:g} s: {self.said}"


@pytest.fixture(scope="package")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    os.environ["FANFOLD_OWNER"] = "ada"
    running = Workbench(tmp_path_factory.mktemp("workbench-home"), tmp_path_factory.mktemp("udfs"))
    yield running
    running.close()
    del os.environ["FANFOLD_OWNER"]


@pytest.fixture
def store(workbench: Workbench) -> Store:
    return workbench.store


@pytest.fixture(scope="package")
def shared_browser() -> Iterator[SharedBrowser]:
    with shared() as browser:
        yield browser


@pytest.fixture
def chromium(shared_browser: SharedBrowser, workbench: Workbench) -> Iterator[Browser]:
    with shared_browser.in_use() as browser, standing_still(lambda: [workbench.process.pid, *shared_browser.pids()]):
        yield browser


@pytest.fixture
def visit(chromium: Browser, shared_browser: SharedBrowser, workbench: Workbench) -> Iterator[Callable[..., Page]]:
    """Opens a page in a window of its own; at the end of the test nothing may have gone wrong in it."""
    wrong: list[str] = []
    listeners = {
        "pageerror": lambda error: wrong.append(str(error)),
        "console": lambda message: wrong.append(message.text) if _is_wrong(message) else None,
    }

    def opened(path: str = "/", *, size: Any = WIDE, scheme: Any = "light") -> Page:
        page = shared_browser.page(workbench.root, size=size, scheme=scheme, listeners=listeners)
        page.context.add_cookies(workbench.cookies)
        page.goto(workbench.root + path)
        return page

    yield opened
    assert not wrong, wrong


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keeps what a page looks like, for the docs: only with FANFOLD_PICTURES=1 (`make pictures`)."""

    def kept(page: Page, name: str) -> None:
        if os.environ.get("FANFOLD_PICTURES") != "1":
            return
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.mouse.move(0, 0)
        at_rest(page, quiet_ms=300).screenshot(path=IMAGES / f"{name}.png")

    return kept


def _is_wrong(message: Any) -> bool:
    """Whether a page has complained; what a server refuses with its reason is for the page to say, and it does.

    Nor is it wrong that a socket's message has no room for a long text: the editor sends that by a request. A draft
    that the page has sent for the test before may come so late that the page has no cookie any more.
    """
    known = ("status of 409", "exceeds the maximum allowed limit")
    is_late = "/workbench/drafts" in message.location.get("url", "") and "status of 403" in message.text
    return message.type == "error" and not is_late and not any(words in message.text for words in known)


def within(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def bench(workbench: Workbench, visit: Callable[..., Page]) -> Callable[..., Page]:
    """Opens a file in the Workbench; it has its first text again in every test, and nobody has typed into it."""
    shutil.rmtree(workbench.home / "drafts", ignore_errors=True)
    for name, content in {"flights.py": FLIGHTS, "heavy.py": HEAVY, "plain.py": "x = 1\n"}.items():
        (workbench.folder / name).write_text(content)

    def opened(name: str = "flights.py", **options: Any) -> Page:
        page = visit("/workbench", **options)
        files = page.get_by_label("UDF files")
        expect(files.locator("[aria-current=true]")).to_have_count(1)  # what the page opens with: the first of them
        choose_file(page, name)
        expect(page.locator(".cm-content")).to_contain_text("fanfold" if name != "plain.py" else "x = 1")
        return page

    return opened


def choose_file(page: Page, name: str) -> None:
    """Open a file of the folder, and wait for it: what is pressed before belongs to the file that stood there."""
    entry = page.get_by_label("UDF files").get_by_role("button", name=name)
    entry.click()
    expect(entry).to_have_attribute("aria-current", "true")


def rewrite(page: Page, content: str) -> None:
    """Put another text into the editor."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(content)


@pytest.fixture(scope="package")
def small_job(workbench: Workbench) -> JobHeader:
    """40 runs that have ended, every tenth of them badly."""
    header = workbench.store.finished(40, failing=10)
    workbench.store.says(header, 0, f"hello {HOSTILE}\n")
    workbench.store.says(header, 3, "fine\nValueError: 3 is odd\n")
    return header


def in_the_address(page: Page, **words: str) -> None:
    """Wait until the page's address says all of `words`, in any order: some are written later than others."""
    said = (re.escape(urlencode({name: value})) for name, value in words.items())
    expect(page).to_have_url(re.compile("".join(rf"(?=.*[?&]{one}(?:&|#|$))" for one in said)))


def tab(page: Page, name: str) -> None:
    """Choose one of a job's panels."""
    page.get_by_role("tab", name=name).click()
