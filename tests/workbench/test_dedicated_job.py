"""A job on machines of its own: when they came up, and what all runs on them used together."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.workbench.browser import NARROW, fits
from tests.workbench.test_accessibility import findings


@pytest.fixture(scope="module")
def job(workbench):
    return workbench.store.dedicated()


def drawn(page, name):
    """What the page has given to a chart."""
    chart = page.locator(f"[data-chart={name}]")
    expect(chart.locator("canvas")).to_be_visible()
    return chart.evaluate("e => getElement(Number(e.id.slice(1))).chart.getOption()")


def test_the_start_of_the_machine_stands_in_the_timeline(visit, job):
    [band] = drawn(visit(f"/job/{job.id}"), "timeline")["series"][0]["markArea"]["data"]
    assert band[0]["name"] == "machines start"
    assert band[1]["xAxis"] == pytest.approx(33.0)


def test_cpu_and_memory_are_those_of_all_runs_together(visit, job, picture):
    page = visit(f"/job/{job.id}")
    cpu, memory = drawn(page, "load")["series"]
    assert max(value for _, value in cpu["data"]) > 300  # four runs of one core each, not a zigzag among single ones
    assert max(value for _, value in memory["data"]) > 2000
    expect(page.get_by_text("all runs together, means of 2 s; 100% is one core")).to_be_visible()
    picture(page, "job-dedicated")
    page.locator("[data-chart=load]").scroll_into_view_if_needed()
    page.mouse.wheel(0, 1200)
    picture(page, "job-load")


def test_the_highest_memory_stands_against_what_a_run_may_take(visit, job, small_job):
    for header, limit in ((job, f"MiB of {job.memory_mib:,}"), (small_job, "MiB of 4,096")):
        expect(visit(f"/job/{header.id}").get_by_text(limit)).to_be_visible()


def test_disk_and_network_have_a_chart(visit, job):
    names = [one["name"] for one in drawn(visit(f"/job/{job.id}"), "machines")["series"]]
    assert names == ["disk free, GiB", "received, MiB/s", "sent, MiB/s"]


def test_a_realtime_job_has_no_chart_of_a_machine(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    drawn(page, "load")
    expect(page.locator("[data-chart=machines]")).to_be_hidden()


def test_the_limits_of_the_realtime_path_are_not_drawn_in(visit, job, small_job):
    [dedicated] = drawn(visit(f"/job/{job.id}"), "histogram")["series"]
    [realtime] = drawn(visit(f"/job/{small_job.id}"), "histogram")["series"]
    assert realtime["markLine"]["data"]
    assert realtime["markArea"]["data"]
    assert not dedicated.get("markLine")
    assert not dedicated.get("markArea")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_no_serious_finding_of_axe_and_fits_a_phone(visit, job, scheme):
    page = visit(f"/job/{job.id}", size=NARROW, scheme=scheme)
    drawn(page, "machines")
    assert not findings(page, scheme)
    assert fits(page, NARROW)
