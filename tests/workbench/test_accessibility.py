"""Every view, in both lights, without a serious finding of axe-core."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.workbench.browser import axe_script

#: The dark differs from the light in its colours alone.
_CHECKED = {
    "light": "{resultTypes: ['violations']}",
    "dark": "{resultTypes: ['violations'], runOnly: ['color-contrast']}",
}


def findings(page, scheme):
    page.add_script_tag(path=axe_script())
    found = page.evaluate(f"axe.run(document, {_CHECKED[scheme]})")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}" for one in serious for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def job(workbench):
    header = workbench.store.finished(40, failing=10)
    workbench.store.says(header, 3, "ValueError: odd\n")
    return header


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_jobs_page(visit, job, scheme):
    page = visit(scheme=scheme)
    expect(page.locator(".ag-row .ff-status").first).to_be_visible()
    assert not findings(page, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_jobs_page_with_each_of_its_tabs(visit, job, scheme):
    page = visit(f"/job/{job.id}", scheme=scheme)
    expect(page.locator("[data-chart=timeline] canvas")).to_be_visible()
    for name in ("Overview", "Runs", "Logs", "Errors", "Code", "History"):
        page.get_by_role("tab", name=name).click()
        if name == "Runs":
            page.locator('.ag-row[row-id="5"]').click()
            expect(page.get_by_label("The chosen run").locator("pre")).to_be_visible()
        assert not findings(page, scheme), name
