"""Failed runs with new code: from the head of the job with a file as it stands, or from the editor as it is typed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.workbench.conftest import rewrite

FIXED = """\
import fanfold


@fanfold.udf
def delays(x: int):
    return -x
"""


@pytest.fixture
def failed_job(store):
    """12 runs, of which 3, 7 and 11 have failed."""
    return store.finished(12, failing=4)


def result(page, workbench, job_id, run):
    """What the table of runs says that a run gave."""
    answer = page.request.get(f"{workbench.root}/job/{job_id}/runs.json?start={run}&stop={run + 1}")
    return answer.json()["rows"][0]["result"]


def test_the_head_shows_the_code_of_the_file_and_makes_the_job_whole_with_it(visit, workbench, failed_job):
    (workbench.folder / "delays.py").write_text(FIXED)
    page = visit(f"/job/{failed_job.id}")
    page.get_by_role("button", name="Run these 3 with the new code").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Code")).to_contain_text("return -x")
    dialog.get_by_role("button", name="Run these 3 with the new code").click()
    expect(page.get_by_role("status").first).to_have_text("Completed")
    assert result(page, workbench, failed_job.id, 11) == "-11"
    assert result(page, workbench, failed_job.id, 2) == "4"  # what had succeeded stays


def test_a_file_that_was_changed_since_it_was_shown_is_not_run(visit, workbench, failed_job):
    (workbench.folder / "delays.py").write_text(FIXED)
    page = visit(f"/job/{failed_job.id}")
    page.get_by_role("button", name="Run these 3 with the new code").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Code")).to_contain_text("return -x")
    (workbench.folder / "delays.py").write_text(FIXED.replace("-x", "10 * x"))
    dialog.get_by_role("button", name="Run these 3 with the new code").click()
    expect(dialog.get_by_role("alert")).to_contain_text("has just been changed on disk")


def test_the_editor_runs_the_failed_runs_with_what_is_typed(visit, workbench, failed_job):
    (workbench.folder / "delays.py").write_text(FIXED)
    page = visit(f"/job/{failed_job.id}")
    page.get_by_label("Why it failed").get_by_role("link", name="Open in the editor").click()
    failed = page.get_by_role("region", name="Failed runs")
    expect(failed).to_contain_text("3 runs of delays failed")
    expect(page.get_by_label("x: int")).to_have_value("3")
    rewrite(page, FIXED.replace("-x", "100 + x"))
    failed.get_by_role("button", name="Run these 3 with the new code").click()
    page.get_by_label("What it gives").get_by_role("link", name=failed_job.id).click()
    expect(page.get_by_role("status").first).to_have_text("Completed")
    assert result(page, workbench, failed_job.id, 7) == "107"
    assert "100 + x" in (workbench.folder / "delays.py").read_text()
