"""Through a tunnel, at the other end of a slow line: little travels, and the numbers do not wait for the charts."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect


@pytest.fixture
def got(workbench, small_job):
    cookies = {one["name"]: one["value"] for one in workbench.cookies}

    def get(path, **headers):
        return httpx.get(workbench.root + path, cookies=cookies, headers=headers, timeout=60)

    return get


def test_pages_their_scripts_and_what_they_fetch_travel_compressed_and_are_the_same(got, small_job):
    page = got(f"/job/{small_job.id}", **{"accept-encoding": "identity"}).text
    script = re.search(r'"(/_nicegui/[^"]*quasar\.umd[^"]*\.js)"', page)[1]
    rows = f"/job/{small_job.id}/runs.json"
    for path in (script, rows, f"/job/{small_job.id}"):
        plain, small = (got(path, **{"accept-encoding": how}) for how in ("identity", "gzip"))
        assert "content-encoding" not in plain.headers
        assert small.headers["content-encoding"] == "gzip"
        assert int(small.headers["content-length"]) < 0.45 * int(plain.headers["content-length"])
        assert small.headers["x-content-type-options"] == "nosniff"  # it is guarded like all others
        assert len(small.content) == pytest.approx(len(plain.content), rel=0.01)  # each page has a number of its own
    assert got(script, **{"accept-encoding": "gzip"}).content == got(script, **{"accept-encoding": "identity"}).content


def test_nobody_gets_a_script_without_being_let_in(workbench, got, small_job):
    page = got(f"/job/{small_job.id}").text
    script = re.search(r'"(/_nicegui/[^"]*quasar\.umd[^"]*\.js)"', page)[1]
    assert got(script).status_code == 200  # which is held from now on
    assert httpx.get(workbench.root + script, timeout=60).status_code == 403


def test_a_file_to_be_saved_and_a_part_of_one_travel_as_they_are(got, small_job):
    for name in ("results.jsonl", "report.html", "logs.txt"):
        answer = got(f"/job/{small_job.id}/{name}", **{"accept-encoding": "gzip"})
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers


def test_the_numbers_are_there_while_what_draws_the_charts_is_still_on_its_way(visit, workbench, small_job):
    page, held, free = visit(), [], []

    def hold(route):
        route.continue_() if free else held.append(route)

    page.route("**/esm/**", hold)
    with page.expect_request("**/esm/**"):
        page.goto(f"{workbench.root}/job/{small_job.id}")
    expect(page.get_by_role("heading", name="delays", exact=True)).to_be_visible()
    expect(page.get_by_text("4 failed")).to_be_visible()
    expect(page.get_by_role("region", name="Runs over time")).to_be_visible()  # the place for it
    assert page.locator("[data-chart] canvas").count() == 0
    free.append(True)
    for route in held:
        route.continue_()
    expect(page.locator("[data-chart=timeline][data-drawn]")).to_be_visible()
    expect(page.locator("[data-chart=timeline] canvas").first).to_be_visible()
    page.unroute("**/esm/**")
