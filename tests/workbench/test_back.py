"""Back goes from tab to tab of a job, and what was chosen in them stays."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.workbench.conftest import tab


def test_back_and_forward_go_from_tab_to_tab_and_then_leave_the_job(visit, small_job):
    page = visit("/")
    page.goto(page.url + f"job/{small_job.id}")

    def shown(name, address):
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tabpanel", name=name)).to_be_visible()
        expect(page).to_have_url(re.compile(address))

    tab(page, "Runs")
    page.locator('.ag-row[row-id="5"]').click()
    expect(page).to_have_url(re.compile("chosen=5"))
    tab(page, "Errors")
    tab(page, "Errors")  # which is no step
    shown("Errors", "tab=Errors")
    page.go_back()
    shown("Runs", "tab=Runs")
    page.get_by_label("Status").select_option("failed")
    expect(page).to_have_url(re.compile("status=failed"))
    page.go_back()
    shown("Overview", "status=failed")  # as the table of runs is
    page.go_forward()
    page.go_forward()
    shown("Errors", "status=failed")
    for _ in range(3):
        page.go_back()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
