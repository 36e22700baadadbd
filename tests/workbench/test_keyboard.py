"""All that the pages offer is reached without a mouse."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.workbench.conftest import tab


def test_the_arrow_keys_move_among_the_tabs_of_a_job(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    page.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Runs")).to_be_focused()
    expect(page.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
    expect(page.locator('.ag-row[row-id="5"]')).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # from the first on to the last
    expect(page.get_by_role("tab", name="History")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab").first).not_to_be_focused()  # tabs are one stop, not six


def test_enter_chooses_a_run(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    tab(page, "Runs")
    page.locator('.ag-row[row-id="5"] [col-id="status"]').focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("The chosen run").locator("pre")).to_have_text("25")


def test_tab_leaves_a_table_for_what_stands_after_it_and_before(visit, small_job):
    page = visit(f"/job/{small_job.id}?tab=Runs&chosen=3")
    expect(page.get_by_role("link", name="Open this run's page")).to_be_visible()
    for cell in ('.ag-row[row-id="5"] [col-id="status"]', ".ag-header-cell"):
        page.locator(cell).first.focus()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Open this run's page")).to_be_focused()
        page.locator(cell).first.focus()
        page.keyboard.press("Shift+Tab")
        expect(page.get_by_label("Status")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".ag-header-cell").first).to_be_focused()
    page.goto(page.url.partition("/job/")[0] + "/")  # nothing stands after it there: it goes round
    page.locator(".ag-row [col-id=status]").first.focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Fanfold")).to_be_focused()


def test_a_job_is_cancelled_by_keyboard_alone(visit, store):
    from tests.workbench.samples import delays

    header = store.job(delays, range(3), cache=False)
    page = visit(f"/job/{header.id}")
    page.get_by_role("button", name="Cancel", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Cancel this job?")).to_be_visible()
    page.get_by_role("button", name="Cancel the job").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_have_text("Cancelled")


def test_the_editor_is_left_by_the_keys_that_it_names(bench):
    page = bench()
    code = page.get_by_role("textbox", name="Code")
    expect(page.get_by_text("Esc, then Tab leaves the editor")).to_be_hidden()
    code.focus()
    expect(page.get_by_text("Esc, then Tab leaves the editor")).to_be_visible()
    page.keyboard.press("Control+Home")
    page.keyboard.press("Tab")
    expect(code).to_be_focused()
    expect(page.get_by_text("unsaved")).to_be_visible()  # Tab indents the line
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(code).not_to_be_focused()
    expect(page.get_by_label("day: str")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(code).to_be_focused()
