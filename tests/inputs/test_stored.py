"""`fanfold.files` and `fanfold.rows`: inputs that lie in files. In S3: tests/cloud/test_stored_inputs.py."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanfold
from fanfold.core.matches import matches


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stands in a folder with scenes, and a folder of scenes."""
    (tmp_path / "north").mkdir()
    for name in ("b.tif", "a.tif", "a.txt", "north/c.tif", "a[1].tif"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("?.tif", ["a.tif", "b.tif"]),
        ("**/*.tif", ["a.tif", "a[1].tif", "b.tif", "north/c.tif"]),
        ("north", ["north/c.tif"]),
        ("a[1].tif", ["a[1].tif"]),  # there is such a file
        (Path("a.txt"), ["a.txt"]),
    ],
)
def test_a_pattern_gives_the_files_that_it_matches_in_order(folder, pattern, names):
    assert [os.fspath(path) for path in fanfold.files(pattern)] == names
    assert {type(path) for path in fanfold.files(folder / "**")} == {type(folder)}


def read(path: Path):
    return path.read_text()


def test_a_folder_whose_name_could_be_a_pattern_is_that_folder(folder):
    for name in ("tiles[1]", "tiles1"):
        (folder / name).mkdir()
        (folder / name / "a.tif").touch()
    assert list(fanfold.files("tiles[1]")) == [Path("tiles[1]/a.tif")]


@pytest.mark.parametrize("pattern", ["", "**", "**/*.tif", "north/**/*.tif"])
def test_links_that_go_round_give_each_file_once(folder, pattern):
    (folder / "north" / "up").symlink_to(folder)
    (folder / "north" / "again").symlink_to(folder / "north")
    (folder / "itself").symlink_to("itself")
    found = [os.fspath(path) for path in fanfold.files(folder / pattern)]
    assert found.count(os.fspath(folder / "north" / "c.tif")) == 1
    assert len(found) <= 6


_NAMES = st.sampled_from(["a", "b", ".hidden", "c[1]", "x.tif", "y.tif", ".z.tif"])
_PARTS = st.sampled_from(["**", "*", "a", "?", "*.tif", ".*", "c[[]1]", "x.tif"])


@given(
    files=st.sets(st.lists(_NAMES, min_size=1, max_size=4).map("/".join), max_size=8),
    parts=st.lists(_PARTS, max_size=4),
)
def test_a_pattern_matches_what_it_matches_by_glob(files, parts):
    with tempfile.TemporaryDirectory() as folder:
        for name in files:
            with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):  # a folder of that name is there
                (Path(folder, name).parent).mkdir(parents=True, exist_ok=True)
                Path(folder, name).touch(exist_ok=False)
        pattern = os.path.join(folder, *parts, "")
        for one in (pattern, pattern.rstrip("/")):
            there = {os.path.normpath(path) for path in glob.glob(one, recursive=True) if os.path.exists(path)}
            assert {os.path.normpath(path) for path in matches(one)} == there


def test_each_file_is_a_run_and_one_that_has_changed_is_read_again(folder):
    assert fanfold.submit(read, fanfold.files("?.tif"), collect=False).wait(120).results() == ["a.tif", "b.tif"]
    (folder / "b.tif").write_text("another")
    again = fanfold.submit(read, fanfold.files("?.tif"), collect=False).wait(120)
    assert again.results() == ["a.tif", "another"]
    assert again.counts() == {"succeeded": 1, "cached": 1}


def test_what_matches_nothing_is_refused_before_anything_starts(folder):
    with pytest.raises(fanfold.InputError, match=r"No file matches '\*\.jp2'"):
        fanfold.submit(read, fanfold.files("*.jp2"))
    assert fanfold.get_jobs() == []


def put_parts(folder):
    import pyarrow
    from pyarrow import parquet

    (folder / "part-1.csv").write_text("x,y\n1,2\n")
    (folder / "part-2.csv").write_text("x,y\n")  # an empty part of many
    (folder / "part-3.jsonl").write_text('{"x": 3, "y": 4}\n')
    parquet.write_table(pyarrow.table({"x": [5, 6], "y": [0, 1], "z": ["a", "b"]}), folder / "part-4.parquet")
    geo = {"columns": {"geometry": {"encoding": "point"}}}
    said = pyarrow.table({"geometry": [1]}).replace_schema_metadata({"geo": json.dumps(geo)})
    parquet.write_table(said, folder / "arrow.parquet")


def test_rows_of_several_files_are_one_list_of_inputs(folder):
    put_parts(folder)
    assert list(fanfold.rows("part-[123].*")) == [{"x": "1", "y": "2"}, {"x": 3, "y": 4}]
    assert list(fanfold.rows("part-4.parquet", columns=["y", "x"])) == [{"y": 0, "x": 5}, {"y": 1, "x": 6}]


