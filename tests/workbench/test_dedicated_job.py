"""A job on machines of its own: when they came up, and what all runs on them used together."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.workbench.browser import NARROW, fits
from tests.workbench.test_accessibility import findings


@pytest.fixture(scope="module")
def job(workbench):
    return workbench.store.dedicated()


#: Whether the highest CPU that the chart shows lies between two numbers.
_HIGHEST_CPU = """([low, high]) => {
  const chart = getElement(Number(document.querySelector("[data-chart=load]").id.slice(1))).chart;
  const highest = Math.max(...chart.getOption().series[0].data.map((point) => point[1]));
  return low < highest && highest < high;
}"""


def drawn(page, name):
    """What the page has given to a chart."""
    chart = page.locator(f"[data-chart={name}][data-drawn]")
    expect(chart.locator("canvas")).to_be_visible()
    return chart.evaluate("e => getElement(Number(e.id.slice(1))).chart.getOption()")


def test_a_dedicated_jobs_charts_are_of_its_machines(visit, job, picture):
    page = visit(f"/job/{job.id}")
    [band] = drawn(page, "timeline")["series"][0]["markArea"]["data"]
    assert band[0]["name"] == "machines start"
    assert band[1]["xAxis"] == pytest.approx(33.0)
    cpu, memory = drawn(page, "load")["series"]
    assert max(value for _, value in cpu["data"]) > 300  # four runs of one core each, not a zigzag among single ones
    assert max(value for _, value in memory["data"]) > 2000
    expect(page.get_by_text("all runs together, means of 2 s; 100% is one core")).to_be_visible()
    names = [one["name"] for one in drawn(page, "machines")["series"]]
    assert names == ["disk free, GiB", "received, MiB/s", "sent, MiB/s"]
    [histogram] = drawn(page, "histogram")["series"]  # without the limits of the realtime path
    assert not histogram.get("markLine")
    assert not histogram.get("markArea")
    expect(page.get_by_text(f"MiB of {job.memory_mib:,}")).to_be_visible()
    picture(page, "job-dedicated")
    page.locator("[data-chart=load]").scroll_into_view_if_needed()
    page.mouse.wheel(0, 1200)
    picture(page, "job-load")
    page.get_by_label("Load of").select_option("machine 2 · batch-1.1")
    expect(page.get_by_text("all runs on machine 2, means of 2 s; 100% is one core")).to_be_visible()
    page.wait_for_function(_HIGHEST_CPU, arg=[150, 250])  # two of the four


def test_a_realtime_job_has_its_limits_and_no_chart_of_a_machine(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    [histogram] = drawn(page, "histogram")["series"]
    assert histogram["markLine"]["data"]
    assert histogram["markArea"]["data"]
    expect(page.get_by_text("MiB of 4,096")).to_be_visible()
    expect(page.locator("[data-chart=machines]")).to_be_hidden()


def test_it_has_no_serious_finding_of_axe_and_fits_a_phone(visit, job):
    page = visit(f"/job/{job.id}", size=NARROW)
    drawn(page, "machines")
    assert fits(page, NARROW)
    assert not findings(page)
