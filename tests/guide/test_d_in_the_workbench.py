"""D. Dedicated instances, the guide's lines 24 and 25: what the Workbench shows and asks, on both engines."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

import fanfold
from tests.guide.udfs import odd_only
from tests.workbench.browser import WIDE, chromium

__all__ = ["chromium"]

expect.set_options(timeout=30_000)

UDF = """
import fanfold

@fanfold.udf(instance_type="small")
def doubled(x: int = 21):
    return 2 * x
"""


@fanfold.udf
def busy(x: int, folder: str):
    """Takes a core and some memory until it is let go."""
    import pathlib
    import time

    print("busy", x, flush=True)
    block = bytearray(b"x" * 2**26)
    deadline = time.monotonic() + 200
    while not pathlib.Path(folder, "go").exists():
        assert time.monotonic() < deadline
    return len(block)


@pytest.fixture
def page(engine, chromium, tmp_path, monkeypatch):
    """A Workbench on the engine, in whose folder one UDF asks for a machine."""
    monkeypatch.setenv("FANFOLD_OWNER", "ada")
    folder = tmp_path / "udfs"
    folder.mkdir()
    (folder / "doubled.py").write_text(UDF)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "fanfold.cli", "workbench", str(folder), "--no-open", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        context = chromium.new_context(viewport=WIDE)
        page = context.new_page()
        page.goto(process.stdout.readline().strip())
        yield page
        context.close()
        process.terminate()
        process.communicate(timeout=60)


#: What a page shows of a job comes from the fold, whichever engine wrote its events.
HERE_AND_AT_LENGTH_IN_AWS = pytest.mark.parametrize(
    "engine", ["local", pytest.param("aws", marks=pytest.mark.long)], indirect=True
)


def root(page):
    return re.match(r"https?://[^/]+", page.url)[0]


@HERE_AND_AT_LENGTH_IN_AWS
def test_d24_every_job_of_mine_and_of_the_team_and_one_s_load_output_code_history_and_runs(
    page, tmp_path, eventually, monkeypatch
):
    job = fanfold.submit(busy, [1], folder=str(tmp_path), instance_type="small", collect=False)
    eventually(lambda: len(job.usage(samples=True)) > 1)
    page.goto(f"{root(page)}/job/{job.id}")
    expect(page.get_by_role("status").first).to_have_text("Running")
    expect(page.locator("[data-chart=load] canvas")).to_be_visible()
    page.get_by_role("tab", name="Logs").click()
    expect(page.get_by_role("log")).to_contain_text("[0] busy 1")
    (tmp_path / "go").touch()
    expect(page.get_by_role("status").first).to_have_text("Completed")
    page.get_by_role("tab", name="Code").click()
    expect(page.locator("pre").filter(has_text="block = bytearray")).to_be_visible()
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_text("ended: Completed")).to_be_visible()
    page.get_by_role("tab", name="Runs").click()
    page.locator('.ag-row[row-id="0"]').click()
    expect(page.get_by_label("The chosen run").locator("pre")).to_have_text(str(2**26))
    mine = fanfold.submit(odd_only, range(4), collect=False).wait()
    monkeypatch.setenv("FANFOLD_OWNER", "grace")
    theirs = fanfold.submit(odd_only, [1], collect=False).wait()
    page.goto(root(page))
    row = page.locator(f'.ag-row[row-id="{mine.id}"]')
    expect(row.locator(".ff-status")).to_have_text("Failed")
    expect(row.locator(".ff-amount")).to_have_text("4/4")
    expect(row.locator('[col-id="took"]')).to_contain_text("s")
    expect(page.locator(f'.ag-row[row-id="{theirs.id}"] [col-id="owner"]')).to_have_text("grace")


@HERE_AND_AT_LENGTH_IN_AWS
def test_d25_a_machine_starts_only_when_asked_for_and_after_a_confirmation(page):
    page.goto(root(page) + "/workbench")
    expect(page.get_by_text("It runs on small. Press Shift+Enter")).to_be_visible()
    expect(page.get_by_role("button", name="Run (Shift+Enter)")).to_have_count(0)
    page.get_by_label("x: int").press("Shift+Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("c5.large")
    expect(dialog).to_contain_text("per hour")
    assert fanfold.get_jobs() == []
    page.get_by_role("button", name="Start small").click()
    expect(page.get_by_label("Result", exact=True)).to_contain_text("42")
    assert [job.header.instance_type for job in fanfold.get_jobs()] == ["small"]
