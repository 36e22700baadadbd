"""A collected frame as a file: the arguments lead, nothing is lost, and nothing is half-written."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import Point

from fanfold.errors import CodecError, InputError
from fanfold.job.export import check_target, without_index, write_frame


def indexed(*levels, **columns):
    return pd.DataFrame(
        columns, index=pd.MultiIndex.from_arrays([values for _, values in levels], names=[n for n, _ in levels])
    )


def test_arguments_are_leading_columns_and_a_level_without_a_name_is_row():
    flat = without_index(indexed(("day", ["a", "a", "b"]), (None, [0, 1, 0]), delay=[1, 2, 3]))
    assert flat.to_dict("list") == {"day": ["a", "a", "b"], "row": [0, 1, 0], "delay": [1, 2, 3]}


def test_an_argument_that_is_a_column_too_stands_there_once_if_both_are_the_same():
    same = without_index(indexed(("day", ["a", "b"]), (None, [0, 0]), day=["a", "b"]))
    assert list(same.columns) == ["row", "day"]
    other = without_index(indexed(("day", ["a", "b"]), (None, [0, 0]), day=["x", "b"], arg_day=[1, 2]))
    assert other.to_dict("list") == {"arg_arg_day": ["a", "b"], "row": [0, 0], "day": ["x", "b"], "arg_day": [1, 2]}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_what_cannot_be_written_leaves_the_older_file_as_it_was(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_text("older")
    half = pd.Series(["\ud800"], dtype=object)  # half a character: no file can hold it
    with pytest.raises(CodecError, match=f"{suffix} cannot hold"):
        write_frame(pd.DataFrame({"a": half}), path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_mixed_values_that_parquet_refuses_fit_into_json_lines(tmp_path):
    frame = indexed(("x", [1, 2]), result=[1, "a"])
    with pytest.raises(CodecError, match=r"\.jsonl"):
        write_frame(frame, tmp_path / "out.parquet")
    write_frame(frame, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == '{"x":1,"result":1}\n{"x":2,"result":"a"}\n'


def test_json_lines_keep_all_digits_of_a_number(tmp_path):
    numbers = [1.5e-20, 0.1234567890123456, 1e300, None]
    write_frame(pd.DataFrame({"p": numbers}), tmp_path / "out.jsonl")
    assert [json.loads(line)["p"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == numbers


@pytest.mark.parametrize(("suffix", "shape"), [(".csv", "POINT (0 1)"), (".jsonl", '"place":"POINT (0 1)"}')])
def test_shapes_are_text_that_other_programs_read(tmp_path, suffix, shape):
    frame = geopandas.GeoDataFrame({"n": [1], "place": [Point(0, 1)]}, geometry="place")
    write_frame(frame, tmp_path / f"out{suffix}")
    assert (tmp_path / f"out{suffix}").read_text().endswith(f"{shape}\n")
    assert frame.place.iloc[0] == Point(0, 1)


def test_a_cell_of_csv_holds_all_of_an_array_a_series_or_a_frame(tmp_path):
    values = [np.arange(3000), pd.Series([1.5, 2]), pd.Series([3], index=["a"]), pd.DataFrame({"x": [1], "y": ["b"]})]
    whole = [list(range(3000)), [1.5, 2.0], {"a": 3}, [{"x": 1, "y": "b"}], {"a": [0, 1]}, ["b"]]
    values += [{"a": np.arange(2)}, ["b"]]
    frame = indexed(("n", list(range(8))), result=pd.Series([*values, "text", 7], dtype=object).to_numpy())
    write_frame(frame, tmp_path / "out.csv")
    *cells, text, number = pd.read_csv(tmp_path / "out.csv")["result"]
    assert [json.loads(cell) for cell in cells] == whole
    assert (text, number) == ("text", "7")


def test_a_target_is_checked_before_anything_is_waited_for(tmp_path):
    check_target(tmp_path / "out.csv")
    for wrong in (tmp_path / "out", tmp_path / "nowhere" / "out.csv"):
        with pytest.raises(InputError):
            check_target(wrong)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_a_format_of_shapes_without_any_says_what_to_return(tmp_path, suffix):
    with pytest.raises(CodecError) as refused:
        write_frame(pd.DataFrame({"a": [1]}), tmp_path / f"out{suffix}")
    assert refused.value.next_step == "write .parquet or .csv, or have the UDF return a GeoDataFrame, or shapes."
    assert write_frame(pd.DataFrame({"a": [1]}), tmp_path / "out.parquet").a.to_list() == [1]
