"""The Workbench page: a file is edited and its UDF run with a form's values; a machine starts only when asked twice."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.workbench.browser import NARROW, fits
from tests.workbench.conftest import choose_file, rewrite
from tests.workbench.samples import HEAVY
from tests.workbench.test_accessibility import findings


def test_a_run_takes_the_forms_values_and_shows_output_and_result(bench, picture):
    page = bench()
    expect(page.get_by_label("unit")).to_have_value("min")  # from the annotation, and from its default
    page.get_by_label("n: int").fill("4")
    page.get_by_label("unit").select_option("h")
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_label("Output")).to_have_text("reading <b> 2013-01-01")
    result = page.get_by_label("Result", exact=True)
    expect(result).to_contain_text("4 rows × 3 columns")
    expect(result.locator('.ag-row[row-index="3"] [col-id="c3"]')).to_have_text("h")
    expect(page.get_by_label("Output")).to_be_in_viewport()  # below the editor, which made room for it
    picture(page, "workbench")


def test_shift_enter_saves_and_runs_what_was_typed(bench, workbench):
    page = bench()
    rewrite(page, 'import fanfold\n\n@fanfold.udf\ndef other(word: str = "hello"):\n    return word.upper()\n')
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Result", exact=True)).to_contain_text("HELLO")
    assert "def other" in (workbench.folder / "flights.py").read_text()
    assert "\n\n\n" not in (workbench.folder / "flights.py").read_text()  # the key runs, it does not break the line


_WAITS = """\
import fanfold


@fanfold.udf(cache_max_age=0)
def f(gate: str):
    import pathlib
    import time

    print("begun")
    while not pathlib.Path(gate).exists():
        time.sleep(0.02)
    return "through"
