"""How a job goes, where nobody looks at its page: the tab's title and icon, and a notification when it has ended."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.workbench.samples import delays

_TOLD = """() => { window.told = [];
  window.Notification = class { constructor(title) { this.title = title; window.told.push(this); }
    close() { this.closed = true; }
    static permission = "granted"; static requestPermission = async () => "granted"; }; }"""


def test_the_tab_tells_how_far_a_job_is_and_a_notification_that_it_has_ended(visit, store):
    header = store.job(delays, range(4), cache=False)
    store.starts(header, *range(4))
    store.ends(header, 0)
    page = visit(f"/job/{header.id}")
    page.evaluate(_TOLD)
    expect(page).to_have_title(re.compile("^25% delays · Running"))
    icon = page.locator("link[rel~=icon]")
    expect(icon).to_have_attribute("data-percent", "25")
    page.get_by_role("button", name="Notify me").click()
    expect(page.locator(".q-notification")).to_contain_text("You are told when the job has ended")
    store.ends(header, 1, 2, 3)
    expect(page).to_have_title(re.compile("^delays · Completed"))
    expect(icon).to_have_attribute("data-percent", "100")
    page.wait_for_function("() => window.told.length > 0")
    assert page.evaluate("window.told.map((one) => one.title)") == ["delays · Completed"]
    page.evaluate("window.told[0].onclick()")  # which brings the page to the front
    assert page.evaluate("window.told[0].closed")
    expect(page.get_by_role("button", name="Notify me")).to_be_hidden()


def test_a_browser_that_lets_no_page_make_a_notification_tells_by_the_title(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    title = page.evaluate("""() => {
      const refuse = () => { throw new TypeError("Illegal constructor"); };
      window.Notification = class { constructor() { refuse(); } static permission = "granted"; };
      localStorage.setItem("fanfold-notify:it", "1");
      window.ff.progressOf("it", { title: "delays · Failed", percent: 100, status: "Failed" });
      return document.title;
    }""")
    assert title == "delays · Failed"  # what the page itself says of its job may come at any time
