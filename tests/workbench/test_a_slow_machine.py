"""What is done while an answer is on its way: nothing typed or chosen is lost, and no late answer takes its place.

Each order that a slow machine may bring about is forced here, on any.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.workbench.browser import WIDE
from tests.workbench.conftest import Workbench, in_the_address, rewrite, tab, within
from tests.workbench.test_typing_is_not_disturbed import held, hold

FORM = """\
import fanfold


@fanfold.udf
def f(n: int = 3, word: str = "a", limit: int | None = 5):
    return repr((n, word, limit))
"""


@contextmanager
def unanswered(page, pattern, *, method="GET"):
    """The server's answers to requests like this wait until the end of the block; gives those that wait."""
    waiting, is_over = [], []

    def hold_back(route):
        hold = route.request.method == method and not is_over
        waiting.append(route) if hold else route.continue_()

    page.route(pattern, hold_back)
    yield waiting
    is_over.append(True)
    for route in waiting:
        with page.expect_event("requestfinished", lambda one, asked=route.request: one == asked):
            route.continue_()
    page.unroute(pattern, hold_back)


def wait_for(page, waiting):
    """Wait until there is a request that waits: Playwright tells of it when it is asked for something."""
    within(60, lambda: page.evaluate("true") and waiting)


# What is typed.


def test_what_is_typed_into_the_form_is_there_after_a_reload_though_the_server_has_not_answered(bench):
    page = bench()
    rewrite(page, FORM)
    expect(page.get_by_label("word: str")).to_be_visible()
    hold(page)
    page.get_by_label("n: int").fill("17")
    page.get_by_label("limit is None").check()
    page.reload()
    expect(page.get_by_label("n: int")).to_have_value("17")
    expect(page.get_by_label("limit is None")).to_be_checked()
    hold(page)
    page.get_by_label("n: int").fill("")
    page.get_by_label("limit: int").fill("8")
    page.reload()
    expect(page.get_by_label("limit: int")).to_have_value("8")
    expect(page.get_by_label("limit is None")).not_to_be_checked()
    expect(page.get_by_label("n: int")).to_have_value("3")


def test_save_pressed_while_another_file_is_opened_writes_neither_text_into_the_other_file(bench, workbench):
    page = bench()
    rewrite(page, FORM)
    expect(page.get_by_label("word: str")).to_be_visible()
    page.evaluate(
        "() => { const real = ff.editor.setForm; ff.editor.setForm = (...of) => { window.told = of; real(...of); }; }"
    )
    with unanswered(page, "**/workbench/drafts?**") as waiting:
        page.get_by_label("UDF files").get_by_role("button", name="heavy.py").click()
        wait_for(page, waiting)
        page.keyboard.press("Control+s")
        for number in ("4", "5", "6"):  # there and back: what the key has begun is over by then
            page.get_by_label("n: int").fill(number)
            page.wait_for_function("(number) => window.told?.[0].n === number", arg=number)
        assert "def heavy" in (workbench.folder / "heavy.py").read_text()
    expect(page.get_by_label("UDF files").locator("[aria-current=true]")).to_have_text("heavy.py")
    expect(page.locator(".cm-content")).to_contain_text("def heavy")
    assert "def heavy" in (workbench.folder / "heavy.py").read_text()
    assert (workbench.folder / "flights.py").read_text() == FORM


def test_a_key_that_is_pressed_while_the_whole_text_is_sent_is_saved_as_well(bench, workbench):
    page = bench()
    rewrite(page, FORM)
    expect(page.get_by_label("word: str")).to_be_visible()
    page.evaluate("""() => {
      const box = getElement(Number(document.querySelector(".ff-editor").id.slice(1)));
      const type = (text) => box.editor.dispatch({ changes: { from: 0, insert: text } });
      box.emitting = false; type("# not told\\n"); box.emitting = true;  // as where a message was too long
      const real = window.fetch;
      window.fetch = async (to, how) => {
        const answer = await real(to, how);
        if (String(to).startsWith("/workbench/inputs")) { window.fetch = real; type("# late\\n"); }
        return answer;
      };
    }""")
    page.locator(".cm-content").press("Control+s")
    within(30, lambda: (workbench.folder / "flights.py").read_text() == "# late\n# not told\n" + FORM)
    expect(page.get_by_text("unsaved")).to_be_hidden()


