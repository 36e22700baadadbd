"""How a table or an array is shown where there is one line for it, as in the input of a run that failed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import xarray as xr

import fanfold
from fanfold.core.shown import on_one_line, short

DAYS = pd.DataFrame({"day": [1, 2], "depth": [1.0, 2.0], "a name that is far too long": [1, 2]})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (DAYS, "<DataFrame, 2 x 3: day, depth>"),
        (DAYS.day, "<Series, 2, int64>"),
        (pl.DataFrame({"a": [1]}), "<DataFrame, 1 x 1: a>"),
        (pa.table({"a": [1], "b": [2]}), "<Table, 1 x 2: a, b>"),
        (np.zeros((1000, 200)), "<ndarray, 1,000 x 200, float64>"),
        (np.zeros(3), "array([0., 0., 0.])"),
        (scipy.sparse.csr_array((3, 4)), "<csr_array, 3 x 4, float64>"),
        (xr.Dataset({"t": (("x",), [1])}), "<Dataset, x 1: t>"),
        ({"a": np.zeros(9)}, "{'a': <ndarray, 9, float64>}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_or_an_array_is_its_shape_and_its_type_or_its_first_columns(value, expected):
    assert short(value) == expected


def test_a_whole_value_has_them_in_their_place_and_no_line_breaks():
    given = {"part": DAYS, "parts": [np.zeros(9), (DAYS.day,)], "names": ["two  blanks", "b"], "n": {"s": {1}}}
    assert on_one_line(given) == (
        "{'part': <DataFrame, 2 x 3: day, depth, a name that is far too long>, 'parts': [<ndarray, 9, float64>,"
        " (<Series, 2, int64>,)], 'names': ['two  blanks', 'b'], 'n': {'s': {1}}}"
    )
    assert on_one_line([np.zeros(9)] * 1000).endswith("<ndarray, 9, float64>, ...]")
    assert "\n" not in on_one_line({"inside a set": Deep(DAYS)})
    given["n"]["n"] = given
    assert on_one_line(given).count("DataFrame") > 0


class Deep:
    def __init__(self, frame):
        self.frame = frame

    def __repr__(self):
        return f"Deep({self.frame!r})"


@fanfold.udf
def fails(part):
    raise ValueError(len(part))


def test_the_input_of_a_run_that_failed_is_one_line(home):
    with pytest.raises(fanfold.errors.RunFailed) as failed:
        fanfold.submit(fails, [{"part": DAYS}, {"part": DAYS[:1]}], progress=False)
    assert "  input: {'part': <DataFrame, 2 x 3: day, depth, a name that is far too long>}\n" in str(failed.value)
