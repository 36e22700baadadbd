"""The Jobs page: every job of mine and of the team, live, found and sorted, thousands without slowing down."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

import fanfold
from fanfold.core.models import new_job_id
from tests.workbench.browser import NARROW, WIDE, at_rest, fits
from tests.workbench.conftest import Workbench, in_the_address
from tests.workbench.samples import HOSTILE, delays


@fanfold.udf
def forecast(x: int):
    return x


def row(page, job_id):
    return page.locator(f'.ag-row[row-id="{job_id}"]')


@pytest.fixture(scope="module")
def jobs(workbench):
    store = workbench.store
    return {
        "good": store.finished(40, udf=fanfold.udf(delays, name="ranked")),
        "bad": store.finished(40, failing=10, udf=fanfold.udf(delays, name="ranked")),
        "other": store.finished(3, udf=forecast),
    }


def test_a_job_is_shown_with_status_progress_time_and_failures(visit, jobs, picture):
    page = visit()
    bad = row(page, jobs["bad"].id)
    expect(bad.locator(".ff-status")).to_have_text("Failed")
    expect(bad.locator(".ff-amount")).to_have_text("40/40")
    expect(bad.locator('[col-id="failed"]')).to_have_text("4")
    expect(bad.locator('[col-id="machine"]')).to_have_text("local · realtime")
    expect(bad.locator('[col-id="took"]')).to_have_text("11.0 s")
    expect(row(page, jobs["good"].id).locator(".ff-status")).to_have_text("Completed")
    picture(page, "jobs")
    bad.get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/job/{jobs['bad'].id}")


def test_a_running_job_moves_by_itself(visit, store):
    page = visit()
    header = store.job(delays, range(10), cache=False)
    expect(row(page, header.id).locator(".ff-status")).to_have_text("Queued")
    store.starts(header, 0, 1)
    store.ends(header, 0)
    expect(row(page, header.id).locator(".ff-status")).to_have_text("Running")
    expect(row(page, header.id).locator(".ff-amount")).to_have_text("1/10")
    store.ends(header, *range(1, 10))
    expect(row(page, header.id).locator(".ff-status")).to_have_text("Completed")


def test_light_or_dark_is_chosen_and_remembered(visit):
    page = visit(scheme="light")
    body = page.locator("body")
    expect(body).not_to_have_class(re.compile("body--dark"))
    page.get_by_role("button", name="Light / dark").click()
    expect(body).to_have_class(re.compile("body--dark"))
    page.reload()
    expect(body).to_have_class(re.compile("body--dark"))
    page.get_by_role("button", name="Light / dark").click()
    expect(body).not_to_have_class(re.compile("body--dark"))


def test_a_name_is_text_whatever_it_holds(visit, store):
    header = store.finished(1, udf=fanfold.udf(delays, name=HOSTILE))
    page = visit()
    expect(row(page, header.id).get_by_role("link")).to_contain_text("<script>")
    assert at_rest(page).evaluate("window.hacked") is None


def test_filters_stand_in_the_address_and_come_back_with_back_and_reload(visit, jobs):
    page = visit()
    expect(row(page, jobs["good"].id).locator(".ff-status")).to_have_text("Completed")
    page.get_by_label("Status").select_option("Failed")
    page.get_by_label("Search").fill("ranked")
    expect(row(page, jobs["good"].id)).to_have_count(0)
    in_the_address(page, status="Failed", q="ranked")
    row(page, jobs["bad"].id).get_by_role("link").click()
    expect(page.get_by_role("heading", name="ranked", exact=True)).to_be_visible()
    page.go_back()
    for _ in range(2):
        expect(row(page, jobs["bad"].id)).to_be_visible()
        expect(page.get_by_label("Status")).to_have_value("Failed")
        expect(page.get_by_label("Search")).to_have_value("ranked")
        expect(row(page, jobs["good"].id)).to_have_count(0)
        expect(page.get_by_text(re.compile(r"^\d+ of \d+"))).to_be_visible()
        page.reload()


def test_jobs_are_searched_filtered_and_sorted_and_no_match_says_so(visit, jobs):
    page = visit()
    expect(row(page, jobs["other"].id)).to_be_visible()
    page.get_by_label("Search").fill("forecast")
    expect(row(page, jobs["good"].id)).to_have_count(0)
    expect(row(page, jobs["other"].id)).to_be_visible()
    page.get_by_label("Search").fill("ranked")
    page.get_by_label("Status").select_option("Failed")
    expect(row(page, jobs["good"].id)).to_have_count(0)
    expect(row(page, jobs["bad"].id)).to_be_visible()
    page.get_by_label("Status").select_option("")
    page.get_by_role("columnheader", name="Failures").click()
    page.get_by_role("columnheader", name="Failures").click()
    expect(page.locator('.ag-row[row-index="0"]')).to_have_attribute("row-id", jobs["bad"].id)
    expect(row(page, jobs["good"].id)).to_have_attribute("row-index", "1")
    page.get_by_label("Search").fill("nothing is called this")
    expect(page.get_by_text("No job is like that.")).to_be_visible()
    page.get_by_label("Search").fill("")
    expect(row(page, jobs["bad"].id)).to_be_visible()


@pytest.fixture(scope="module")
def used_for_days(tmp_path_factory):
    """A Workbench of its own, in whose home all jobs lie before anybody looks.

    Of a job that comes later and says that it was made days ago, a page that knows 50 newer ones hears nothing.
    """
    folder = tmp_path_factory.mktemp("used-for-days")
    running = Workbench(folder / "home", folder)
    yield running
    running.close()


@pytest.fixture(scope="module")
def past(used_for_days):
    """2,004 jobs of three people over three days; those that have a name here are called tides."""
    store = used_for_days.store
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FANFOLD_OWNER", "ada")
        first = store.finished(1)
        patched.setenv("FANFOLD_OWNER", "grace")
        found = {"first": first, "theirs": store.finished(2, udf=fanfold.udf(delays, name="tides"))}
    for name, age_s in {"new": 0, "old": 3 * 86400}.items():
        at = first.created_at - age_s
        found[name] = first._replace(id=new_job_id(at), created_at=at, name="tides")
        store.log.put_job(found[name])
    for age_s in range(2000, 0, -1):
        at = first.created_at - age_s
        store.log.put_job(first._replace(id=new_job_id(at), created_at=at, owner="past"))
    return found


@pytest.fixture
def page_of_days(used_for_days, past, chromium):
    page = chromium.new_page(viewport=WIDE)
    page.goto(used_for_days.address)
    yield page
    page.close()


def test_jobs_are_told_apart_by_whose_they_are_and_when_they_started(page_of_days, past):
    page = page_of_days
    page.get_by_label("Search").fill("tides")  # only rows in sight are on the page
    expect(row(page, past["old"].id).locator('[col-id="created"]')).to_have_text("3 d ago")
    page.get_by_label("Started").select_option("the last day")
    expect(row(page, past["old"].id)).to_have_count(0)
    expect(row(page, past["new"].id)).to_be_visible()
    page.get_by_label("Started").select_option("the last week")
    expect(row(page, past["old"].id)).to_be_visible()
    expect(row(page, past["theirs"].id).locator('[col-id="owner"]')).to_have_text("grace")
    page.get_by_label("Whose").select_option("ada")
    expect(row(page, past["theirs"].id)).to_have_count(0)
    expect(row(page, past["new"].id)).to_be_visible()


def test_it_is_used_on_a_phone_and_in_the_dark_with_failures_and_run_time(visit, jobs, picture):
    page = visit(size=NARROW, scheme="dark")
    bad = row(page, jobs["bad"].id)
    expect(bad.locator(".ff-status")).to_have_text("Failed")
    expect(bad.locator("[col-id=failed]")).to_have_text("4")
    expect(bad.locator("[col-id=took]")).to_be_visible()
    assert fits(page, NARROW)
    picture(page, "jobs-phone-dark")


def test_thousands_of_jobs_are_all_there_and_the_newest_at_once(page_of_days, past):
    page = page_of_days
    expect(row(page, past["first"].id)).to_be_visible()
    expect(page.get_by_text("2,004", exact=True)).to_be_visible()
    page.get_by_role("columnheader", name="Started").click()
    page.get_by_role("columnheader", name="Started").click()
    expect(page.locator('.ag-row[row-index="0"]')).to_have_attribute("row-id", past["old"].id)
    oldest = page.locator('.ag-row[row-index="1"]')
    expect(oldest.locator('[col-id="owner"]')).to_have_text("past")
    expect(oldest.locator(".ff-status")).to_be_visible()  # folded because it is in sight


def test_the_server_is_told_of_a_page_that_was_left(visit, workbench):
    page = visit("/")
    page.wait_for_function("window.did_handshake")
    left = page.evaluate(
        "() => { window.fetch = (to, how) => Promise.resolve((localStorage.left = to)); return clientId; }"
    )
    page.goto(f"{workbench.root}/totals")
    assert page.evaluate("localStorage.left") == f"/left/{left}"
    told = page.evaluate(
        "(to) => fetch(to, { method: 'POST', keepalive: true }).then((r) => r.status)", f"/left/{left}"
    )
    assert told == 204


def test_what_a_link_filters_by_stands_in_the_choices_and_what_is_no_choice_does_not_filter(visit, jobs):
    page = visit("/?owner=bob&status=Half-done&age=5")
    for label, words in (("Status", "any"), ("Whose", "bob's"), ("Started", "any time")):
        expect(page.get_by_label(label).locator("option:checked")).to_have_text(words)
    expect(page.get_by_text("No job is like that.")).to_be_visible()
    page.get_by_label("Whose").select_option("")
    expect(row(page, jobs["good"].id)).to_be_visible()


def test_an_address_without_a_page_says_so_with_the_way_to_the_jobs(visit, workbench, jobs):
    asked = visit("/totals").request
    for path in ("/nothing", f"/job/{jobs['good'].id}/run/first"):
        answer = asked.get(workbench.root + path)
        assert answer.status == 404
        assert "There is nothing at this address." in answer.text()
    of_no_page = asked.get(f"{workbench.root}/job/{jobs['good'].id}/results.doc")
    assert of_no_page.status == 404
    assert of_no_page.json()["detail"].startswith("Results come as ")
