"""`job.collect("name.zarr")` and `.nc`: the runs' datasets of xarray as one."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr

import fanfold
from fanfold.errors import CodecError, InputError
from fanfold.job.cube import combined, write_cube


def month(m: int):
    import xarray as xr

    return xr.DataArray([10.0 * m, 20.0 * m], {"lat": [50.0, 51.0]}, ("lat",), name="t", attrs={"units": "degC"})


def tile(row, col):
    y, x = row + np.arange(2.0), col + np.arange(3.0)
    return xr.Dataset({"t": (("y", "x"), 10 * y[:, None] + x)}, {"y": y, "x": x, "spatial_ref": 0}, {"title": "tiles"})


def opened(path):
    if path.suffix == ".nc":
        return xr.load_dataset(path)
    return xr.open_zarr(path, chunks=None, consolidated=False).load()


ZARR = pytest.mark.skipif(find_spec("zarr") is None, reason="Zarr 3 needs Python 3.11")


@pytest.mark.parametrize("ending", [pytest.param(".zarr", marks=ZARR), ".nc"])
def test_equal_grids_are_put_along_the_argument_by_which_the_runs_differ(tmp_path, ending):
    job = fanfold.submit(month, [1, 2, 3], collect=False)
    for _ in range(2):  # the second takes the place of the first
        frame = job.collect(tmp_path / f"months{ending}")
    assert list(frame.index) == [1, 2, 3]
    whole = opened(tmp_path / f"months{ending}")
    assert whole.t.dims == ("m", "lat")
    assert whole.t.sel(m=3, lat=51.0) == 60
    assert whole.t.attrs["units"] == "degC"
    assert [path.name for path in tmp_path.iterdir()] == [f"months{ending}"]


@ZARR
def test_tiles_are_put_together_by_their_coordinates(tmp_path):
    tiles = [tile(row, col) for row in (2, 0) for col in (3, 0)]
    write_cube([{"n": n} for n in range(4)], tiles, tmp_path / "grid.zarr")
    whole = opened(tmp_path / "grid.zarr")
    assert np.array_equal(whole.t, 10 * np.arange(4.0)[:, None] + np.arange(6.0))
    assert whole.attrs["title"] == "tiles"


@ZARR
def test_a_time_that_tiles_share_is_a_dimension_and_what_each_has_for_itself_is_left_out(tmp_path, capsys):
    def scene(row, day):
        return tile(row, 0).assign_coords(time=np.datetime64(f"2020-01-0{day}", "ns"), orbit=10 * row + day)

    some = [scene(0, 2), scene(2, 2), scene(0, 1)]  # one of the first day is missing
    write_cube([{"n": n} for n in range(3)], some, tmp_path / "days.zarr")
    whole = opened(tmp_path / "days.zarr")
    assert whole.t.dims == ("time", "y", "x")
    assert np.array_equal(whole.t[1], 10 * np.arange(4.0)[:, None] + np.arange(3.0))
    assert np.isnan(whole.t[0, 2:]).all()
    assert "'orbit' differs from tile to tile, and is left out" in capsys.readouterr().err

    write_cube([{"n": n} for n in range(2)], [scene(0, 1), scene(2, 2)], tmp_path / "mosaic.zarr")
    assert opened(tmp_path / "mosaic.zarr").t.dims == ("y", "x")

    write_cube([0, 1], [scene(0, 1), scene(0, 2)], tmp_path / "series.zarr")
    series = opened(tmp_path / "series.zarr")
    assert (series.t.dims, list(series.orbit.values)) == (("time", "y", "x"), [1, 2])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (tile(0, 3).assign_coords(y=[0.0, 1.5]), "do not fit into one"),
        (np.ones(3), r"the result of \{'n': 1\} is a ndarray"),
    ],
)
def test_what_does_not_fit_leaves_no_file(tmp_path, other, words):
    with pytest.raises(CodecError, match=words):
        write_cube([{"n": 0}, {"n": 1}], [tile(0, 0), other], tmp_path / "grid.zarr")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "photos.zarr").mkdir()
    job = fanfold.submit(month, [1], collect=False)
    with pytest.raises(InputError, match=r"photos\.zarr is there, and is no Zarr store"):
        job.collect(tmp_path / "photos.zarr")


def month_but_may(m: int):
    return None if m == 5 else month(m)


@ZARR
def test_a_run_that_has_nothing_to_give_is_left_out(tmp_path, capsys):
    fanfold.submit(month_but_may, [4, 5, 6], collect=False).collect(tmp_path / "months.zarr")
    assert opened(tmp_path / "months.zarr").m.values.tolist() == [4, 6]
    assert "1 result is None, of 3, and left out" in capsys.readouterr().err


def scene(item: dict):
    at = np.datetime64(item["at"], "ns")
    return xr.DataArray([1.0, 2.0], {"x": [0, 1], "time": at, "spatial_ref": 0}, ("x",), name="ndvi")


def test_scenes_of_one_grid_are_put_along_the_time_that_each_has(tmp_path):
    items = [{"item": {"id": f"S2_{n}", "at": f"2024-06-0{n}"}} for n in (1, 2, 3)]
    fanfold.submit(scene, items, collect=False).collect(tmp_path / "ndvi.nc")
    whole = opened(tmp_path / "ndvi.nc")
    assert whole.ndvi.dims == ("time", "x")
    assert str(whole.time.values[2])[:10] == "2024-06-03"


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"units": "K"}, "units of 't' is 'degC' in .*1.* and 'K' in .*2"),
        ({"_FillValue": -9}, "_FillValue of 't' is '-1' in"),
        ({"_FillValue": -1.0, "units": "degC", "long_name": "another"}, ""),
    ],
)
def test_numbers_that_mean_something_else_are_not_put_together(tmp_path, attributes, words):
    one, other = month(1), month(2)
    one.attrs["_FillValue"] = -1
    other.attrs |= attributes
    if words:
        with pytest.raises(CodecError, match=words):
            write_cube([{"m": 1}, {"m": 2}], [one, other], tmp_path / "m.nc")
        assert list(tmp_path.iterdir()) == []
    else:
        write_cube([{"m": 1}, {"m": 2}], [one, other], tmp_path / "m.nc")


def test_tiles_of_two_crs_are_refused_and_so_is_a_tree_of_datasets(tmp_path):
    tiles = [tile(0, 0), tile(0, 3)]
    for number, one in enumerate(tiles):
        one["spatial_ref"].attrs["crs_wkt"] = f"PROJCRS[{number}]"
    with pytest.raises(CodecError, match="crs_wkt of 'spatial_ref'"):
        write_cube([0, 1], tiles, tmp_path / "m.nc")
    with pytest.raises(CodecError, match="the result of run 0 is a DataTree"):
        write_cube([0], [xr.DataTree.from_dict({"/g": tile(0, 0)})], tmp_path / "m.nc")


@ZARR
def test_a_part_without_any_length_is_left_out(tmp_path):
    parts = [tile(0, 0), tile(0, 3).isel(x=slice(0)), tile(0, 3)]
    write_cube([0, 1, 2], parts, tmp_path / "m.zarr")
    assert opened(tmp_path / "m.zarr").x.values.tolist() == [0, 1, 2, 3, 4, 5]
    write_cube([0], parts[1:2], tmp_path / "n.zarr")
    assert opened(tmp_path / "n.zarr").sizes["x"] == 0


def test_large_integers_are_not_rounded_beside_floats(tmp_path):
    parts = [xr.Dataset({"id": ("x", [value])}, {"x": [place]}) for place, value in enumerate((2**53 + 1, 0.5))]
    with pytest.raises(CodecError, match="'id' has integers above 2\\*\\*53, and floats elsewhere"):
        write_cube([0, 1], parts, tmp_path / "m.nc")
    whole = combined([0, 1], [part.astype("int64") for part in parts], tmp_path / "m.nc")
    assert whole.id.values.tolist() == [2**53 + 1, 0]


def tile_of(value, row, col, kind="f8", **single):
    """Two by two pixels of one value, the north first."""
    coordinates = {"y": [9.0 - row, 8.0 - row], "x": [col + 0.0, col + 1.0], **single}
    return xr.Dataset({"t": (("y", "x"), np.full((2, 2), value, kind))}, coordinates)


def test_a_tile_that_is_missing_is_nan_and_rows_keep_their_order(tmp_path):
    whole = combined([0, 1, 2], [tile_of(1, 0, 0), tile_of(2, 0, 2), tile_of(3, 2, 0)], tmp_path / "m.nc")
    assert whole.y.values.tolist() == [9, 8, 7, 6]
    assert whole.t[0].values.tolist() == [1, 1, 2, 2]
    assert np.isnan(whole.t[2:, 2:]).all()
    whole = combined([0, 1], [tile_of(True, 0, 0, "bool"), tile_of(False, 0, 2, "bool")], tmp_path / "m.nc")
    assert whole.t.dtype == bool


def test_tiles_that_overlap_are_one_where_they_agree_and_refused_where_they_do_not(tmp_path):
    nothing = tile_of(np.nan, 0, 1)
    whole = combined([0, 1, 2], [tile_of(1, 0, 0), nothing, tile_of(1, 0, 1)], tmp_path / "m.nc")
    assert (whole.x.values.tolist(), whole.t.values.tolist()) == ([0, 1, 2], [[1, 1, 1], [1, 1, 1]])
    for others in ([tile_of(2, 0, 1)], [tile_of(3, 0, 2), tile_of(2, 0, 0)]):  # it was lost, or stood twice
        labels = [{"n": n} for n in range(len(others) + 1)]
        with pytest.raises(CodecError, match=r"^These datasets do not fit into one: \{'n': 0\} and .* other values"):
            combined(labels, [tile_of(1, 0, 0), *others], tmp_path / "m.nc")


def days(values, numbers):
    return xr.Dataset(
        {"t": ("time", np.asarray(values))},
        {"time": np.datetime64("2024-01-01", "ns") + np.array(numbers) * 86400 * 10**9},
    )


def test_pieces_of_a_series_may_lie_between_each_other_where_nothing_is_missing(tmp_path):
    whole = combined([0, 1], [days([1, 3], [0, 2]), days([2, 4], [1, 3])], tmp_path / "m.nc")
    assert whole.t.values.tolist() == [1, 2, 3, 4]
    assert whole.t.dtype.kind == "i"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (tile_of(2, 2, 0).assign_coords(x=[0, 1 + 1e-9]), "'x' of run 1 has others' places between its own"),
        (tile_of(2, 2, 0).assign_coords(x=[2.0, 4.0]), "x goes by 1 in run 0, and by 2 in run 1"),
        (tile_of(2, 2, 2).assign(t=(("y", "x"), [["a", "b"]] * 2)), "'t' is of"),
        (tile_of(2, 2, 0).assign_coords(x=[3.0, 3.0]), "'x' has the same place twice"),
    ],
)
def test_grids_that_are_not_one_are_refused(tmp_path, other, words):
    with pytest.raises(CodecError, match=words):
        combined([0, 1], [tile_of(1, 0, 0), other], tmp_path / "m.nc")


def test_what_names_places_by_text_keeps_its_kind(tmp_path):
    parts = [xr.Dataset({"t": ("station", [n])}, {"station": [name]}) for n, name in enumerate(("Oslo", "Bern"))]
    whole = combined([0, 1], parts, tmp_path / "m.nc")
    assert (whole.station.dtype, whole.t.values.tolist()) == (np.dtype("U4"), [1, 0])
