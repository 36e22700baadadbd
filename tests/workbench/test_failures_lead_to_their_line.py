"""From a failure to its fix: its cause stands in the head, one click opens the editor at the line with the input."""

from __future__ import annotations

import re
from hashlib import sha256

import httpx
from playwright.sync_api import expect

from fanfold.core.models import Event, EventKind, Output, RunError, RunStatus
from tests.workbench.conftest import tab
from tests.workbench.samples import delays, ended

UDF = """\
import fanfold


@fanfold.udf
def delays(x: int = 1):
    return 10 / x
"""
TRACE = 'Traceback (most recent call last):\n  File "delays.py", line 6, in delays\nRuntimeError: {}\n'


def failing(store, count, *, line=6):
    header = store.job(delays, range(count), cache=False)
    errors = [RunError("RuntimeError", f"no tile {n:x}z", TRACE.format(f"no tile {n:x}z")) for n in range(count)]
    store.log.append(
        [
            Event.new(header.id, index, 0, EventKind.FINISHED, status=RunStatus.FAILED, error=error)
            for index, error in enumerate(errors)
        ]
    )
    return header


def test_messages_of_one_line_are_one_cause_and_paged(visit, store):
    header = failing(store, 2000)
    page = visit(f"/job/{header.id}")
    tab(page, "Errors")
    expect(page.locator(".ff-cause")).to_have_count(1)
    expect(page.get_by_role("tabpanel").get_by_role("heading", name="2,000 runs: RuntimeError")).to_be_visible()
    expect(page.get_by_text("2,000 different messages:")).to_be_visible()
    expect(page.get_by_text("1 × no tile")).to_have_count(5)
    page.get_by_role("button", name="Show more messages (1,995 left)").click()
    expect(page.get_by_text("1 × no tile")).to_have_count(55)
    assert page.evaluate("document.body.scrollHeight") < 5000


def test_the_head_says_why_and_opens_the_editor_at_the_line_with_the_input(visit, store, bench, workbench):
    (workbench.folder / "delays.py").write_text(UDF)
    header = failing(store, 3)
    page = visit(f"/job/{header.id}")
    why = page.get_by_label("Why it failed")
    expect(why).to_contain_text("3 runs: RuntimeError · delays.py, line 6")
    expect(why).to_contain_text("run 0: x=0")
    why.get_by_role("link", name="Open in the editor").click()
    expect(page.get_by_label("UDF files").locator("[aria-current=true]")).to_have_text("delays.py")
    expect(page.get_by_label("x: int")).to_have_value("0")
    page.wait_for_function("getSelection().toString().includes('return 10 / x')")
    page.keyboard.press("Shift+Enter")
    result = page.get_by_label("Result", exact=True)
    expect(result).to_contain_text("ZeroDivisionError")
    result.get_by_role("button", name="Go to").click()
    page.wait_for_function("getSelection().toString().includes('return 10 / x')")


def test_a_run_has_a_page_of_its_own_with_its_input_logs_and_failure(visit, small_job):
    page = visit(f"/job/{small_job.id}/run/3")
    expect(page.get_by_role("heading", name="Run 3", exact=True)).to_be_visible()
    expect(page.get_by_text("x=3")).to_be_visible()
    expect(page.get_by_label("What it gave")).to_contain_text("ValueError: 3 is odd")
    expect(page.get_by_label("What it printed")).to_contain_text("2 lines")
    page.get_by_role("link", name="Run after").click()
    expect(page.get_by_label("What it gave").locator("pre")).to_have_text("16")
    expect(page).to_have_title(re.compile(r"^run 4 · delays"))
    expect(page.get_by_label("Facts")).to_contain_text("json/1, 2 bytes")


def test_a_download_that_cannot_be_made_says_why(visit, store):
    header = store.job(delays, range(2), cache=False)
    nested = [b'{"legs": [{"a": 1}]}', b'{"legs": 3}']
    events = [ended(header, index) for index in range(2)]
    outputs = [Output("json/1", sha256(data).hexdigest(), len(data), data) for data in nested]
    store.log.append([event._replace(output=output) for event, output in zip(events, outputs, strict=True)])
    page = visit(f"/job/{header.id}")
    page.get_by_role("link", name="Download Parquet").click()
    expect(page.locator(".q-notification")).to_contain_text("write .jsonl or .csv")
    with page.expect_download():
        page.get_by_role("link", name="Download JSONL").click()


def test_logs_are_downloaded_whole(visit, small_job, workbench):
    page = visit(f"/job/{small_job.id}")
    answer = page.request.get(f"{workbench.root}/job/{small_job.id}/logs.txt?run=3")
    assert [line.partition("] ")[2] for line in answer.text().splitlines()] == ["fine", "ValueError: 3 is odd"]
    assert httpx.get(f"{workbench.root}/job/{small_job.id}/logs.txt").status_code == 403
