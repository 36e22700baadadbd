"""Collected results as files by their ending, and frames that pandas and GeoPandas can go on with."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import fanfold
from fanfold.errors import CodecError
from fanfold.job.results import fold_results

gpd = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")


def frame_or_none(i: int):
    return None if i == 2 else pd.DataFrame({"i": [i], "v": [i * 10]})


def record(i: int):
    return {"i": i, "name": f"n{i}", "tags": [i]}


def buffered(geometry, cell: int):
    return gpd.GeoDataFrame({"cell": [cell]}, geometry=[geometry.buffer(1)], crs=32633)


def mean_of(values):
    return float(np.mean(values))


@pytest.fixture(scope="module")
def grid():
    return gpd.GeoDataFrame({"cell": [1, 2]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)], crs=32633)


def test_one_none_among_frames_is_left_out_and_said(capsys):
    job = fanfold.submit(frame_or_none, range(4), collect=False).wait()
    frame = job.collect()
    assert frame["v"].tolist() == [0, 10, 30]
    assert "fanfold: 1 result is None, of 4, and left out" in capsys.readouterr().err
    assert job.results()[2] is None


def test_one_number_among_frames_or_dicts_is_said_to_keep_each_in_a_row(capsys):
    frame = pd.DataFrame({"v": [1, 2]})
    assert fold_results([0, 1, 2], [frame, 5, None])["result"][1] == 5
    assert "of several kinds (DataFrame, int), so each stands in a row of its own," in capsys.readouterr().err
    fold_results([0, 1], [{"a": 1}, "none"])
    assert "(dict, str)" in capsys.readouterr().err
    fold_results([0, 1], [1, "a"])
    fold_results([0, 1], [frame, 5], flatten=False)
    assert capsys.readouterr().err == ""


def test_dicts_make_columns(capsys):
    frame = fanfold.submit(record, range(3))
    assert list(frame.columns) == ["i", "name", "tags"]
    assert frame["name"].tolist() == ["n0", "n1", "n2"]
    assert frame.index.names == ["arg_i"]
    assert fanfold.submit(record, range(3), flatten=False)["result"].tolist()[1] == record(1)


def test_the_index_can_be_reset_where_a_udf_returns_its_own_argument():
    frame = fanfold.submit(frame_or_none, [0, 1])
    assert {"i", "v", "arg_i"} <= set(frame.reset_index().columns)


def test_arrays_and_frames_as_inputs_are_labelled_by_their_run():
    middle = np.zeros((2000, 20))
    other = middle.copy()
    other[1000, 10] = 1e9
    frame = fanfold.submit(mean_of, [{"values": middle}, {"values": other}])
    assert frame.index.names == ["run"]
    assert frame.index.tolist() == [0, 1]


@dataclass
class Table:
    rows: pd.DataFrame
    factor: int


def rows_of(table) -> int:
    return len(table["rows"] if isinstance(table, dict) else table.rows)


def test_what_holds_a_frame_is_labelled_by_its_run_and_a_feature_by_its_id():
    small, large = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": range(100)})
    for inputs in ([{"rows": small}, {"rows": large}], [Table(small, 1), Table(large, 2)]):
        frame = fanfold.submit(rows_of, [{"table": one} for one in inputs])
        assert (frame.index.names, frame["result"].tolist()) == (["run"], [1, 100])
    named = [{"id": name, "rows": small, "geometry": shapely.Point(0, 0)} for name in "ab"]
    assert fanfold.submit(rows_of, [{"table": one} for one in named]).index.tolist() == ["a", "b"]


def test_small_arguments_beside_a_shape_stay_labels(grid):
    frame = fanfold.submit(buffered, grid)
    assert frame.index.names == ["run", "arg_cell", None]
    assert frame["cell"].tolist() == [1, 2]


@pytest.mark.parametrize("ending", ["parquet", "geoparquet", "gpkg", "geojson", "fgb"])
def test_geometries_go_to_files_that_hold_them(grid, tmp_path, ending):
    job = fanfold.submit(buffered, grid, collect=False)
    path = tmp_path / f"out.{ending}"
    frame = job.collect(path)
    read = gpd.read_parquet(path) if ending.endswith("parquet") else gpd.read_file(path)
    assert sorted(read["cell"]) == [1, 2]  # FlatGeobuf sorts by place
    assert read.geometry.area.sum() == pytest.approx(frame.geometry.area.sum())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".parquet"])
def test_rings_are_lines_in_files(tmp_path, ending):
    """GDAL ends the process at a LinearRing."""

    def outline(squares: gpd.GeoDataFrame):
        return squares.assign(geometry=squares.exterior)

    squares = gpd.GeoDataFrame({"n": [1, 2]}, geometry=[shapely.box(0, 0, 1, 1), None], crs=4326)
    job = fanfold.submit(outline, [{"squares": squares}], collect=False)
    assert type(job.results()[0].geometry[0]) is shapely.LinearRing
    job.collect(tmp_path / f"m{ending}")
    found = (gpd.read_parquet if ending == ".parquet" else gpd.read_file)(tmp_path / f"m{ending}")
    assert (found.geom_type[0], found.geometry[0].length, found.geometry[1], found.crs) == ("LineString", 4, None, 4326)


def _feature(n):
    return {
        "type": "Feature",
        "id": f"f{n}",
        "geometry": {"type": "Point", "coordinates": [n, 1]},
        "properties": {"a": n},
    }


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".geoparquet"])
@pytest.mark.parametrize(
    ("results", "columns", "count"),
    [
        ([_feature(0), {**_feature(1), "geometry": None}], {"id", "a"}, 2),
        (
            [
                {"type": "FeatureCollection", "features": []},
                {"type": "FeatureCollection", "features": [_feature(1)] * 2},
            ],
            {"a"},
            2,
        ),
        ([{"type": "Point", "coordinates": [5, 6]}, {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}], set(), 2),
    ],
)
def test_geojson_as_results_is_a_layer_of_shapes(tmp_path, ending, results, columns, count):
    from fanfold.job.export import write_frame
    from fanfold.job.results import fold_results

    write_frame(fold_results([{"n": 0}, {"n": 1}], results), tmp_path / f"m{ending}")
    found = (gpd.read_parquet if ending == ".geoparquet" else gpd.read_file)(tmp_path / f"m{ending}")
    assert (len(found), found.crs.to_epsg()) == (count, 4326)
    assert columns < set(found.columns) or not columns
    assert sum(shape is not None for shape in found.geometry) == (1 if "id" in columns else 2)
    if columns:
        assert sorted(found["a"]) in ([0, 1], [1, 1])


def test_a_map_shows_features_too():
    from fanfold.job.map import map_of_shapes
    from fanfold.job.results import fold_results

    assert "1 shape" in map_of_shapes(fold_results([{"n": 0}], [_feature(0)]))._repr_html_()


def test_columns_that_gdal_has_names_for_itself_stay(tmp_path):
    from fanfold.job.export import write_frame

    frame = gpd.GeoDataFrame({"fid": [1, 1], "GEOM": ["u", "v"]}, geometry=[shapely.Point(0, 0), None], crs=4326)
    for ending in (".gpkg", ".fgb"):
        write_frame(frame, tmp_path / f"m{ending}")
        found = gpd.read_file(tmp_path / f"m{ending}")
        assert (found["fid"].tolist(), found["GEOM"].tolist()) == ([1, 1], ["u", "v"])
        assert [shape is None for shape in found.geometry] == [False, True]


def test_columns_that_a_layer_has_no_room_for_are_named(tmp_path):
    from fanfold.job.export import write_frame

    frame = gpd.GeoDataFrame({"a": [1], "A": [2], "t": pd.to_timedelta([1])}, geometry=[shapely.Point(0, 0)], crs=4326)
    with pytest.raises(CodecError, match="a and A are one name"):
        write_frame(frame.drop(columns="t"), tmp_path / "m.gpkg")
    with pytest.raises(CodecError, match="t holds durations") as refused:
        write_frame(frame, tmp_path / "m.fgb")
    assert refused.value.next_step == "have the UDF return seconds: `.dt.total_seconds()`."
    assert list(tmp_path.iterdir()) == []


def test_text_files_hold_shapes_as_wkt(grid, tmp_path):
    job = fanfold.submit(buffered, grid, collect=False)
    job.collect(str(tmp_path / "out.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["cell"] for line in lines] == [1, 2]
    assert lines[0]["geometry"].startswith("POLYGON ((")
    job.collect(str(tmp_path / "out.csv"))
    assert pd.read_csv(tmp_path / "out.csv")["geometry"][0].startswith("POLYGON ((")


def test_shapes_among_other_values_are_bytes_in_parquet(grid, tmp_path):
    frame = fanfold.submit(lambda_free, grid, drop_index=False)
    from fanfold.job.export import write_frame

    write_frame(frame.assign(shape=list(grid.geometry)), tmp_path / "out.parquet")
    assert shapely.from_wkb(pd.read_parquet(tmp_path / "out.parquet")["shape"][0]).equals(grid.geometry[0])


def lambda_free(geometry, cell: int):
    return cell


def test_a_format_that_cannot_hold_the_results_advises_another(tmp_path):
    job = fanfold.submit(frame_or_none, [0, 1], collect=False)
    with pytest.raises(fanfold.CodecError, match=r"\.gpkg cannot hold this frame") as raised:
        job.collect(tmp_path / "out.gpkg")
    assert ".parquet or .csv" in raised.value.next_step


def test_an_ending_that_is_no_format_is_refused_before_anything_is_waited_for():
    job = fanfold.submit(frame_or_none, [0], collect=False)
    with pytest.raises(fanfold.InputError, match=r"out\.xlsx: no format has this ending") as raised:
        job.collect("out.xlsx")
    assert ".parquet, .geoparquet, .csv" in raised.value.next_step
    assert "job.collect().to_excel(...)" in raised.value.next_step


def test_what_an_ending_that_is_no_format_is_advised_works(tmp_path):
    job = fanfold.submit(numbers_of, [1, 2], collect=False)
    for ending, read in ((".feather", pd.read_feather), (".json", pd.read_json), (".pkl", pd.read_pickle)):
        with pytest.raises(fanfold.InputError) as raised:
            job.collect(f"out{ending}")
        *_, names = raised.value.next_step.partition("job.collect()")
        written = job.collect()
        for name in names.removesuffix("(...).").strip(".").split("()."):
            written = getattr(written, name)(*([tmp_path / f"out{ending}"] if name.startswith("to_") else ()))
        assert read(tmp_path / f"out{ending}")["half"].to_list() == [0.5, 1.0]


def numbers_of(n: int):
    return {"half": n / 2}


def raster_or_dataset(kind: str):
    import numpy as np
    import xarray as xr
    from affine import Affine

    return (np.ones((2, 2)), Affine.identity(), "EPSG:4326") if kind == "raster" else xr.Dataset({"t": 1.0})


@pytest.mark.parametrize(("kind", "ending"), [("raster", ".tif"), ("dataset", ".zarr or .nc")])
def test_a_table_that_cannot_hold_rasters_or_datasets_advises_what_can(tmp_path, kind, ending):
    job = fanfold.submit(raster_or_dataset, [kind], collect=False)
    with pytest.raises(fanfold.CodecError, match=r"\.parquet cannot hold this frame") as raised:
        job.collect(tmp_path / "out.parquet")
    assert raised.value.next_step.startswith(f"write {ending}, or")
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("name", ["OUT.PARQUET", "out.CSV", "out.GPKG"])
def test_an_ending_in_capitals_is_the_same_format(grid, tmp_path, name):
    job = fanfold.submit(buffered, [{"geometry": shape, "cell": 1} for shape in grid.geometry], collect=False)
    job.collect(tmp_path / name)
    read = {"P": gpd.read_parquet, "C": pd.read_csv, "G": gpd.read_file}[name.partition(".")[2][0]]
    assert len(read(tmp_path / name)) == len(grid)


def test_the_older_first_argument_still_ignores_failures(capsys):
    def half(i: int):
        return 1 / i

    job = fanfold.submit(half, [0, 1], collect=False)
    assert job.collect(True)["result"].tolist() == [1.0]


def scaled(x: int, by: int = 5) -> int:
    return x * by


def test_a_parameter_that_only_some_inputs_give_is_labelled_by_its_default_in_the_others():
    job = fanfold.submit(scaled, [{"x": 3}, {"x": 4, "by": 1}], collect=False)
    assert job.collect().index.to_list() == [(3, 5), (4, 1)]
    assert job.arg_df().by.to_list() == [5, 1]
    assert fanfold.submit(scaled, [3, 4]).index.names == ["x"]


def test_tuples_are_the_arguments_in_order_of_a_udf_that_needs_several():
    def power(base: int, exponent: int) -> int:
        return base**exponent

    frame = fanfold.submit(power, zip([2, 3], [3, 2], strict=True))
    assert frame.result.to_dict() == {(2, 3): 8, (3, 2): 9}


def around(window):
    return {"columns": window.width, "geometry": shapely.box(*window.flatten())}


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_dicts_with_a_geometry_make_a_layer_and_windows_stand_there_as_text(tmp_path):
    from rasterio.windows import Window

    windows = [Window(0, 0, 2, 2), Window(2, 0, 1, 2)]
    job = fanfold.submit(around, windows, collect=False)
    for ending, read in ((".gpkg", gpd.read_file), (".parquet", pd.read_parquet)):
        job.collect(tmp_path / f"windows{ending}")
        frame = read(tmp_path / f"windows{ending}")
        assert list(frame["window"]) == [str(one) for one in windows]
    assert type(gpd.read_file(tmp_path / "windows.gpkg")) is gpd.GeoDataFrame


def measured(geometry, cell: int):
    return None if cell == 2 else {"area": geometry.area}


def middle(geometry):
    return geometry.centroid if geometry.area == 1 else None


def test_numbers_of_shapes_become_a_layer_of_those_shapes_and_a_shape_alone_is_one(grid, tmp_path):
    areas = fanfold.submit(measured, grid, collect=False)
    areas.collect(tmp_path / "areas.geoparquet")
    layer = gpd.read_parquet(tmp_path / "areas.geoparquet")
    assert (list(layer["area"]), list(layer.geometry)) == ([1.0], [grid.geometry[0]])
    middles = fanfold.submit(middle, [*grid.geometry, shapely.box(0, 0, 2, 2)], collect=False)
    middles.collect(tmp_path / "middles.parquet")
    assert list(gpd.read_parquet(tmp_path / "middles.parquet").geometry) == [*grid.centroid, None]
    assert repr(middles.map()) == "<map: 2 shapes; x 0.5 to 1.5, y 0.5 to 1.5>"
