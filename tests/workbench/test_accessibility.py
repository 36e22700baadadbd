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
    "dark": "{resultTypes: ['violations'], runOnly: ['color-contrast']}",
}


def findings(page, scheme):
    at_rest(page)  # what fades in has too little contrast yet
    page.add_script_tag(path=axe_script())
    found = page.evaluate(f"axe.run(document, {_CHECKED[scheme]})")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}" for one in serious for node in one["nodes"]
    ]


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(scope="module")
def job(small_job):
    return small_job


def test_the_jobs_page(visit, job, scheme):
    page = visit(scheme=scheme)
    expect(page.locator(".ag-row .ff-status").first).to_be_visible()
    assert not findings(page, scheme)


def test_a_jobs_page_with_each_of_its_tabs(visit, job, scheme):
    page = visit(f"/job/{job.id}", scheme=scheme)
    expect(page.locator("[data-chart=timeline] canvas")).to_be_visible()
    for name in ("Overview", "Runs", "Results", "Logs", "Errors", "Code", "History"):
        tab(page, name)
        if name == "Runs":
            page.locator('.ag-row[row-id="5"]').click()
            expect(page.get_by_label("The chosen run").locator("pre")).to_be_visible()
        if name == "Results":
            expect(page.locator("#ff-result-count")).to_have_text("36 rows")
        assert not findings(page, scheme), name


def test_a_job_that_runs_and_the_dialog_that_cancels_it(visit, store, scheme):
    header = store.job(delays, range(20), cache=False)
    store.starts(header, *range(6))
    store.ends(header, *range(3))
    page = visit(f"/job/{header.id}", scheme=scheme)
    expect(page.get_by_text("3 running")).to_be_visible()
    expect(page.locator("[data-chart=timeline] canvas")).to_be_visible()
    assert not findings(page, scheme)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog", name="Cancel this job?")).to_be_visible()
    assert not findings(page, scheme)
    page.get_by_role("button", name="Cancel the job").click()
    store.ends(header, 3, 4, 5)
    expect(page.get_by_role("status").first).to_have_text("Cancelled")
    assert not findings(page, scheme)


def test_a_job_that_waits_and_one_whose_store_is_silent(visit, store, scheme):
    header = store.job(delays, range(20), cache=False)
    page = visit(f"/job/{header.id}", scheme=scheme)
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    assert not findings(page, scheme)
    with unanswering(store):
        expect(page.get_by_text("No answer; trying again.")).to_be_visible()
        assert not findings(page, scheme)


def test_no_such_job(visit, scheme):
    page = visit("/job/20260131-141502-river-7f3a", scheme=scheme)
    expect(page.get_by_role("heading", name="There is no such job.")).to_be_visible()
    assert not findings(page, scheme)


def test_the_dialog_before_a_machine_starts(bench, scheme):
    page = bench("heavy.py", scheme=scheme)
    page.get_by_label("x: int").press("Shift+Enter")
    expect(page.get_by_role("dialog", name="Start a machine?")).to_be_visible()
    assert not findings(page, scheme)


@pytest.mark.parametrize("path", ["/", "/job/"])
def test_on_a_phone(visit, job, scheme, path):
    page = visit(path + job.id if path != "/" else path, scheme=scheme, size=NARROW)
    expect(page.locator(".ag-row .ff-status, [data-chart=timeline] canvas").first).to_be_visible()
    assert not findings(page, scheme)
