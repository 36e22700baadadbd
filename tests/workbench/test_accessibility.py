"""Every view, in both lights, without a serious finding of axe-core: also what opens, runs, is empty or is stale."""

from __future__ import annotations

import re
from importlib.resources import files

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


def test_every_colour_stands_out_from_what_it_is_drawn_on():
    """Also what no tool sees: borders, and the charts and maps on a canvas. Text by 4.5 to 1, shapes by 3."""
    style = files("fanfold.workbench").joinpath("static", "page.css").read_text("utf-8")
    for scheme in (":root {", "body.body--dark {"):
        written = style.partition(scheme)[2].partition("}")[0]
        colours = dict(re.findall(r"--ff-([a-z-]+): (#[0-9a-f]{6})", written))
        text = "text muted accent good cached bad running cancelled warn".split()
        least = {("card", one): 4.5 for one in text} | {("accent", "accent-text"): 4.5, ("warn-page", "text"): 4.5}
        least |= {("code", one): 4.5 for one in "text muted accent good bad running warn".split()}
        least |= {(below, "queued"): 3.0 for below in ("card", "page")}
        seen = {pair: contrast(*(colours[one] for one in pair)) for pair in least}
        assert not {pair: value for pair, value in seen.items() if value < least[pair]}, scheme


def contrast(*colours):
    """How much two colours differ in brightness, from 1 to 21, as WCAG counts it."""
    low, high = sorted(map(brightness, colours))
    return (high + 0.05) / (low + 0.05)


def brightness(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


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
