"""The form sends what was typed and nothing else, as what it stands for; many inputs are a text or a file."""

from __future__ import annotations

import datetime as dt
import json
import math
import time

import geopandas
import pandas as pd
import pytest
from playwright.sync_api import expect

import fanfold
from tests.workbench.browser import at_rest
from tests.workbench.conftest import rewrite

TYPES = """\
from typing import Literal, Optional

import fanfold


@fanfold.udf
def f(a, b=3, d=True, e=1.5, n: Literal[1, 2] = 1, on: Literal[True, False] = True, limit: Optional[int] = 5, **rest):
    return repr((a, b, d, e, n, on, limit, rest))
"""


#: Puts a long text into a field at once, as a paste does: typed by a driver it would take Chromium minutes.
_PASTE = "(e, text) => { e.value = text; e.dispatchEvent(new Event('input', {bubbles: true})); }"
#: Both ways of a socket's messages.
_WAYS = ("framesent", "framereceived")
SQUARE = "import fanfold\n\n@fanfold.udf\ndef square(x: int):\n    return x * x\n"


@fanfold.udf
def f(at, code, top):
    return at


@pytest.fixture
def form(bench):
    page = bench()
    rewrite(page, TYPES)
    expect(page.get_by_label("a (required)")).to_be_visible()
    return page


def ran(page):
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    result = page.get_by_label("Result", exact=True).locator("pre")
    expect(result).to_be_visible()
    return result


def test_an_untouched_form_leaves_every_default_as_it_is(form):
    form.get_by_label("a (required)").fill("7")
    expect(ran(form)).to_have_text("('7', 3, True, 1.5, 1, True, 5, {})")


def test_what_is_typed_and_chosen_arrives_as_the_value_it_stands_for(form):
    form.get_by_label("a (required)").fill("7")
    form.get_by_label("b", exact=True).fill("4")
    form.get_by_label("e", exact=True).fill("2.5")
    form.get_by_label("n: Literal[1, 2]").select_option("2")
    form.get_by_label("on: Literal").select_option("False")
    form.get_by_label("limit is None").check()
    form.get_by_label("**rest").fill('{"more": [1]}')
    expect(ran(form)).to_have_text("('7', 4, True, 2.5, 2, False, None, {'more': [1]})")


SEVERAL = """\
from typing import Literal

import fanfold


@fanfold.udf
def f(*several: int, late: bool, unit: Literal["min", None] = "min", **named):
    return repr((several, late, unit, named))
"""


def test_every_kind_of_parameter_has_a_field_and_what_has_to_be_chosen_is_said_to_be(bench):
    page = bench()
    rewrite(page, SEVERAL)
    late = page.get_by_label("late: bool (required)")
    expect(late.locator("option").first).to_have_text("choose one")
    expect(page.get_by_label("unit: Literal").locator("option").first).to_have_text("as the UDF says (min)")
    late.select_option("false")
    page.get_by_label("*several: int").fill("[1, 2]")
    page.get_by_label("**named").fill("{'more': None}")
    page.get_by_label("unit is None").check()
    expect(ran(page)).to_have_text("((1, 2), False, None, {'more': None})")


HALVES = """\
from datetime import date

import fanfold


@fanfold.udf
def f(n: int = 3, day: date = date(2013, 1, 31), words: str = "one\\ntwo"):
    return repr((n, day, words))
"""


def test_half_a_number_or_date_is_not_taken_for_the_default_and_an_emptied_field_says_what_it_is(bench):
    page = bench()
    rewrite(page, HALVES)
    number, day = page.get_by_label("n: int"), page.get_by_label("day: date")
    number.press("Control+A")
    number.press_sequentially("1e")
    page.keyboard.press("Shift+Enter")
    alert = page.get_by_role("alert").filter(has_text="half typed")
    expect(alert).to_contain_text("n is half typed, and no number yet.")
    number.fill("")
    expect(number).to_have_attribute("placeholder", "3")
    day.focus()
    page.keyboard.press("Delete")  # the month, of month, day and year
    page.keyboard.press("Shift+Enter")
    expect(alert).to_contain_text("day is half typed, and no date yet.")
    day.fill("2014-02-03")
    page.get_by_label("words").fill("three\nfour")
    expect(ran(page)).to_have_text("(3, datetime.date(2014, 2, 3), 'three\\nfour')")


MOMENTS = """\
from datetime import datetime

import fanfold


@fanfold.udf
def f(at: datetime = datetime(2013, 1, 31), code: int | str = 0, top: float = 1.0):
    return repr((at.isoformat(), code, top))
"""


def test_an_input_that_a_browsers_own_fields_would_drop_stands_there_as_text_and_arrives_as_it_was(
    bench, store, workbench
):
    page = bench()
    (workbench.folder / "flights.py").write_text(MOMENTS)
    given = {
        "at": dt.datetime(2014, 2, 3, 4, 5, 6, 7, dt.timezone(dt.timedelta(hours=2))),
        "code": "8",
        "top": math.inf,
    }
    header = store.job(f, [given], cache=False)
    store.fails(header, 0)
    page.goto(f"{workbench.root}/workbench?file=flights.py&udf=f&job={header.id}&run=0")
    expect(page.get_by_label("at: datetime")).to_have_value("2014-02-03T04:05:06.000007+02:00")
    expect(page.get_by_label("code: int | str")).to_have_value("'8'")
    expect(page.get_by_label("top: float")).to_have_value("inf")
    expect(ran(page)).to_have_text("('2014-02-03T04:05:06.000007+02:00', '8', inf)")
    page.get_by_label("code: int | str").fill("8")
    expect(ran(page)).to_have_text("('2014-02-03T04:05:06.000007+02:00', 8, inf)")


