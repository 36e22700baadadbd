"""Somebody types while the server is still at work: what comes from it late takes nothing from under their hands."""

from __future__ import annotations

from contextlib import contextmanager

from playwright.sync_api import expect

from tests.workbench.conftest import rewrite, within

BEFORE = """\
import fanfold


@fanfold.udf
def f(first: str = "a", n: int = 3, day: str = "2013-01-31", unit: str = "min"):
    return repr((n, day, unit))
"""
#: Another form: one field is gone, one has come, all others stand elsewhere or are of another kind.
AFTER = """\
from datetime import date

import fanfold


@fanfold.udf
def f(unit: str = "h", day: date = date(2013, 1, 31), n: float = 4, more: int = 1):
    return repr((n, day, unit))
"""


def hold(page):
    """What the server sends to this page waits from now on."""
    page.evaluate("""() => {
      const real = window.socket.onevent, waiting = (window.heldBack = []);
      window.socket.onevent = (packet) => waiting.push(packet);
      window.letGo = () => {
        window.socket.onevent = real;
        for (const packet of waiting) real.call(window.socket, packet);
      };
    }""")


@contextmanager
def held(page):
    """What the server sends to this page waits until the end of the block: so late it may always come."""
    hold(page)
    yield
    page.evaluate("window.letGo()")


def opened(bench):
    page = bench()
    rewrite(page, BEFORE)
    expect(page.get_by_label("first: str")).to_be_visible()
    return page


def test_a_field_that_is_typed_into_keeps_its_text_its_mark_and_the_focus_when_the_form_changes(bench):
    page = opened(bench)
    number = page.get_by_label("n: int")
    with held(page):
        rewrite(page, AFTER)
        number.focus()
        number.press("Control+A")
    expect(page.get_by_label("more: int")).to_be_visible()
    number = page.get_by_label("n: float")
    expect(number).to_be_focused()
    expect(number).to_have_attribute("placeholder", "4")
    page.keyboard.type("1e")  # goes in the place of what was marked: half a number
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_role("alert").filter(has_text="half typed")).to_contain_text("n is half typed")
    page.keyboard.type("2")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Result", exact=True)).to_contain_text("(100.0, datetime.date(2013, 1, 31), 'h')")


def test_a_field_that_changes_its_kind_hands_over_what_was_typed_meanwhile_and_the_focus(bench):
    page = opened(bench)
    with held(page):
        rewrite(page, AFTER)
        page.get_by_label("day: str").fill("2014-02-03")
    day = page.get_by_label("day: date")
    expect(day).to_have_value("2014-02-03")
    expect(day).to_be_focused()
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Result", exact=True)).to_contain_text("(4, datetime.date(2014, 2, 3), 'h')")


def test_the_caret_stays_where_it_is_in_a_field_that_changes_its_place(bench):
    page = opened(bench)
    unit = page.get_by_label("unit: str")
    with held(page):
        rewrite(page, AFTER)
        unit.press("End")
        unit.press("ArrowLeft")
        unit.press_sequentially("--")
        unit.press("Shift+ArrowLeft")
    expect(page.get_by_label("more: int")).to_be_visible()
    expect(unit).to_be_focused()
    page.keyboard.type("+")
    expect(unit).to_have_value("mi-+n")


def test_a_name_that_is_typed_anew_and_a_decorator_that_is_gone_for_a_moment_lose_nothing_of_the_form(bench):
    page = opened(bench)
    page.get_by_label("unit: str").fill("km")
    for text in (BEFORE.replace("unit", "uni"), BEFORE, BEFORE.replace("@fanfold.udf", "@fanfold.ud"), BEFORE):
        rewrite(page, text)
        shown = {"uni: str": "uni: str" in text, "unit: str": "unit: str" in text and "udf" in text}
        for name, is_there in shown.items():
            expect(page.get_by_label(name)).to_have_count(int(is_there))
    expect(page.get_by_label("unit: str")).to_have_value("km")


def test_many_inputs_and_their_file_stay_as_they_are_when_the_form_changes(bench, tmp_path):
    page = opened(bench)
    inputs, chosen = page.get_by_label("One a line"), page.get_by_label("or a file")
    (tmp_path / "days.csv").write_text("first\nx\n")
    chosen.set_input_files(tmp_path / "days.csv")
    with held(page):
        rewrite(page, AFTER)
        inputs.fill("one\ntwo")
        inputs.press("Home")
    expect(page.get_by_label("more: int")).to_be_visible()
    expect(inputs).to_be_focused()
    page.keyboard.type(">")
    expect(inputs).to_have_value("one\n>two")
    assert chosen.evaluate("e => e.files[0].name") == "days.csv"


def test_what_was_planned_is_offered_no_more_once_the_form_or_the_code_is_another(bench):
    page = opened(bench)
    page.get_by_label("One a line").fill("x\ny")
    submit = page.get_by_role("button", name="Submit 2 inputs")
    for change in (lambda: page.get_by_label("unit: str").fill("km"), lambda: rewrite(page, AFTER)):
        page.get_by_role("button", name="Plan").click()
        expect(submit).to_be_visible()
        change()
        expect(submit).to_be_hidden()


def test_what_is_typed_while_the_disk_brings_another_text_stays_and_is_what_runs(bench, workbench):
    page = bench()
    with held(page):
        (workbench.folder / "flights.py").write_text("# another hand\n")
        page.wait_for_function("heldBack.some(({ data }) => JSON.stringify(data).includes('another hand'))")
        page.get_by_text("import fanfold").click()
        page.keyboard.press("Home")
        page.keyboard.type("# mine\n")
    expect(page.get_by_label("Differences")).to_contain_text("+# mine")
    expect(page.locator(".cm-content")).to_contain_text("# mine")
    page.get_by_role("button", name="Keep my text").click()
    page.get_by_role("button", name="Save (Ctrl+S)").click()
    expect(page.get_by_text("unsaved")).to_be_hidden()
    assert (workbench.folder / "flights.py").read_text().startswith("# mine\nimport fanfold")


def test_typing_while_another_file_is_opened_never_saves_what_the_page_does_not_show(bench, workbench):
    page = bench()
    with held(page):
        page.get_by_label("UDF files").get_by_role("button", name="heavy.py").click()
        page.get_by_text("import fanfold").click()
        page.keyboard.press("Home")
        page.keyboard.type("# mine\n")
    expect(page.get_by_label("UDF files").locator("[aria-current=true]")).to_have_text("heavy.py")
    expect(page.locator(".cm-content")).to_contain_text("def heavy")
    page.keyboard.press("Control+s")
    page.get_by_role("button", name="Save (Ctrl+S)").click()
    shown = page.evaluate("window.ff.editor.text()")
    assert "def heavy" in shown
    within(30, lambda: (workbench.folder / "heavy.py").read_text() == shown)
    expect(page.get_by_text("unsaved")).to_be_hidden()


def test_a_field_that_nobody_typed_into_shows_the_default_that_the_code_has_now(bench):
    page = opened(bench)
    page.get_by_label("n: int").focus()
    page.get_by_label("unit: str").focus()
    with held(page):
        rewrite(page, BEFORE.replace("= 3", "= 4").replace('"min"', '"h"'))
        page.get_by_label("unit: str").focus()
    expect(page.get_by_label("n: int")).to_have_value("4")
    expect(page.get_by_label("unit: str")).to_have_value("min")  # as long as somebody is in it
    page.get_by_label("n: int").focus()
    expect(page.get_by_label("unit: str")).to_have_value("h")
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_label("Result", exact=True)).to_contain_text("(4, '2013-01-31', 'h')")
