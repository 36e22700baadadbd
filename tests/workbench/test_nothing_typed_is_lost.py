"""What is typed stays: over a reload, a restart of the server, a change on disk; the browser asks first."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

import fanfold
from tests.workbench.browser import WIDE, at_rest
from tests.workbench.conftest import Workbench, choose_file, rewrite, within

MINE = 'import fanfold\n\n@fanfold.udf\ndef delays(n: int = 3, word: str = "a"):\n    return n, word  # mine\n'


def test_typed_text_survives_a_reload_and_is_marked_until_it_is_saved(bench, workbench):
    page = bench()
    expect(page.get_by_text("unsaved")).to_be_hidden()
    rewrite(page, MINE)
    expect(page.get_by_text("unsaved")).to_be_visible()
    page.reload()
    expect(page.locator(".cm-content")).to_contain_text("# mine")
    expect(page.get_by_text("unsaved")).to_be_visible()
    assert "# mine" not in (workbench.folder / "flights.py").read_text()
    page.locator(".cm-content").click()
    page.keyboard.press("Control+s")
    expect(page.get_by_text("unsaved")).to_be_hidden()
    assert "# mine" in (workbench.folder / "flights.py").read_text()


def test_a_file_that_is_removed_while_it_is_open_is_said_to_be_and_written_anew_when_that_is_wanted(bench, workbench):
    page, path = bench(), workbench.folder / "flights.py"
    rewrite(page, MINE)
    path.unlink()
    expect(page.get_by_text("flights.py is no longer in this folder. Its text is here.")).to_be_visible()
    page.keyboard.press("Control+s")
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_text("unsaved")).to_be_visible()
    at_rest(page, quiet_ms=500)
    assert not path.exists()  # it may have been meant
    page.reload()
    kept = "There is no flights.py in this folder. What was typed into it is kept: make a new file of that name"
    expect(page.get_by_role("alert").filter(has_text=kept)).to_be_visible()
    page.get_by_role("button", name="New file").click()
    page.get_by_label("Name").fill("flights.py")
    page.get_by_role("button", name="Make it").click()
    expect(page.locator(".cm-content")).to_contain_text("# mine")
    page.get_by_role("button", name="Keep my text").click()
    path.unlink()
    page.get_by_role("button", name="Write it anew").click()
    expect(page.get_by_text("unsaved")).to_be_hidden()
    expect(page.get_by_text("is no longer in this folder")).to_be_hidden()
    assert path.read_text() == MINE


def test_the_browser_asks_before_unsaved_text_is_left(bench):
    page = bench()
    asked = []

    def agree(dialog):
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", agree)
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    assert asked == []  # nothing was typed
    page.go_back()
    choose_file(page, "flights.py")
    rewrite(page, MINE)
    expect(page.get_by_text("unsaved")).to_be_visible()
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    assert asked == ["beforeunload"]
    page.remove_listener("dialog", agree)


def test_the_file_the_form_and_the_inputs_come_back_as_they_were(bench):
    page = bench("heavy.py")
    page.get_by_label("x: int").fill("17")
    page.get_by_label("One a line").fill("1\n2\n3")
    expect(page).to_have_url(re.compile(r"/workbench\?file=heavy\.py"))
    page.reload()
    expect(page.get_by_label("UDF files").locator("[aria-current=true]")).to_have_text("heavy.py")
    expect(page.get_by_label("x: int")).to_have_value("17")
    expect(page.get_by_label("One a line")).to_have_value("1\n2\n3")


def test_inputs_that_are_longer_than_a_message_of_the_socket_come_back_and_the_page_with_them(bench):
    page = bench("heavy.py")
    page.get_by_label("x: int").fill("17")
    paste = "(e, text) => { e.value = text; e.dispatchEvent(new Event('input', {bubbles: true})); }"
    page.get_by_label("One a line").evaluate(paste, f"{'1' * 59}\n" * 20_000)  # few lines: each is drawn
    at_rest(page, quiet_ms=500)
    page.reload()
    expect(page.get_by_label("x: int")).to_have_value("17")
    page.wait_for_function("document.querySelector('[data-inputs]')?.value.length === 1200000")


@fanfold.udf
def waiting(path: str):
    import time
    from pathlib import Path

    while not Path(path).exists():
        time.sleep(0.05)
    return "it went on"


def failed_job(store, path):
    """A job of one run that has failed; run again, it waits for the file."""
    header = store.job(waiting, [path], cache=False)
    store.fails(header, 0)
    return header


def test_an_empty_store_says_how_to_begin_and_over_the_death_of_a_server_typed_text_stays_and_a_retry_goes_on(
    chromium, tmp_path, picture
):
    (tmp_path / "udfs").mkdir()
    (tmp_path / "udfs" / "a.py").write_text("import fanfold\n")
    first = Workbench(tmp_path / "home", tmp_path / "udfs")
    page = chromium.new_page(viewport=WIDE)
    page.goto(first.address)
    expect(page.get_by_text("No jobs yet.")).to_be_visible()
    expect(page.get_by_text("fanfold submit")).to_be_visible()
    picture(page, "jobs-empty")
    header = first.store.finished(2)
    expect(page.locator(f'.ag-row[row-id="{header.id}"]')).to_be_visible()  # the first job takes the place of the words
    failed = failed_job(first.store, str(tmp_path / "go"))
    page.goto(f"{first.root}/job/{failed.id}")
    page.get_by_role("button", name="Retry failed").click()
    expect(page.get_by_role("status").first).to_have_text("Running")
    page.goto(f"{first.root}/workbench")
    expect(page.locator(".cm-content")).to_contain_text("import fanfold")
    rewrite(page, MINE)
    expect(page.get_by_text("unsaved")).to_be_visible()
    page.evaluate("window.before = true")
    first.process.kill()
    first.close()
    (tmp_path / "go").touch()
    second = Workbench(tmp_path / "home", tmp_path / "udfs", port=int(first.root.rpartition(":")[2]))
    try:
        page.wait_for_function("!window.before && window.did_handshake")  # it has loaded itself anew
        expect(page.get_by_label("n: int")).to_be_visible()
        expect(page.locator(".cm-content")).to_contain_text("# mine")
        page.get_by_role("button", name="Run (Shift+Enter)").click()
        expect(page.get_by_label("Result", exact=True)).to_contain_text("(3, 'a')")
        page.get_by_text("unsaved").wait_for(state="hidden")
        page.goto(f"{second.root}/job/{failed.id}/run/0")
        expect(page.get_by_label("What it gave")).to_contain_text("it went on")
    finally:
        page.close()
        second.close()


def test_what_was_typed_is_there_on_another_port_once_the_server_that_had_it_is_gone(chromium, tmp_path):
    folder, home = tmp_path / "udfs", tmp_path / "home"
    folder.mkdir()
    for name in ("a.py", "b.py"):
        (folder / name).write_text("import fanfold\n")
    first = Workbench(home, folder)
    page = chromium.new_page(viewport=WIDE)
    page.goto(f"{first.address}")
    page.goto(f"{first.root}/workbench?file=b.py")
    expect(page.locator(".cm-content")).to_contain_text("import fanfold")
    rewrite(page, MINE)
    page.get_by_label("n: int").fill("17")
    page.get_by_label("One a line").fill("1\n2\n3")
    within(30, lambda: any(b"1\\n2\\n3" in one.read_bytes() for one in (home / "drafts").glob("*.json")))
    second = Workbench(home, folder)
    try:
        assert second.root != first.root
        other = chromium.new_context(viewport=WIDE).new_page()  # another browser, for what it knows
        other.goto(second.address)
        other.goto(f"{second.root}/workbench")  # the file that was open last
        expect(other.locator(".q-notification")).to_contain_text("Another tab has text for b.py")
        expect(other.locator(".cm-content")).not_to_contain_text("# mine")
        first.process.kill()
        first.close()
        other.context.close()
        other = chromium.new_context(viewport=WIDE).new_page()
        other.goto(second.address)
        other.goto(f"{second.root}/workbench")
        expect(other.locator(".cm-content")).to_contain_text("# mine")
        expect(other.get_by_text("unsaved")).to_be_visible()
        expect(other.get_by_label("n: int")).to_have_value("17")
        expect(other.get_by_label("One a line")).to_have_value("1\n2\n3")
        other.get_by_role("button", name="Save (Ctrl+S)").click()
        expect(other.get_by_text("unsaved")).to_be_hidden()
        assert (folder / "b.py").read_text() == MINE
        other.context.close()
    finally:
        page.close()
        second.close()


def test_a_file_that_changes_on_disk_is_shown_anew_and_what_is_shown_is_run(bench, workbench):
    page = bench("heavy.py")
    other = "import fanfold\n\n\n@fanfold.udf\ndef heavy(x: int = 2):\n    return x * 1000\n"
    (workbench.folder / "heavy.py").write_text(other)
    expect(page.locator(".cm-content")).to_contain_text("x * 1000")
    expect(page.get_by_text("unsaved")).to_be_hidden()
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_label("Result", exact=True)).to_contain_text("2000")


@pytest.mark.parametrize("keep", [True, False], ids=["mine", "theirs"])
def test_own_text_and_a_change_on_disk_are_shown_with_their_differences(bench, workbench, keep):
    page = bench()
    rewrite(page, MINE)
    (workbench.folder / "flights.py").write_text("# another hand\n")
    expect(page.get_by_label("Differences")).to_contain_text("-# another hand")
    expect(page.get_by_label("Differences")).to_contain_text("+    return n, word  # mine")
    if keep:
        page.get_by_role("button", name="Keep my text").click()
        expect(page.get_by_label("Differences")).to_be_hidden()
        page.get_by_role("button", name="Save (Ctrl+S)").click()
        expect(page.get_by_text("unsaved")).to_be_hidden()
        assert "# mine" in (workbench.folder / "flights.py").read_text()
    else:
        page.get_by_role("button", name="Take the file's text").click()
        expect(page.locator(".cm-content")).to_have_text("# another hand")
        expect(page.get_by_text("unsaved")).to_be_hidden()


def test_a_change_on_disk_that_is_taken_back_is_asked_about_no_more(bench, workbench):
    """A program that writes a file in two steps is seen in between."""
    page, path = bench(), workbench.folder / "flights.py"
    before = path.read_text()
    rewrite(page, MINE)
    path.write_text("")
    expect(page.get_by_label("Differences")).to_contain_text("+    return n, word  # mine")
    path.write_text(before)
    expect(page.get_by_label("Differences")).to_be_hidden()
    page.get_by_role("button", name="Save (Ctrl+S)").click()
    expect(page.get_by_text("unsaved")).to_be_hidden()
    assert "# mine" in path.read_text()


def test_the_text_of_one_file_never_becomes_the_draft_of_another(bench, workbench):
    page = bench()
    for name in ("heavy.py", "flights.py", "heavy.py", "flights.py"):
        choose_file(page, name)
        at_rest(page, quiet_ms=300)
        expect(page.get_by_text("unsaved")).to_be_hidden()
    assert "def delays" in (workbench.folder / "flights.py").read_text()
    assert "def heavy" in (workbench.folder / "heavy.py").read_text()


def test_the_file_that_was_open_last_opens_again(bench, workbench):
    page = bench("plain.py")
    page.goto(f"{workbench.root}/")
    page.goto(f"{workbench.root}/workbench")  # as the link in the bar does: no file in the address
    expect(page.get_by_label("UDF files").locator("[aria-current=true]")).to_have_text("plain.py")
    expect(page.locator(".cm-content")).to_contain_text("x = 1")


def drafts_of(page, workbench, words):
    """The drafts of flights.py that the server has and in which these words stand."""
    asked = {"key": str(workbench.folder / "flights.py"), "tab": "a-test", "page": ""}
    found = page.request.get(f"{workbench.root}/workbench/drafts", params=asked).json()
    return [draft for draft in found if words in (draft["kept"]["text"] or "")]


def test_two_tabs_keep_their_own_text_and_what_a_closed_one_had_is_taken_over(bench, workbench):
    one = bench()
    rewrite(one, MINE)
    within(60, lambda: drafts_of(one, workbench, "# mine"))
    other = one.context.new_page()
    other.goto(f"{workbench.root}/workbench?file=flights.py")
    expect(other.locator(".q-notification")).to_contain_text("Another tab has text for flights.py")
    rewrite(other, MINE.replace("mine", "of the other"))
    within(60, lambda: drafts_of(other, workbench, "# of the other"))
    one.reload()
    expect(one.locator(".cm-content")).to_contain_text("# mine")
    other.close()
    within(60, lambda: not any(draft["open"] for draft in drafts_of(one, workbench, "# of the other")))
    one.goto(f"{workbench.root}/")
    one.evaluate("localStorage.clear()")  # what a browser that is killed has not written yet
    third = one.context.new_page()
    third.goto(f"{workbench.root}/workbench?file=flights.py")
    expect(third.locator(".cm-content")).to_contain_text("# of the other")


def test_what_was_typed_into_a_file_that_has_another_name_since_is_there_under_that_name(bench, workbench):
    page = bench("heavy.py")
    page.get_by_label("x: int").fill("17")
    rewrite(page, MINE)
    expect(page.get_by_text("unsaved")).to_be_visible()
    named = workbench.folder / "heavier.py"
    (workbench.folder / "heavy.py").rename(named)
    try:
        page.goto(f"{workbench.root}/")
        page.goto(f"{workbench.root}/workbench?file=heavier.py")
        expect(page.locator(".cm-content")).to_contain_text("# mine")
        expect(page.get_by_text("unsaved")).to_be_visible()
        page.keyboard.press("Control+s")
        expect(page.get_by_text("unsaved")).to_be_hidden()
        assert named.read_text() == MINE
    finally:
        named.unlink()
