"""Keys that expire while a notebook or the page is open: who signs in again goes on there, and starts nothing anew."""

from __future__ import annotations

import asyncio
import textwrap
import threading
from pathlib import Path

import nbclient
import nbformat
import pytest

import fanfold
from tests.cloud.permissions import OPERATOR_KEY, USER_KEY
from tests.cloud.udfs import squared


def sign_in(place: Path, key: str) -> None:
    place.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")


@pytest.fixture
def keys(on_cloud, tmp_path, monkeypatch):
    """The file that a sign-in writes, which this process's children go by."""
    path = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    sign_in(path, USER_KEY)
    return path


BEGIN = """
import pathlib, time
import fanfold

def held(x: int, flag: str):
    while not pathlib.Path(flag).exists():
        time.sleep(0.02)
    return x * x

flag, told, expired = (pathlib.Path("{folder}") / name for name in ("flag", "told", "expired"))
job = fanfold.submit(held, range(3), flag=str(flag), collect=False)
told.touch()
while not expired.exists():
    time.sleep(0.02)
try:
    job.wait(progress=False)
except fanfold.SignInNeeded as error:
    print(error)
"""
GO_ON = """
flag.touch()
print(job.results(), fanfold.get_job(job.id).status, len(fanfold.get_jobs()))
"""


def test_a_notebook_whose_keys_expire_goes_on_in_its_next_cell(on_cloud, keys, tmp_path, monkeypatch, eventually):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    cells = [textwrap.dedent(BEGIN).replace("{folder}", str(tmp_path)), GO_ON]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    notebook = nbclient.NotebookClient(made, timeout=120, resources={"metadata": {"path": str(tmp_path)}})

    def expire() -> None:
        eventually((tmp_path / "told").exists)
        on_cloud.expire(USER_KEY)
        (tmp_path / "expired").touch()

    expiring = threading.Thread(target=expire)
    expiring.start()
    notebook.on_cell_execute = lambda cell_index, **_: sign_in(keys, OPERATOR_KEY) if cell_index else None
    asyncio.run(notebook.async_execute())
    expiring.join()
    first, second = ("".join(one["text"] for one in cell.outputs if one.get("name") == "stdout") for cell in made.cells)
    assert "The AWS credentials in use have expired" in first
    assert "Starting it again would run everything twice" in first
    assert second.strip() == "[0, 1, 4] Completed 1"


@pytest.mark.long
def test_the_page_says_that_keys_have_expired_and_goes_on_with_new_ones(on_cloud, keys, tmp_path, monkeypatch):
    from playwright.sync_api import expect

    from tests.workbench.browser import shared
    from tests.workbench.conftest import WIDE, Workbench

    job = fanfold.submit(squared, range(3), collect=False).wait()
    more = {"FANFOLD_ENGINE": "aws", "FANFOLD_DEPLOYMENT": "main", "FANFOLD_OWNER": job.header.owner}
    workbench = Workbench(tmp_path / "home", tmp_path, more=more)
    try:
        with shared() as browser, browser.in_use():
            page = browser.page(workbench.root, size=WIDE, scheme="light", listeners={})
            page.context.add_cookies(workbench.cookies)
            page.goto(workbench.root + "/")
            expect(page.locator(".ff-Completed")).to_be_visible()
            on_cloud.expire(USER_KEY)
            expect(page.get_by_text("The AWS credentials in use have expired")).to_be_visible(timeout=30_000)
            expect(page.get_by_text("sign in again (`aws sso login`")).to_be_visible()
            expect(page.locator(".ff-Completed")).to_be_visible()
            sign_in(keys, OPERATOR_KEY)
            expect(page.get_by_text("No answer")).to_be_hidden(timeout=30_000)
    finally:
        workbench.close()
