"""Two browsers at one job and at one file at once, and a page whose server goes, or does not know it any more."""

from __future__ import annotations

import re

from playwright.sync_api import expect

import fanfold
from fanfold.core.models import EventKind
from tests.workbench.browser import WIDE
from tests.workbench.conftest import Workbench, rewrite
from tests.workbench.test_nothing_typed_is_lost import MINE
from tests.workbench.test_typing_is_not_disturbed import held


@fanfold.udf
def waiting(path: str):
    import time
    from pathlib import Path

    deadline = time.monotonic() + 600
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return "it went on"


def test_two_browsers_steer_one_job_and_both_see_it(visit, store, workbench, tmp_path):
    """Both press Retry at once: each failed run is run once more, and not twice."""
    header = store.job(waiting, [str(tmp_path / "go")], cache=False)
    store.fails(header, 0)
    pages = [visit(f"/job/{header.id}"), visit(f"/job/{header.id}")]
    expect(pages[1].get_by_role("button", name="Retry failed")).to_be_visible()
    with held(pages[1]):  # it has not heard that the other's was pressed
        for page in pages:
            page.get_by_role("button", name="Retry failed").click(no_wait_after=True)
    for page in pages:
        expect(page.get_by_role("status").first).to_have_text("Running")
    (tmp_path / "go").touch()
    for page in pages:
        expect(page.get_by_role("status").first).to_have_text("Completed")
    ends = [one for one in store.log.read_since(header.id, None)[0] if one.kind is EventKind.FINISHED]
    assert [one.attempt for one in ends] == [0, 1]
    pages[0].goto(f"{workbench.root}/job/{header.id}/run/0")
    expect(pages[0].get_by_label("What it gave")).to_contain_text("it went on")


def test_a_file_that_one_browser_saves_while_another_types_into_it_is_asked_about_there(bench, visit, workbench):
    one = bench()
    other = visit("/workbench?file=flights.py")
    expect(other.locator(".cm-content")).to_contain_text("fanfold")
    rewrite(one, MINE.replace("mine", "of one"))
    rewrite(other, MINE.replace("mine", "of the other"))
    for page in (one, other):
        expect(page.get_by_text("unsaved")).to_be_visible()
    one.get_by_role("button", name="Save (Ctrl+S)").click()
    expect(one.get_by_text("unsaved")).to_be_hidden()
    expect(other.get_by_text("has been changed elsewhere, and here as well.")).to_be_visible()
    expect(other.locator(".cm-content")).to_contain_text("# of the other")  # nothing typed is lost
    other.get_by_role("button", name="Save (Ctrl+S)").click()
    assert "# of one" in (workbench.folder / "flights.py").read_text()  # and nothing saved


def test_a_page_whose_server_is_gone_says_what_to_do_and_comes_back_when_it_is_let_in(chromium, tmp_path):
    home = tmp_path / "home"
    first = Workbench(home, tmp_path)
    page = chromium.new_page(viewport=WIDE)
    header = first.store.finished(2)
    page.goto(first.address)
    page.goto(f"{first.root}/job/{header.id}")
    expect(page.get_by_role("status").first).to_have_text("Completed")
    page.evaluate("window.before = true")
    first.process.kill()
    first.close()
    expect(page.locator("#popup")).to_contain_text("start it again with `fanfold workbench`")
    (home / "workbench-cookie-secret").unlink()  # as where somebody has cleared the home: its cookies are of no use
    second = Workbench(home, tmp_path, port=int(first.root.rpartition(":")[2]))
    try:
        expect(page.locator("#popup")).to_contain_text("open the address that `fanfold workbench` printed")
        page.context.add_cookies(second.cookies)
        page.wait_for_function("!window.before && window.did_handshake")  # it has loaded itself anew
        expect(page.get_by_role("status").first).to_have_text("Completed")
        page.context.clear_cookies()
        page.get_by_role("link", name="Download CSV").click()
        expect(page.locator(".q-notification")).to_contain_text("This browser is not let in any more")
    finally:
        page.close()
        second.close()


def test_a_page_whose_server_goes_before_it_was_ever_connected_says_what_to_do_and_comes_back(chromium, workbench):
    page = chromium.new_page(viewport=WIDE)
    page.context.add_cookies(workbench.cookies)
    page.add_init_script("""(() => { const real = window.WebSocket, nowhere = "ws://127.0.0.1:1/";
      window.WebSocket = function (to, ...more) { return new real(window.isThere ? to : nowhere, ...more); }; })()""")
    gone = re.compile(r"favicon\.ico|/socket\.io/")
    page.route(gone, lambda route: route.abort())
    try:
        page.goto(f"{workbench.root}/totals")
        popup = page.locator("#popup")
        expect(popup).to_contain_text("start it again with `fanfold workbench`")
        expect(popup).to_be_visible()
        page.evaluate("window.isThere = true")
        page.unroute(gone)
        page.wait_for_function("window.did_handshake")
        expect(popup).to_be_hidden()
    finally:
        page.context.close()
