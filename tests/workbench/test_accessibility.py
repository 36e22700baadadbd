"""Every view, in both lights, without a serious finding of axe-core: also what opens, runs, is empty or is stale."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.workbench.browser import NARROW, at_rest, axe_script
from tests.workbench.conftest import tab
from tests.workbench.samples import delays, unanswering

#: The dark differs from the light in its colours alone.
_CHECKED = {
    "light": "{resultTypes: ['violations']}",
    "dark": "{resultTypes: ['violations'], runOnly: ['color-contrast', 'link-in-text-block']}",
}


def findings(page, part="document"):
    """What axe-core finds in a page, or in a part of it that alone is new, in the light, there and then in the dark."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=axe_script())
    found = []
    for scheme, what in _CHECKED.items():
        page.emulate_media(color_scheme=scheme)
        at_rest(page)  # what fades in has too little contrast yet
        seen = page.evaluate(f"axe.run({part}, {what})")["violations"]
        serious = [one for one in seen if one["impact"] in ("serious", "critical")]
        found += [
            f"{scheme}: {one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for one in serious
            for node in one["nodes"]
        ]
    page.emulate_media(color_scheme="light")
    return found


@pytest.fixture(scope="module")
def job(small_job):
    return small_job


def test_the_jobs_page(visit, job):
    page = visit()
    expect(page.locator(".ag-row .ff-status").first).to_be_visible()
    assert not findings(page)


def test_a_jobs_page_with_each_of_its_tabs(visit, job):
    page = visit(f"/job/{job.id}")
    expect(page.locator("[data-chart=timeline][data-drawn] canvas")).to_be_visible()
    for name in ("Overview", "Runs", "Results", "Logs", "Errors", "Code", "History"):
        tab(page, name)
        if name == "Runs":
            page.locator('.ag-row[row-id="5"]').click()
            expect(page.get_by_label("The chosen run").locator("pre")).to_be_visible()
        if name == "Results":
            expect(page.locator("#ff-result-count")).to_have_text("36 rows")
        assert not findings(page, "document" if name == "Overview" else "'[role=tabpanel]'"), name


def test_a_job_that_runs_and_the_dialog_that_cancels_it(visit, store):
    header = store.job(delays, range(20), cache=False)
    store.starts(header, *range(6))
    store.ends(header, *range(3))
    page = visit(f"/job/{header.id}")
    expect(page.get_by_text("3 running")).to_be_visible()
    expect(page.locator("[data-chart=timeline][data-drawn] canvas")).to_be_visible()
    assert not findings(page)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog", name="Cancel this job?")).to_be_visible()
    assert not findings(page)
    page.get_by_role("button", name="Cancel the job").click()
    store.ends(header, 3, 4, 5)
    expect(page.get_by_role("status").first).to_have_text("Cancelled")
    assert not findings(page)


def test_a_job_that_waits_and_one_whose_store_is_silent(visit, store):
    header = store.job(delays, range(20), cache=False)
    page = visit(f"/job/{header.id}")
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    assert not findings(page)
    with unanswering(store):
        expect(page.get_by_text("No answer; trying again.")).to_be_visible()
        assert not findings(page)


def test_no_such_job(visit):
    page = visit("/job/20260131-141502-river-7f3a")
    expect(page.get_by_role("heading", name="There is no such job.")).to_be_visible()
    assert not findings(page)


def test_the_dialog_before_a_machine_starts(bench):
    page = bench("heavy.py")
    page.get_by_label("x: int").press("Shift+Enter")
    expect(page.get_by_role("dialog", name="Start a machine?")).to_be_visible()
    assert not findings(page)


def test_on_a_phone(visit, job):
    page = visit(size=NARROW)
    for path in ("/", f"/job/{job.id}"):
        page.goto(f"{page.url.rstrip('/')}{path}")
        expect(page.locator(".ag-row .ff-status, [data-chart=timeline][data-drawn] canvas").first).to_be_visible()
        assert not findings(page), path
