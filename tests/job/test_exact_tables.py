"""Results put together as one table keep what pandas and Arrow would change: large integers, a CRS, times."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely

from fanfold.errors import CodecError
from fanfold.job.export import write_frame
from fanfold.job.results import fold_results

#: The first integer that is no float.
LARGE = 2**53 + 1


def together(*values) -> pd.DataFrame:
    return fold_results(list(range(len(values))), values)


def tables_of(column):
    """A table of each library that has such a column."""
    polars = pytest.importorskip("polars")
    return [polars.DataFrame({"n": column}), pa.table({"n": column})]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([pd.DataFrame({"n": [LARGE]}), pd.DataFrame({"m": [1]})], [LARGE, pd.NA]),
        ([pd.DataFrame({"n": [LARGE]}), pd.DataFrame({"n": [np.nan]})], [LARGE, pd.NA]),
        ([pd.DataFrame({"n": [LARGE]}), pd.DataFrame({"n": [0.5]})], [LARGE, 0.5]),
        ([pd.DataFrame({"n": [2**62 + 1]}), pd.DataFrame({"n": [2**63 + 1]})], [2**62 + 1, 2**63 + 1]),
        ([pd.DataFrame({"n": [-1]}), pd.DataFrame({"n": [2**63 + 1]})], [-1, 2**63 + 1]),
        ([{"n": LARGE}, {"m": 1}], [LARGE, pd.NA]),
        ([{"n": LARGE}, {"n": None}], [LARGE, pd.NA]),
        ([{"n": LARGE}, {"n": 0.5}], [LARGE, 0.5]),
        *(([table], [LARGE, pd.NA]) for table in tables_of([LARGE, None])),
    ],
)
def test_a_large_integer_stays_what_it_is_beside_a_gap_and_beside_a_float(values, expected):
    assert repr(together(*values)["n"].tolist()) == repr(expected)


def test_large_integers_in_lists_stay_what_they_are_beside_a_gap():
    for table in tables_of([[LARGE, None]]):
        assert together(table)["n"][0, 0].tolist() == [LARGE, None]


def test_integers_that_are_floats_too_stay_what_pandas_makes_of_them():
    for values in ([{"n": 1}, {"n": None}], [pd.DataFrame({"n": [1e300]}), pd.DataFrame({"n": [1]})]):
        assert together(*values)["n"].dtype == "float64"


def test_large_integers_beside_gaps_reach_every_file(tmp_path):
    frame = together(pd.DataFrame({"n": [LARGE]}), pd.DataFrame({"m": [1]}))
    for ending in (".parquet", ".csv", ".jsonl"):
        write_frame(frame, tmp_path / f"m{ending}")
    assert pd.read_parquet(tmp_path / "m.parquet", dtype_backend="pyarrow")["n"].tolist() == [LARGE, pd.NA]
    assert (tmp_path / "m.csv").read_text().splitlines()[1] == f"0,0,{LARGE},"
    assert f'"n":{LARGE},' in (tmp_path / "m.jsonl").read_text()


@pytest.mark.parametrize("plain_first", [True, False])
@pytest.mark.parametrize("plain", [pd.DataFrame({"n": [0]}), pd.DataFrame({"n": [0], "geometry": [None]})])
def test_shapes_keep_their_crs_beside_a_frame_without_any(plain, plain_first):
    shaped = gpd.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(1, 2)], crs=32633)
    frame = together(plain, shaped) if plain_first else together(shaped, plain)
    assert (type(frame), frame.crs.to_epsg()) == (gpd.GeoDataFrame, 32633)
    assert sorted(frame.geometry.notna()) == [False, True]


UTC = timezone.utc


@pytest.mark.parametrize(
    ("cells", "mixture"),
    [
        ([date(2024, 1, 1), datetime(2024, 1, 1, 5)], "dates beside times"),
        ([datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)], "times with and without a time zone"),
        ([pd.Timestamp("2024"), pd.NaT, pd.Timestamp("2024", tz="Europe/Paris")], "times with and without a time zone"),
        ([time(1, tzinfo=UTC)], "times of a day with a time zone"),
        ([timedelta(1), 1], "durations beside integers"),
        (["a", b"b"], "text beside bytes"),
    ],
)
def test_what_parquet_would_make_one_type_of_is_refused_by_the_column_s_name(tmp_path, cells, mixture):
    frame = pd.DataFrame({"when": pd.Series(cells, dtype=object)})
    with pytest.raises(CodecError, match=f"column 'when' holds {mixture}") as refused:
        write_frame(frame, tmp_path / "m.parquet")
    assert refused.value.next_step == "write .jsonl or .csv, or have the UDF return columns of one type each."
    write_frame(frame, tmp_path / "m.csv")


def test_times_of_two_zones_with_gaps_go_into_parquet(tmp_path):
    zones = [pd.Timestamp("2024", tz="America/New_York"), pd.NaT, None, pd.Timestamp("2024", tz="Europe/Paris")]
    write_frame(pd.DataFrame({"when": pd.Series(zones, dtype=object)}), tmp_path / "m.parquet")
    found = pd.read_parquet(tmp_path / "m.parquet")["when"]
    assert [found[0], found[3]] == [zones[0], zones[3]]


@pytest.mark.parametrize("ending", [".gpkg", ".fgb", ".geojson"])
def test_integers_that_a_layer_has_no_room_for_are_named(tmp_path, ending):
    frame = gpd.GeoDataFrame({"a": [1], "u": [2**63]}, geometry=[shapely.Point(0, 0)], crs=4326)
    with pytest.raises(CodecError, match="u holds integers of 2\\*\\*63 and more"):
        write_frame(frame, tmp_path / f"m{ending}")


class Season(Enum):
    DRY = 1
    WET = 2


@pytest.mark.parametrize("ending", [".parquet", ".gpkg"])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([Season.DRY, Season.WET], ["Season.DRY", "Season.WET"]),
        ([1, "1"], ["1", "1"]),
        ([10**30, None], [str(10**30), None]),
        ([Fraction(1, 3), Fraction(1, 2)], ["1/3", "1/2"]),
        ([range(3), range(4)], ["range(0, 3)", "range(0, 4)"]),
        ([1j, 2j], ["1j", "2j"]),
        (["a", None], ["a", None]),
    ],
)
def test_an_argument_of_which_a_file_makes_no_column_is_its_text_there(tmp_path, labels, expected, ending):
    shapes = gpd.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(0, 1)], crs=4326)
    path = tmp_path / f"m{ending}"
    write_frame(fold_results([{"x": label} for label in labels], [shapes] * 2), path)
    found = (gpd.read_parquet if ending == ".parquet" else gpd.read_file)(path)["x"]
    assert [None if pd.isna(one) else one for one in found] == expected


class Route(NamedTuple):
    km: int


@dataclass
class Place:
    name: str
    seen: object


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.Period("2024-01", "M"), "2024-01"),
        (pd.Interval(0, 1), "(0, 1]"),
        (1j, "1j"),
        (Fraction(1, 3), "1/3"),
        (Season.DRY, "Season.DRY"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\xff", "\\xff"),
        (np.array(3), 3),
        (range(3), "range(0, 3)"),
        ([pd.Period("2024-01", "M"), None], ["2024-01", None]),
        ([{"a": Season.WET}], [{"a": "Season.WET"}]),
        (np.array([1j, 2]), ["1j", "(2+0j)"]),
        (Place("x", Fraction(1, 2)), {"name": "x", "seen": "1/2"}),
        (Route(3), [3]),
    ],
    ids=repr,
)
def test_a_cell_that_json_has_no_form_for_is_its_text_and_not_what_lies_in_the_object(tmp_path, value, expected):
    frame = fold_results([{"x": 1}, {"x": 2}], [value, value])
    write_frame(frame, tmp_path / "m.jsonl")
    assert [json.loads(line)["result"] for line in (tmp_path / "m.jsonl").read_text().splitlines()] == [expected] * 2


def test_labels_of_one_type_of_pandas_go_into_json_lines(tmp_path):
    for labels in (list(pd.period_range("2024-01", "2024-02", freq="M")), list(pd.interval_range(0, 2)), [1j, 2j]):
        write_frame(fold_results([{"x": label} for label in labels], [1, 2]), tmp_path / "m.jsonl")
        lines = (tmp_path / "m.jsonl").read_text().splitlines()
        assert [json.loads(line)["x"] for line in lines] == list(map(str, labels))
