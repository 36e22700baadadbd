"""A job's report as the browser saves and opens it: without the Workbench, and without a finding of axe-core."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from fastapi import HTTPException
from playwright.sync_api import expect

from fanfold.errors import StoreFull
from fanfold.workbench.routes import file_of
from tests.workbench.browser import axe_script


def test_the_report_is_saved_from_the_jobs_page_and_read_by_itself(visit, chromium, store, tmp_path):
    header = store.finished(40, failing=10)
    page = visit(f"/job/{header.id}")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Report").click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.name == f"{header.id}.html"
    context = chromium.new_context(bypass_csp=True)  # axe is a script, and a report has none
    report, asked = context.new_page(), []
    report.on("request", lambda request: asked.append(request.url))
    report.goto(path.as_uri())
    expect(report.get_by_role("heading", name="4 runs: ValueError")).to_be_visible()
    report.get_by_role("region", name="Runs", exact=True).get_by_role("link", name="failed").first.click()
    expect(report.locator("#cause-1")).to_be_in_viewport()
    assert asked == [path.as_uri()]
    report.evaluate(Path(axe_script()).read_text(encoding="utf-8"))
    assert not report.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    report.emulate_media(color_scheme="dark")  # which differs in its colours alone
    assert not report.evaluate("axe.run(document, {runOnly: ['color-contrast']})")["violations"]
    context.close()


@pytest.mark.parametrize("error", [StoreFull("No room left."), OSError(28, "No space left on device")])
def test_a_file_that_cannot_be_made_says_why_and_leaves_nothing(tmp_path, monkeypatch, error):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def write(path):
        path.write_text("half")
        raise error

    with pytest.raises(HTTPException, match=r"No (room|space) left"):
        asyncio.run(file_of("report.html", "text/html", write))
    assert not list(tmp_path.iterdir())
