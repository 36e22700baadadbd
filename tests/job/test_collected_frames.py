"""All results as one frame, whatever the runs returned."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fanfold
from fanfold.job.results import argument_frame, fold_results


def frame(*values, name="v"):
    return pd.DataFrame({name: list(values)})


def test_arguments_lead_the_index_and_the_frames_own_follows():
    parts = [frame(1, 2).rename_axis("row"), frame(3).rename_axis("row")]
    together = fold_results([{"day": "mon", "n": 2}, {"day": "tue", "n": 1}], parts)
    assert together.index.names == ["day", "n", "row"]
    assert together.index.to_list() == [("mon", 2, 0), ("mon", 2, 1), ("tue", 1, 0)]
    assert together.v.to_list() == [1, 2, 3]


def test_a_frame_s_own_levels_are_all_kept():
    own = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["letter", "number"])
    together = fold_results([{"x": 9}], [pd.DataFrame({"v": [1, 2]}, index=own)])
    assert together.index.names == ["x", "letter", "number"]


def test_inputs_that_are_plain_data_by_now_are_labels_without_a_warning(home):
    """Nobody can define the rows of `itertuples`, whose text is the label. Warnings are errors in these tests."""
    places = pd.DataFrame({"name": ["a", "b"], "size": [3, 4]})
    job = fanfold.submit(lambda row: row.size, places.itertuples(index=False), collect=False).wait(120)
    assert job.collect().result.to_dict() == {"('a', 3)": 3, "('b', 4)": 4}


def test_arguments_may_repeat():
    together = fold_results([{"x": 1}, {"x": 1}], [frame(1), frame(2)])
    assert together.loc[1].v.to_list() == [1, 2]


@pytest.mark.parametrize("count", [1, 3])
def test_that_no_label_comes_twice_in_a_frame_is_not_said_of_all_together(count):
    parts = [frame(1).set_flags(allows_duplicate_labels=False) for _ in range(count)]
    together = fold_results([{"day": "mon"}] * count, parts)
    assert (len(together), together.flags.allows_duplicate_labels) == (count, True)
    assert not parts[0].flags.allows_duplicate_labels


def test_empty_frames_add_no_rows_and_change_no_types():
    empty = frame().astype({"v": "int64"})
    together = fold_results([{"x": x} for x in range(3)], [empty, frame(1, 2), frame().astype({"v": "float64"})])
    assert together.index.to_list() == [(1, 0), (1, 1)]
    assert together.v.dtype == "int64"


def test_where_all_frames_are_empty_the_columns_stay():
    together = fold_results([{"x": 1}, {"x": 2}], [frame(), frame()])
    assert (len(together), list(together.columns), together.index.names) == (0, ["v"], ["x", None])


def test_frames_with_other_columns_are_filled():
    together = fold_results([{"x": 1}, {"x": 2}], [frame(1), frame(2, name="w")])
    assert together.v.isna().to_list() == [False, True]


def test_flatten_false_keeps_one_frame_a_row():
    kept = fold_results([{"x": 1}, {"x": 2}], [frame(1, 2), frame(3)], flatten=False)
    assert kept.index.to_list() == [1, 2]
    pd.testing.assert_frame_equal(kept.result[1], frame(1, 2))


def test_a_mixture_is_kept_one_row_each():
    kept = fold_results([{"x": 1}, {"x": 2}, {"x": 3}], [frame(1), 5, None])
    assert isinstance(kept.result[1], pd.DataFrame)
    assert (kept.result[2], kept.result[3]) == (5, None)


def test_series_become_columns():
    together = fold_results([{"x": 1}, {"x": 2}], [pd.Series([1, 2], name="v"), pd.Series([3], name="v")])
    assert together.v.to_list() == [1, 2, 3]
    nameless = fold_results([{"x": 1}], [pd.Series([1, 2])])
    assert nameless.result.to_list() == [1, 2]


def test_polars_and_arrow_frames_are_concatenated_too():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    together = fold_results([{"x": 1}, {"x": 2}, {"x": 3}], [pl.DataFrame({"v": [1]}), pa.table({"v": [2]}), frame(3)])
    assert together.v.to_list() == [1, 2, 3]


def test_a_geodataframe_stays_one_with_its_crs():
    gpd = pytest.importorskip("geopandas")
    from shapely.geometry import Point

    parts = [gpd.GeoDataFrame({"v": [x]}, geometry=[Point(x, x)], crs=3857) for x in range(3)]
    together = fold_results([{"x": x} for x in range(3)], parts)
    assert isinstance(together, gpd.GeoDataFrame)
    assert together.crs == 3857
    assert together.geometry.x.to_list() == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([1, 2], "int64"), ([1.5, 2.5], "float64"), ([True, False], "bool"), ([1, 2.5], object), ([True, 1], object)],
    ids=["ints", "floats", "truths", "mixed numbers", "truth and number"],
)
def test_plain_values_keep_their_types(values, dtype):
    column = fold_results([{"x": number} for number in range(len(values))], values).result
    assert column.dtype == dtype
    assert [type(value) for value in column.tolist()] == [type(value) for value in values]


@pytest.mark.parametrize("value", [[1, 2], {1: "a"}, (1, 2), None, np.zeros(3)], ids=repr)
def test_any_value_stands_in_its_cell(value):
    cell = fold_results([{"x": 1}, {"x": 2}], [value, value]).result.iloc[0]
    assert type(cell) is type(value)
    assert np.array_equal(cell, value) if isinstance(value, np.ndarray) else cell == value


def test_an_argument_that_some_runs_lack_leaves_the_others_as_they_are():
    (_, missing), (_, given) = fold_results([{"x": 1}, {"x": 2, "y": 3}], [10, 20]).index
    assert pd.isna(missing)
    assert type(given) is int


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ([1, 2], "[1, 2]"),
        ({"a": 1}, "{'a': 1}"),
        ((1, 2), "(1, 2)"),
        (dt.date(2013, 1, 1), dt.date(2013, 1, 1)),
        ([0] * 100, repr([0] * 100)[:79] + "…"),
    ],
    ids=["list", "dict", "tuple", "date", "long"],
)
def test_what_cannot_be_a_label_is_shown_as_text(label, expected):
    assert fold_results([{"x": label}], [1]).index[0] == expected


@pytest.mark.parametrize("value", [3, 2.5, "x", True, 1j], ids=repr)
def test_an_array_of_no_axes_is_labelled_by_what_is_in_it(value):
    assert fold_results([{"x": np.array(value)}], [1]).index.tolist() == [value]
    assert fold_results([{"x": np.array("2024-01-01", dtype="M8[D]")}], [1]).index[0] == pd.Timestamp("2024-01-01")


def test_runs_without_arguments_are_numbered():
    assert fold_results([{}, {}], [5, 6]).index.to_frame().run.to_list() == [0, 1]


def test_run_numbers_may_lead_the_index_instead():
    kept = fold_results([0, 2], [frame(1, 2), frame(3)])
    assert kept.index.to_list() == [(0, 0), (0, 1), (2, 0)]
    assert kept.index.names == ["run", None]


def test_no_results_make_an_empty_frame():
    assert fold_results([], []).columns.to_list() == ["result"]


def test_inputs_as_a_frame_have_one_row_a_run():
    arguments = argument_frame([{"x": 1, "y": "a"}, {"x": 2}])
    assert arguments.index.name == "run"
    assert arguments.x.to_list() == [1, 2]


def test_the_frames_that_are_collected_are_not_changed():
    only = frame(1, 2)
    fold_results([{"x": 1}], [only])
    pd.testing.assert_frame_equal(only, frame(1, 2))


def test_tables_arrays_and_geometries_as_arguments_are_labelled_by_the_run():
    import shapely

    frames = [pd.DataFrame({"m": [1]}), pd.DataFrame({"m": [2]})]
    columns = [pl.Series([1, 2]), pl.Series([3])], [pa.array([1]), pa.chunked_array([[2]])]
    arrays = [np.zeros(3), np.ones(3)], [[np.zeros(2)], [np.ones(2)]]
    for values in (frames, *arrays, *columns, [shapely.Point(0, 1)] * 2):
        index = fold_results([{"part": value} for value in values], frames).index
        assert (index.names[0], index.get_level_values(0).tolist()) == ("run", [0, 1])
    index = fold_results([{"part": frames[0], "k": "a"}, {"part": frames[1], "k": "b"}], [1, 2]).index
    assert (index.names, index.tolist()) == (["run", "k"], [(0, "a"), (1, "b")])


def test_features_and_items_of_a_catalog_are_labelled_by_their_id():
    items = [{"item": {"type": "Feature", "bbox": [0] * 40, "id": f"S2_{n}"}} for n in range(3)]
    assert fold_results(items, [frame(1), frame(2), frame(3)]).index.get_level_values("item").to_list() == [
        "S2_0",
        "S2_1",
        "S2_2",
    ]


def test_arguments_whose_texts_would_look_the_same_when_cut_are_told_apart_by_the_runs_number():
    items = [{"item": {"bbox": [0] * 40, "cloud": n}} for n in range(3)]
    together = fold_results(items, [frame(1), frame(2), frame(3)])
    assert together.index.get_level_values("run").to_list() == [0, 1, 2]


class Opaque:
    pass


@pytest.mark.parametrize("value", ["a" * 2000, b"\0" * 2000, tuple(range(1000)), Opaque()])
def test_what_nobody_could_read_as_a_label_is_labelled_by_the_run(value):
    index = fold_results([{"x": value}, {"x": "short"}], [1, 2]).index
    assert (index.name, index.tolist()) == ("run", [0, 1])


def test_names_of_files_that_are_no_text_stand_in_labels_and_cells():
    name = b"caf\xe9.tif".decode(errors="surrogateescape")
    frame = fold_results([{"name": name}, {"name": "b.tif"}], [name, "b.tif"])
    assert frame.index.tolist() == frame.result.tolist() == [name, "b.tif"]


WAITING = """
import sys, threading, time
from pathlib import Path
import fanfold

