"""The form sends what was typed and nothing else, as what it stands for; many inputs are a text or a file."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from playwright.sync_api import expect

from tests.workbench.conftest import rewrite

TYPES = """\
from typing import Literal, Optional

import fanfold


@fanfold.udf
def f(a, b=3, d=True, e=1.5, n: Literal[1, 2] = 1, on: Literal[True, False] = True, limit: Optional[int] = 5, **rest):
    return repr((a, b, d, e, n, on, limit, rest))
"""


SQUARE = "import fanfold\n\n@fanfold.udf\ndef square(x: int):\n    return x * x\n"


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


def planned(page, count):
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("button", name=f"Submit {count}")).to_be_visible()


def test_more_than_a_megabyte_of_inputs_is_planned_whole(bench):
    page = bench()
    rewrite(page, SQUARE)
    expect(page.get_by_label("x: int")).to_be_visible()
    page.get_by_label("One a line").evaluate(
        "e => { e.value = Array.from({length: 60000}, (_, i) => '1000000000000000' + i).join('\\n');"
        " e.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    planned(page, "60,000 inputs")


def test_inputs_are_a_range(bench):
    page = bench()
    rewrite(page, SQUARE)
    expect(page.get_by_label("x: int")).to_be_visible()
    page.get_by_label("One a line").fill("range(0, 100, 10)")
    planned(page, "10 inputs")


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl", "geojson"])
def test_inputs_are_the_rows_of_a_file(bench, tmp_path, kind):
    page, path = bench(), tmp_path / f"inputs.{kind}"
    frame = pd.DataFrame({"day": ["first", "second"], "n": [1, 2]})
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        geopandas = pytest.importorskip("geopandas")
        rewrite(page, "import fanfold\n\n@fanfold.udf\ndef area(day: str, n: int, geometry=None):\n    return n\n")
        shapes = geopandas.points_from_xy([0, 1], [0, 1])
        geopandas.GeoDataFrame(frame, geometry=shapes, crs=4326).to_file(path, driver="GeoJSON")
    page.get_by_label("or a file").set_input_files(path)
    planned(page, "2 inputs")


def test_a_file_that_holds_no_inputs_says_so(bench, tmp_path):
    page, path = bench(), tmp_path / "notes.docx"
    path.write_text("no inputs")
    page.get_by_label("or a file").set_input_files(path)
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("alert")).to_contain_text("notes.docx cannot be read as inputs")