# What is chosen.


def test_a_filter_stands_in_the_address_before_the_server_has_heard_of_it(visit, small_job):
    page = visit()
    expect(page.locator(".ag-row .ff-status").first).to_be_visible()
    hold(page)
    page.get_by_label("Status").select_option("Failed")
    page.get_by_label("Started").select_option("the last day")
    page.get_by_label("Search").fill("delays")
    page.reload()
    expect(page.get_by_label("Status")).to_have_value("Failed")
    expect(page.get_by_label("Search")).to_have_value("delays")
    in_the_address(page, status="Failed", q="delays", age="86400")
    page.goto(f"{page.url.partition('?')[0]}job/{small_job.id}?tab=Runs")
    expect(page.locator('.ag-row[row-id="5"]')).to_be_visible()
    hold(page)
    page.locator('.ag-row[row-id="3"]').click()
    page.get_by_label("Status").select_option("failed")
    page.reload()
    expect(page.get_by_label("Status")).to_have_value("failed")
    expect(page.get_by_label("The chosen run")).to_contain_text("run 3 ")


def test_back_that_is_pressed_before_a_tab_is_shown_goes_back_all_the_same(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    expect(page.get_by_text("4 failed")).to_be_visible()
    with held(page):
        tab(page, "Runs")
        tab(page, "Errors")
        page.go_back()
        expect(page).to_have_url(re.compile("tab=Runs"))
        page.go_back()
        expect(page).to_have_url(re.compile(f"{small_job.id}$"))
        page.go_forward()
    expect(page.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
    expect(page.locator('.ag-row[row-id="5"]')).to_be_visible()
    expect(page).to_have_url(re.compile("tab=Runs"))


def test_a_search_of_the_log_whose_answer_comes_late_takes_nothing_from_a_newer_one(visit, small_job):
    page = visit(f"/job/{small_job.id}?tab=Logs")
    log, told = page.get_by_role("log"), page.locator("#ff-log-count")
    expect(log).to_contain_text("fine")
    with unanswered(page, re.compile(r"/logs/next\.json.*words=fine")) as waiting:
        page.get_by_label("Find").fill("fine")
        wait_for(page, waiting)
        page.get_by_label("Find").fill("odd")
        expect(told).to_contain_text("1 found")
        found = told.text_content()
    assert page.evaluate("document.getElementById('ff-log-count').textContent") == found
    expect(log.locator(".ff-here")).to_contain_text("3 is odd")
    with unanswered(page, re.compile(r"/logs\.json\?start=0&stop=0&run=3")) as waiting:
        page.get_by_label("Find").fill("")
        page.get_by_label("Run", exact=True).fill("3")
        wait_for(page, waiting)
        page.get_by_label("Run", exact=True).fill("0")
        expect(told).to_have_text("1 line")
    expect(log).to_contain_text("hello")
    assert page.evaluate("ff.logs.state.count") == 1


def test_an_end_that_comes_while_the_browser_asks_about_notices_is_told_as_well(visit, store):
    from tests.workbench.samples import delays

    header = store.job(delays, range(2), cache=False)
    store.starts(header, 0, 1)
    page = visit(f"/job/{header.id}")
    expect(page).to_have_title(re.compile("^0% delays"))
    page.evaluate("""() => { window.told = [];
      window.Notification = class { constructor(title) { window.told.push(title); } static permission = "granted";
        static requestPermission = () => new Promise((done) => { window.allow = () => done("granted"); }); }; }""")
    page.get_by_role("button", name="Notify me").click()
    page.wait_for_function("() => Boolean(window.allow)")
    store.ends(header, 0, 1)
    expect(page).to_have_title(re.compile("^delays · Completed"))
    page.evaluate("window.allow()")
    page.wait_for_function("window.told.length")
    assert page.evaluate("window.told") == ["delays · Completed"]


# What the server itself does late: as long as there is a file of that name in its home, it waits.

GATED = """
import sys, time
from pathlib import Path
from fanfold.workbench import server
from fanfold.workbench.editor.udf_source import UdfFile
from fanfold.workbench.job import runs
from fanfold.workbench.jobs import totals

gates = Path(sys.argv[1]) / "gates"

def pass_through(name):
    gate = gates / name
    if gate.exists():
        gate.with_suffix(".reached").touch()
    while gate.exists():
        time.sleep(0.01)

def gated(of, name, gate_of):
    real = getattr(of, name)

    def late(*given, **named):
        pass_through(gate_of(*given))
        return real(*given, **named)

    setattr(of, name, late)

gated(UdfFile, "save", lambda file, text: "save")
gated(UdfFile, "changed_on_disk", lambda file: "disk")
gated(runs, "read_run", lambda followed, index: f"run-{index}")
gated(totals, "totals", lambda rows, by, since: f"by-{by}")
server.run(port=0, show=False, folder=Path(sys.argv[1]), engine=None, announce=lambda it: print(it, flush=True))
"""


@pytest.fixture(scope="module")
def gated_workbench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gated")
    (folder / "gates").mkdir()
    running = Workbench(folder / "home", folder, program=("-c", GATED))
    yield running
    running.close()


@pytest.fixture
def gated(gated_workbench, chromium):
    """Opens a page of a Workbench that waits at gates; none of them is closed after the test."""
    page = chromium.new_page(viewport=WIDE)
    page.goto(gated_workbench.address)

    def opened(path):
        page.goto(gated_workbench.root + path)
        return page

    yield opened
    for one in (gated_workbench.folder / "gates").iterdir():
        one.unlink()
    page.close()


@pytest.fixture
def closed(gated_workbench):
    """Closes a gate for as long as a block lasts; gives whether somebody waits there."""

    @contextmanager
    def close(name):
        gate = gated_workbench.folder / "gates" / name
        gate.touch()
        yield gate.with_suffix(".reached").exists
        gate.unlink(missing_ok=True)

    return close


def test_typing_on_while_a_file_is_saved_is_no_change_on_disk(gated, gated_workbench, closed):
    path = gated_workbench.folder / "typed.py"
    path.write_text(FORM)
    page = gated("/workbench?file=typed.py")
    expect(page.get_by_label("word: str")).to_be_visible()
    page.get_by_text("import fanfold").click()
    page.keyboard.press("Home")
    page.keyboard.type("# one\n")
    with closed("disk") as is_reached:
        page.keyboard.press("Control+s")
        within(60, is_reached)
        page.keyboard.type("# two\n")
        page.wait_for_function("ff.editor.text().startsWith('# one\\n# two\\n')")
    within(60, lambda: path.read_text() == "# one\n" + FORM)
    expect(page.get_by_text("unsaved")).to_be_visible()
    assert page.get_by_text("was changed on disk").count() == 0
    page.keyboard.press("Control+s")
    within(60, lambda: path.read_text() == "# one\n# two\n" + FORM)


def test_of_two_runs_that_are_chosen_the_later_is_shown_whichever_is_read_first(gated, gated_workbench, closed):
    header = gated_workbench.store.finished(8)
    page = gated(f"/job/{header.id}?tab=Runs")
    chosen = page.get_by_label("The chosen run")
    with closed("run-5") as is_reached:
        page.locator('.ag-row[row-id="5"]').click()
        within(60, is_reached)
        page.locator('.ag-row[row-id="6"]').click()
        expect(chosen).to_contain_text("run 6 ")
        page.evaluate("""() => { window.seen = [];
          const look = () => window.seen.push(document.querySelector('[aria-label="The chosen run"]').textContent);
          new MutationObserver(look).observe(document.body, { subtree: true, childList: true }); }""")
    store_moves_on(gated_workbench, page)
    expect(chosen).to_contain_text("run 6 ")
    assert not any("run 5 " in words for words in page.evaluate("window.seen"))


def store_moves_on(workbench, page):
    """There and back, behind whatever the server has just been let go on with."""
    page.get_by_label("Status").select_option("succeeded")
    page.get_by_label("Status").select_option("")
    expect(page.locator('.ag-row[row-id="7"]')).to_be_visible()