def waits(x: int, go: str):
    import os, time
    while not os.path.exists(go):
        time.sleep(0.02)
    return x

def let_go():
    while "pandas" not in sys.modules:
        time.sleep(0.02)
    Path(sys.argv[1]).touch()

assert "pandas" not in sys.modules
threading.Thread(target=let_go, daemon=True).start()
print(fanfold.submit(waits, range(2), go=sys.argv[1], cache=False).result.sum())
"""


def test_pandas_is_imported_while_runs_go_on_whose_results_become_a_frame(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WAITING)
    command = [sys.executable, str(script), str(tmp_path / "go")]
    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout == "1\n"


MADE_BY_PANDAS = """
import sys, threading, time
from pathlib import Path
import fanfold

def makes(x: int, go: str):
    import os, time
    import pandas as pd
    while not os.path.exists(go):
        time.sleep(0.02)
    return pd.DataFrame({"x": [x]})

def counts(x: int) -> int:
    import pandas as pd
    return len(pd.DataFrame({"x": [x]}))

def let_go():
    while "pandas" not in sys.modules:
        time.sleep(0.02)
    Path(sys.argv[1]).touch()

print(fanfold.submit(counts, range(2), collect=False, cache=False).results(), "pandas" in sys.modules)
threading.Thread(target=let_go, daemon=True).start()
results = fanfold.submit(makes, range(2), go=sys.argv[1], collect=False, cache=False).results()
print([len(frame) for frame in results])
"""


def test_pandas_is_imported_while_runs_go_on_that_may_return_what_they_make_by_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(MADE_BY_PANDAS)
    command = [sys.executable, str(script), str(tmp_path / "go")]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert told == "[1, 1] False\n[1, 1]\n", "a run that says it gives an int needs none"


FAILING = """
import fanfold

def fails(x: int):
    raise ValueError("no")

fanfold.submit(fails, range(2))
"""


def test_a_caller_that_ends_with_a_failure_meanwhile_says_no_more_than_that(tmp_path):
    """Its pandas takes long to import, and at last asks for what an interpreter that ends does not give."""
    (tmp_path / "pandas.py").write_text(
        "import time\ntime.sleep(1)\nfrom concurrent.futures import ThreadPoolExecutor\n"
    )
    (tmp_path / "script.py").write_text(FAILING)
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert "RunFailed" in done.stderr
    assert "atexit" not in done.stderr
    assert "pandas" not in done.stderr
