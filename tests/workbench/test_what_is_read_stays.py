"""Somebody reads, marks and scrolls while a job goes on: what is new comes beside it, and what stands there stays."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from fanfold.core import models
from fanfold.core.fold import fold
from fanfold.core.models import Event, JobHeader, LargerRecord, StageRecord, StopRecord, to_event
from fanfold.job import history
from tests.workbench.samples import delays

RECORDS = (
    StageRecord("ramp", stop=200, judged=20),
    StageRecord("d1", children=40, most=200),
    LargerRecord("20260131-141502-river-7f3a", instance_type="large", count=2),
    StopRecord("budget", "$2.00 were spent"),
)
#: Marks all of an element's text, and gives it a name of its own: another one in its place would have neither.
_MARK = "e => { getSelection().selectAllChildren(e); e.mine = true; }"
_MARKED = "e => e.mine && getSelection().toString().trim() === e.innerText.trim()"


def job_with_failures(store):
    header = store.job(delays, range(200), cache=False)
    store.fails(header, *range(40))
    return header


def stays(element, change, told):
    """What is marked is still marked after a change that the page has told."""
    element.evaluate(_MARK)
    change()
    told()
    assert element.evaluate(_MARKED)


def test_the_first_cause_and_the_messages_stay_marked_while_more_runs_fail(visit, store):
    header = job_with_failures(store)
    page = visit(f"/job/{header.id}?tab=Errors")
    head = page.get_by_label("Why it failed")
    expect(head.get_by_role("heading")).to_contain_text("40 runs")
    stays(
        head.locator(".ff-message"),
        lambda: store.fails(header, *range(60, 80)),
        lambda: expect(head.get_by_role("heading")).to_contain_text("60 runs"),
    )
    message = page.locator("article .ff-small .ff-mono").first
    stays(
        message,
        lambda: store.ends(header, *range(80, 90)),
        lambda: expect(page.get_by_text("10 succeeded")).to_be_visible(),
    )


def test_the_history_and_the_code_stay_marked_while_a_job_goes_on(visit, store):
    header = job_with_failures(store)
    page = visit(f"/job/{header.id}?tab=History")
    stays(
        page.locator(".ff-moments li > :last-child").first,
        lambda: store.ends(header, *range(40, 200)),
        lambda: expect(page.locator(".ff-moments")).to_contain_text("ended: Failed"),
    )


def test_the_history_tells_of_all_that_happens_to_a_job_as_a_whole(visit, store):
    """Of a ramp and of larger machines, it told nothing: the page stood still, and there was no report."""
    header = store.finished(3)
    store.log.append([to_event(header.id, record) for record in RECORDS])
    shown = visit(f"/job/{header.id}?tab=History").locator(".ff-moments")
    for words in (
        "the ramp went on to its first 200 runs, after 20 runs had been judged",
        "dispatch d1 was widened to 40 executions at once",
        "2 runs that were too large went to job 20260131-141502-river-7f3a on large",
        "stopped by budget: $2.00 were spent",
    ):
        expect(shown).to_contain_text(words)


def test_a_job_that_its_budget_has_stopped_says_so_in_its_head(visit, store):
    header = store.job(delays, range(10), cache=False)
    store.ends(header, 0, 1, 2)
    at = time.time()
    store.log.append([to_event(header.id, StopRecord("budget", "the budget of $2.00 is spent"), at=at)])
    store.log.request_cancel(header.id, at)
    page = visit(f"/job/{header.id}")
    expect(page.get_by_label("How it stands")).to_contain_text("Stopped: the budget of $2.00 is spent")
    expect(page.get_by_role("button", name="Run the rest")).to_be_visible()


def test_every_kind_of_event_about_a_job_as_a_whole_has_words():
    header = JobHeader("20260131-141502-river-7f3a", "delays", 1, "local", "ada", 1000.0, "b" * 64, "c" * 64)
    for kind in models._TYPES:
        event = Event.new(header.id, -1, 0, kind, at=1001.0, data={"name": "some"})
        assert len(history.moments(fold(header, [event]))) == 2, kind


def test_what_a_worker_said_and_the_line_that_is_read_stay_while_the_run_prints(visit, store, workbench):
    header = store.job(delays, range(2), cache=False)
    store.starts(header, 0, 1)
    store.says(header, 0, "".join(f"line {n}\n" for n in range(400)))
    page = visit(f"/job/{header.id}/run/0")
    log = page.get_by_label("What it printed").locator("pre")
    expect(log).to_contain_text("line 399")
    log.evaluate("e => { e.scrollTop = 70; e.mine = true; }")
    page.get_by_role("button", name="Where is it now?").click()
    where = page.get_by_role("region", name="Where it is now")
    expect(where).to_contain_text("runs on another machine")
    store.says(header, 0, "one more\n")
    expect(log).to_contain_text("one more")
    expect(where).to_be_visible()
    assert log.evaluate("e => e.mine && e.scrollTop") == 70
    store.ends(header, 0)
    expect(page.get_by_label("What it gave")).to_contain_text("0")
    expect(where).to_be_hidden()  # it is nowhere any more


_BOX = """async () => {
  const box = document.createElement("pre"), frame = () => new Promise(requestAnimationFrame);
  box.dataset.follow = "";
  box.style.cssText = "height: 100px; overflow: auto";
  document.body.prepend(box);
  const grow = () => box.append("a line\\n".repeat(100));
  const isAtEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 2;
  const settled = async () => { for (let n = 0; n < 4; n++) await frame(); };
  const seen = [];
  grow();
  window.ff.followOutput();
  requestAnimationFrame(grow);  // after it has scrolled to the end, and before the event of that
  await settled();
  window.ff.followOutput();
  await settled();
  seen.push(isAtEnd());
  grow();
  window.ff.followOutput();
  box.scrollTop = 10;  // by hand, and the frame that would scroll to the end is still to come
  await settled();
  seen.push(box.scrollTop);
  grow();
  window.ff.followOutput();
  await settled();
  seen.push(box.scrollTop);
  box.scrollTop = box.scrollHeight;
  await settled();
  grow();
  window.ff.followOutput();
  await settled();
  seen.push(isAtEnd());
  box.remove();
  return seen;
}"""


def test_output_is_followed_however_it_grows_and_stays_where_somebody_has_scrolled_it_up(visit):
    page = visit("/totals")
    page.wait_for_function("window.did_handshake")
    assert page.evaluate(_BOX) == [True, 10, 10, True]
