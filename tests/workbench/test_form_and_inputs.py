"""The form sends what was typed and nothing else, as what it stands for; many inputs are a text or a file."""

from __future__ import annotations

import json

import geopandas
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


def test_more_than_a_megabyte_of_inputs_is_planned_whole_and_a_range_as_well(bench):
    page = bench()
    rewrite(page, SQUARE)
    expect(page.get_by_label("x: int")).to_be_visible()
    page.get_by_label("One a line").evaluate(
        "e => { e.value = Array.from({length: 12000}, (_, i) => '1'.repeat(95) + i).join('\\n');"
        " e.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    planned(page, "12,000 inputs")
    page.get_by_label("One a line").fill("range(0, 100, 10)")
    planned(page, "10 inputs")


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
    }
    for (kind, write), count in zip(writers.items(), ("2 inputs", "1 input", "4 inputs", "6 inputs"), strict=True):
        path = tmp_path / f"inputs.{kind}"
        write(path)
        page.get_by_label("or a file").set_input_files(path)
        planned(page, count)
    path = tmp_path / "notes.docx"
    path.write_text("no inputs")
    page.get_by_label("or a file").set_input_files(path)
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("alert")).to_contain_text("notes.docx cannot be read as inputs")