def test_labels_of_rows_without_a_name_are_no_parameter_and_a_named_index_is_one(folder):
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2, 3]}, index=[4, 5, 6])
    frame.to_parquet(folder / "nameless.parquet")
    frame.rename_axis("day").to_parquet(folder / "named.parquet")
    assert list(fanfold.rows("nameless.parquet")) == [{"x": 1}, {"x": 2}, {"x": 3}]
    assert next(iter(fanfold.rows("named.parquet"))) == {"x": 1, "day": 4}


def test_csv_is_parted_as_its_header_is(folder):
    (folder / "comma.csv").write_text('x,y\n1;2,"3,4"\n')
    (folder / "semicolon.csv").write_text("x;y\n1,5;2\n")
    (folder / "tab.csv").write_text("x\ty\n1,5\t2\n")
    (folder / "quoted.csv").write_text('"town, land";x\nOslo;1\n')
    assert list(fanfold.rows("quoted.csv")) == [{"town, land": "Oslo", "x": "1"}]
    assert list(fanfold.rows("comma.csv")) == [{"x": "1;2", "y": "3,4"}]
    assert list(fanfold.rows("semicolon.csv")) == list(fanfold.rows("tab.csv")) == [{"x": "1,5", "y": "2"}]


@pytest.fixture
def lakes(folder):
    """Three layers of one content, as three formats have it."""
    geopandas, shapely = pytest.importorskip("geopandas"), pytest.importorskip("shapely")
    frame = geopandas.GeoDataFrame(
        {"name": ["A", "B"], "depth": [1.5, 20.0]}, geometry=[shapely.Point(1, 2), shapely.box(0, 0, 3, 1)], crs=4326
    )
    frame.to_file(folder / "lakes.gpkg")
    frame.to_file(folder / "lakes.geojson")
    frame.to_file(folder / "lakes.fgb")
    frame.to_parquet(folder / "lakes.parquet")
    return frame


def area(name: str, geometry):
    return name, geometry.area


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "parquet"])
def test_each_feature_of_a_layer_is_an_input_with_its_geometry(lakes, suffix):
    rows = list(fanfold.rows(f"lakes.{suffix}"))
    assert [(row["name"], row["depth"], row["geometry"].wkt) for row in rows] == [
        (name, depth, shape.wkt) for name, depth, shape in lakes[["name", "depth", "geometry"]].itertuples(index=False)
    ]
    wanted = fanfold.rows(f"lakes.{suffix}", columns=["name", "geometry"])
    assert fanfold.submit(area, wanted, collect=False).wait(120).results() == [("A", 0.0), ("B", 3.0)]


def test_of_several_layers_none_is_taken_silently_and_a_table_beside_one_is_none(lakes, folder):
    pyogrio = pytest.importorskip("pyogrio")
    pyogrio.write_dataframe(lakes[["name"]], folder / "lakes.gpkg", layer="layer_styles", append=True)
    assert [row["name"] for row in fanfold.rows("lakes.gpkg")] == ["A", "B"]
    lakes.to_file(folder / "lakes.gpkg", layer="rivers")
    with pytest.raises(fanfold.errors.InputError, match=r"(?s)lakes.gpkg has 2 layers: lakes, rivers.*layer='lakes'"):
        list(fanfold.rows("lakes.gpkg"))


@pytest.mark.parametrize(
    ("pattern", "columns", "said"),
    [
        ("part-2.csv", (), "part-2.csv holds no inputs"),
        ("part-*", ["z"], "part-1.csv has no column 'z'"),
        ("part-4.parquet", ["w"], "part-4.parquet has no column 'w'"),
        ("a.txt", (), "a.txt: inputs are not read from .txt"),
        ("broken.parquet", (), "broken.parquet is not Parquet that can be read"),
        ("broken.jsonl", (), "broken.jsonl:1: the line is not JSON"),
        ("broken.gpkg", (), "broken.gpkg cannot be read"),
        ("arrow.parquet", (), "arrow.parquet: the geometries of 'geometry' are written as point"),
        ("*.nothing", (), r"No file matches '\*.nothing'"),
    ],
)
def test_rows_that_cannot_be_had_are_refused_by_the_file(folder, pattern, columns, said):
    put_parts(folder)
    for name in ("broken.parquet", "broken.jsonl", "broken.gpkg"):
        (folder / name).write_text("{not}\n")
    with pytest.raises(fanfold.InputError, match=said):
        list(fanfold.rows(pattern, columns=columns))