def planned(page, count):
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("button", name=f"Submit {count}")).to_be_visible()


def test_more_than_a_megabyte_of_inputs_is_planned_whole_and_a_range_as_well(bench):
    page = bench()
    rewrite(page, SQUARE)
    expect(page.get_by_label("x: int")).to_be_visible()
    page.get_by_label("One a line").evaluate(_PASTE, "\n".join("1" * 95 + str(n) for n in range(12_000)))
    planned(page, "12,000 inputs")
    page.get_by_label("One a line").fill("range(0, 100, 10)")
    planned(page, "10 inputs")


_PASTE_CODE = """(content, text) => { const data = new DataTransfer(); data.setData("text/plain", text);
content.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })); }"""


def test_more_than_a_megabyte_of_code_is_pasted_marked_read_and_saved_whole(bench, workbench):
    page = bench()
    code = f"# {'a long line ' * 10}\n" * 9_000 + SQUARE
    rewrite(page, "")
    page.locator(".cm-content").evaluate(_PASTE_CODE, code)
    expect(page.get_by_text("unsaved")).to_be_visible()
    expect(page.get_by_label("x: int")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.get_by_text("unsaved")).to_be_hidden()
    assert (workbench.folder / "flights.py").read_text() == code


def test_no_key_sends_the_whole_text(bench, workbench):
    """What is typed travels as what it changes: code as edits, inputs not before they are planned."""
    (workbench.folder / "flights.py").write_text(SQUARE + "# a comment, and more of it\n" * 2_000)
    page, frames, posts = bench(), [], []
    listeners = {
        "websocket": lambda socket: [socket.on(way, lambda data: frames.append(len(data))) for way in _WAYS],
        "request": lambda request: posts.append(request.url) if request.method == "POST" else None,
    }
    keys = "2345", "  # typed", "y: int = 4\n"
    for event, listener in listeners.items():
        page.on(event, listener)
    page.reload()
    page.get_by_label("One a line").evaluate(_PASTE, "12345678\n" * 6_000)
    expect(page.get_by_label("x: int")).to_be_visible()
    at_rest(page, quiet_ms=500)
    assert sum(frames) > 50_000  # what is measured holds the text when the file is opened
    frames.clear()
    posts.clear()
    began = time.monotonic()
    page.get_by_label("One a line").press_sequentially(keys[0])
    page.get_by_text("def square(x: int):").click()
    page.keyboard.press("End")
    page.keyboard.type(keys[1])
    page.keyboard.press("Control+Home")
    page.keyboard.type(keys[2])
    expect(page.get_by_text("unsaved")).to_be_visible()
    at_rest(page, quiet_ms=500)
    assert frames
    assert sum(frames) < 20_000, frames
    assert all("/workbench/drafts" in url for url in posts)
    # Kept where the keys pause, not with each: on a slow machine they pause after each of them.
    assert len(posts) <= 1 + (time.monotonic() - began) / 0.3
    for event, listener in listeners.items():
        page.remove_listener(event, listener)


def test_inputs_are_the_rows_of_a_file_and_one_that_holds_none_says_so(bench, tmp_path):
    page = bench()
    frame = pd.DataFrame({"day": ["first", "second"], "n": [1, 2]})
    shapes = geopandas.GeoDataFrame(frame, geometry=geopandas.points_from_xy([0, 1], [0, 1]), crs=4326)
    rewrite(page, "import fanfold\n\n@fanfold.udf\ndef area(day: str, n: int, geometry=None):\n    return n\n")
    expect(page.get_by_label("geometry").first).to_be_visible()
    writers = {
        "csv": lambda path: frame.to_csv(path, index=False),
        "parquet": frame.head(1).to_parquet,
        "jsonl": lambda path: path.write_text(
            "".join(json.dumps(row) + "\n" for row in [*frame.to_dict("records")] * 2)
        ),
        "geojson": lambda path: pd.concat([shapes] * 3).to_file(path, driver="GeoJSON"),
        "gpkg": lambda path: pd.concat([shapes] * 4).to_file(path, driver="GPKG"),
        "geo.parquet": lambda path: pd.concat([shapes] * 5).to_parquet(path),
    }
    counts = ("2 inputs", "1 input", "4 inputs", "6 inputs", "8 inputs", "10 inputs")
    for (kind, write), count in zip(writers.items(), counts, strict=True):
        path = tmp_path / f"inputs.{kind}"
        write(path)
        page.get_by_label("or a file").set_input_files(path)
        planned(page, count)
    path = tmp_path / "notes.docx"
    path.write_text("no inputs")
    page.get_by_label("or a file").set_input_files(path)
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("alert")).to_contain_text("notes.docx cannot be read as inputs")