"""


def test_a_run_that_goes_on_is_there_again_after_a_reload_and_so_is_its_result(bench, tmp_path):
    page, gate = bench(), tmp_path / "gate"
    rewrite(page, _WAITS)
    page.get_by_label("gate: str").fill(str(gate))
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Output")).to_have_text("begun")
    page.reload()
    outcome, result = page.get_by_label("What it gives"), page.get_by_label("Result", exact=True)
    expect(page.get_by_label("Output")).to_have_text("begun")
    expect(outcome.get_by_role("button", name="Cancel")).to_be_visible()
    gate.touch()
    expect(result).to_contain_text("through")
    page.reload()
    expect(result).to_contain_text("through")
    choose_file(page, "plain.py")  # another file's run is not shown beside this one
    expect(outcome).to_be_hidden()
    page.reload()
    expect(page.get_by_label("UDF files").locator("[aria-current=true]")).to_have_text("plain.py")
    expect(outcome).to_be_hidden()


def test_an_address_that_names_a_run_of_no_job_says_so(bench, workbench):
    page = bench()
    page.goto(f"{workbench.root}/workbench?file=flights.py&shown=nothing")
    expect(page.get_by_label("What it gives")).to_contain_text("There is no job 'nothing'")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_a_mistake_is_told_in_the_users_own_lines(bench):
    page = bench()
    rewrite(page, "import fanfold\n\n@fanfold.udf\ndef f():\n    return 1 / 0\n")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Result", exact=True)).to_contain_text("ZeroDivisionError")
    rewrite(page, "x = 1\ndef f(:\n")
    mistake = page.get_by_role("button", name="line 2: invalid syntax")
    expect(mistake).to_be_visible()  # as it is typed
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_role("alert")).to_contain_text("flights.py is not Python, line 2")
    page.wait_for_function("[...CSS.highlights.get('ff-mistake')].join().includes('def f(:')")
    mistake.click()
    page.wait_for_function("getSelection().focusNode?.parentElement.closest('.cm-line')?.innerText === 'def f(:'")
    page.keyboard.type("):")  # at its end, in place of nothing
    expect(page.locator(".cm-content")).to_contain_text("def f(:):")
    rewrite(page, "x = 1\n")
    expect(mistake).to_be_hidden()


def test_a_new_file_is_made_and_the_editor_is_as_high_as_the_screen_has_room(bench, workbench):
    page = bench("plain.py", size={"width": 1280, "height": 1100})
    assert page.locator(".ff-editor").evaluate("e => e.clientHeight") > 750  # of 16 lines, it was 340
    page.get_by_role("button", name="New file").click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("plain.py")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("plain.py exists already")
    page.keyboard.press("Control+A")
    page.keyboard.type("tides.py")
    page.keyboard.press("Enter")
    expect(page.get_by_label("UDF files").locator("[aria-current=true]")).to_have_text("tides.py")
    expect(page.locator(".cm-content")).to_contain_text("@fanfold.udf")
    expect(page).to_have_title("tides.py · Fanfold")
    (workbench.folder / "tides.py").unlink()


def test_a_machine_starts_only_on_shift_enter_and_after_a_confirmation(bench, picture):
    page = bench("heavy.py")
    expect(page.get_by_text("It runs on small. Press Shift+Enter")).to_be_visible()
    expect(page.get_by_role("button", name="Run (Shift+Enter)")).to_have_count(0)
    page.get_by_label("x: int").press("Shift+Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("small: 2 vCPU, 2 GB, served by c5.large")
    expect(dialog).to_contain_text("$0.085 per hour, up in 30 s")
    picture(page, "workbench-confirm")
    dialog.get_by_role("button", name="Not now").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("Result", exact=True)).to_have_count(0)  # and nothing was started
    page.get_by_label("x: int").press("Shift+Enter")
    page.get_by_role("button", name="Start small").click()
    expect(page.get_by_label("Result", exact=True)).to_contain_text("42")


def test_the_form_follows_what_is_typed_and_a_value_that_does_not_fit_is_refused(bench):
    page = bench()
    page.get_by_label("n: int").fill("1.5")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_role("alert")).to_contain_text("1.5")
    page.get_by_label("n: int").fill("8")
    rewrite(page, "import fanfold\n\n@fanfold.udf\ndef delays(n: int = 3, more: float = 0.5): ...\n")
    expect(page.get_by_label("more: float")).to_have_value("0.5")
    expect(page.get_by_label("n: int")).to_have_value("8")  # what was filled in stays
    rewrite(page, HEAVY)
    expect(page.get_by_text("It runs on small. Press Shift+Enter")).to_be_visible()
    expect(page.get_by_role("button", name="Run (Shift+Enter)")).to_have_count(0)


def test_a_machine_that_only_shows_when_the_file_is_imported_is_asked_for_all_the_same(bench):
    page = bench()
    rewrite(page, HEAVY.replace('"small"', '"SMALL".lower()'))
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_role("alert")).to_contain_text("It runs on small. Press Shift+Enter")
    expect(page.get_by_label("Result", exact=True)).to_have_count(0)
    page.keyboard.press("Shift+Enter")
    page.get_by_role("button", name="Start small").click()
    expect(page.get_by_label("Result", exact=True)).to_contain_text("42")


def test_many_inputs_are_submitted_after_their_plan(bench, picture):
    page = bench()
    expect(page.get_by_role("button", name="Submit")).to_have_count(0)
    page.get_by_label("One a line").fill('2013-01-01\n2013-01-02\n{"day": "2013-01-03", "n": 7}')
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("delays over 3 inputs")).to_be_visible()
    expect(page.get_by_label("One a line")).to_have_value('2013-01-01\n2013-01-02\n{"day": "2013-01-03", "n": 7}')
    picture(page, "workbench-plan")
    page.get_by_role("button", name="Submit 3 inputs").click()
    expect(page.get_by_text("Submitted 3 runs:")).to_be_visible()
    page.get_by_role("link", name="job 2").click()
    expect(page.get_by_role("status").first).to_have_text("Completed")


def test_what_was_changed_elsewhere_is_not_overwritten(bench, workbench):
    page = bench()
    rewrite(page, "# mine\n")
    (workbench.folder / "flights.py").write_text("# another hand\n")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_text("has been changed elsewhere").first).to_be_visible()  # whether the key found it or the page
    assert (workbench.folder / "flights.py").read_text() == "# another hand\n"


def test_what_was_typed_is_kept_when_another_file_is_opened(bench, workbench):
    page = bench()
    rewrite(page, "# kept\n")
    choose_file(page, "plain.py")
    expect(page.locator(".cm-content")).to_contain_text("x = 1")
    assert (workbench.folder / "flights.py").read_text() == "# kept\n"


def test_a_file_without_a_udf_says_so_and_its_plain_functions_are_run(bench):
    page = bench("plain.py")
    expect(page.get_by_text("no function with @fanfold.udf, and no other that could be run")).to_be_visible()
    rewrite(page, "def _own(x): ...\n\ndef area(width: float, height: float = 2.0):\n    return width * height\n")
    expect(page.get_by_text("no function with @fanfold.udf. Run calls area as it stands")).to_be_visible()
    page.get_by_label("width: float").fill("21")
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_label("Result", exact=True)).to_contain_text("42")


def test_it_has_no_serious_finding_of_axe_and_fits_a_phone(bench, picture):
    page = bench(size=NARROW)
    expect(page.get_by_label("n: int")).to_be_visible()
    page.get_by_role("button", name="Run (Shift+Enter)").click()  # which stands above what it gives
    expect(page.get_by_label("Result", exact=True)).to_contain_text("3 rows × 3 columns")
    page.get_by_label("n: int").scroll_into_view_if_needed()
    page.emulate_media(color_scheme="dark")
    picture(page, "workbench-phone-dark")
    assert fits(page, NARROW)
    assert not findings(page)


def test_a_link_to_a_file_that_is_gone_says_so(bench, workbench):
    page = bench()
    page.goto(f"{workbench.root}/workbench?file=gone.py")
    expect(page.get_by_role("alert").filter(has_text="There is no gone.py in this folder.")).to_be_visible()
