"""Totals by day, owner and UDF; two jobs beside each other."""

from __future__ import annotations

import time

from playwright.sync_api import expect

import fanfold
from fanfold.workbench.job.comparison import facts_of
from fanfold.workbench.jobs.totals import Total, totals
from tests.workbench.test_accessibility import findings

DAY_S = 86_400.0


@fanfold.udf
def root(x: float):
    if x < 0:
        raise ValueError("negative")
    return x**0.5


def row(name, owner, age_days, **facts):
    return {"name": name, "owner": owner, "created": time.time() - age_days * DAY_S, "runs": 10, **facts}


def test_jobs_are_added_up_by_what_is_asked_and_those_not_read_count_what_is_known():
    rows = [
        row("tiles", "ada", 0, failed=2, busy=30.0, cost=0.5),
        row("tiles", "bob", 1, failed=0, busy=10.0, cost=0.25),
        row("roads", "ada", 40, failed=1, busy=99.0, cost=1.0),
        row("roads", "ada", 1),
    ]
    month = time.time() - 30 * DAY_S
    assert totals(rows, "owner", month) == [Total("ada", 2, 20, 2, 30.0, 0.5), Total("bob", 1, 10, 0, 10.0, 0.25)]
    assert [one.name for one in totals(rows, "name", 0.0)] == ["roads", "tiles"]
    days = totals(rows, "day", 0.0)
    assert len(days) == 3
    assert days[0].name > days[1].name > days[2].name


def test_the_page_of_totals_is_chosen_by_its_address(visit, small_job, store):
    store.finished(2, udf=root)
    page = visit("/totals?by=name&age=0")
    table = page.get_by_label("Totals", exact=True)
    expect(table.get_by_role("row", name="delays")).to_be_visible()
    expect(page.get_by_role("img", name="Compute time and runs by UDF").locator("canvas")).to_be_visible()
    page.get_by_role("combobox").first.select_option("owner")
    expect(table.get_by_role("row", name="ada")).to_be_visible()
    page.wait_for_function("() => location.search.includes('by=owner')")
    assert not findings(page)


@fanfold.udf(name="root")
def better_root(x: float):
    if x == 9:
        raise ValueError("nine")
    return abs(x) ** 0.5


def test_of_two_jobs_it_is_told_which_inputs_fail_no_more_and_which_do_now():
    before = fanfold.submit(root, [-1, 4, 9, 16], collect=False).wait(progress=False)
    after = fanfold.submit(better_root, [4, 9, -1, 25], collect=False).wait(progress=False)
    found = before.diff(after)
    assert (found.inputs["in_both"], found.repaired, found.broken) == (3, [2], [1])
    assert "succeeded now: run 2" in str(found)
    assert '-        raise ValueError("negative")' in found.code
    facts = {fact.label: fact for fact in facts_of(before, after, found)}
    assert (facts["status"].before, facts["runs"].before) == ("Failed", "3 succeeded, 1 failed")
    assert facts["per run"].before.startswith("median ")


def test_two_jobs_stand_beside_each_other(visit, store):
    before, after = store.finished(20, failing=5), store.finished(1_000)
    page = visit(f"/job/{after.id}")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_label("The job after")).to_have_value(after.id)
    page.get_by_label("The job before").fill(before.id)
    page.get_by_role("button", name="Compare").click()
    same = page.get_by_label("The same inputs")
    expect(same).to_contain_text("4 that failed before succeeded; 0 that succeeded before failed.")
    expect(same.get_by_role("link", name="run 8")).to_have_attribute("href", f"/job/{after.id}/run/8")
    facts = page.locator("tr", has=page.get_by_role("rowheader", name="time"))
    expect(facts).to_contain_text("4.3 times (36.0 s more)")
    expect(page.locator("tr", has=page.get_by_role("rowheader", name="per run"))).to_contain_text("the same")
    assert not findings(page)
