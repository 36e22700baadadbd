"""The logs of a job: what runs print, as they print it, searched whole and shown as text."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.workbench.browser import at_rest
from tests.workbench.conftest import tab
from tests.workbench.samples import delays


def test_output_is_text_searched_and_jumped_through(visit, small_job, picture):
    page = visit(f"/job/{small_job.id}")
    tab(page, "Logs")
    log = page.get_by_role("log")
    expect(log).to_contain_text("[0] hello <script>window.hacked = 1</script>")
    expect(log).to_contain_text("red")
    assert "\x1b" not in log.inner_text()
    assert at_rest(page).evaluate("window.hacked") is None
    page.get_by_label("Find").fill("fine")
    expect(log.locator(".ff-hit")).to_have_count(1)
    page.get_by_role("button", name="Next error").click()
    expect(log.locator(".ff-error-line")).to_have_css("font-weight", "700")
    page.get_by_label("Run", exact=True).fill("3")
    expect(log).not_to_contain_text("hello")
    picture(page, "job-logs")


def test_every_line_is_searched_also_where_too_many_are_there_to_be_drawn(visit, store):
    header = store.finished(3)
    store.says(header, 1, "".join(f"step {n}\n" for n in range(500)))
    store.says(header, 1, "ValueError: an early one\n")
    for part in range(10):
        store.says(header, 2, "".join(f"step {500 + 1000 * part + n}\n" for n in range(1000)))
    page = visit(f"/job/{header.id}")
    tab(page, "Logs")
    log, told = page.get_by_role("log"), page.locator("#ff-log-count")
    expect(told).to_have_text("10,501 lines")
    page.get_by_text("[2] step 10499", exact=True).evaluate("e => e.parentElement.scrollIntoView({block: 'end'})")
    expect(log.get_by_text("[2] step 10499", exact=True)).to_be_in_viewport()  # the last of them is in sight
    expect(log.locator("> div")).to_have_count(4000)
    page.get_by_role("button", name="Next error").click()
    expect(log.get_by_text("ValueError: an early one")).to_be_in_viewport()
    expect(told).to_contain_text("line 501")
    page.get_by_label("Find").fill("step 77")
    expect(told).to_have_text("10,501 lines, 111 found · line 78")
    page.get_by_role("button", name="Next found").click()
    expect(told).to_contain_text("line 772")
    expect(log.locator(".ff-here")).to_have_text("[2] step 770")
    expect(log.locator(".ff-here")).to_be_in_viewport()
    log.evaluate("e => { e.scrollTop = e.scrollHeight; }")  # past the end of what is drawn, more of it comes
    expect(log.get_by_text("[2] step 3900", exact=True)).to_have_count(1)


def test_a_search_that_finds_nothing_says_so(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    tab(page, "Logs")
    expect(page.get_by_role("log")).to_contain_text("fine")
    page.get_by_label("Run", exact=True).fill("0")
    page.get_by_role("button", name="Next error").click()
    expect(page.locator("#ff-log-count")).to_have_text("1 line · no error among them")


def test_lines_come_as_they_are_printed(visit, store):
    header = store.job(delays, range(3), cache=False)
    store.starts(header, 0)
    page = visit(f"/job/{header.id}")
    tab(page, "Logs")
    expect(page.get_by_role("log")).to_be_visible()
    store.says(header, 0, "the first line\n")
    expect(page.get_by_role("log")).to_contain_text("[0] the first line")
    store.ends(header, 0, 1, 2)
