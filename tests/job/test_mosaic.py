"""`job.collect("name.tif")`: the runs' rasters as one cloud-optimised GeoTIFF, whatever form they have."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.transform import array_bounds
from rasterio.windows import Window

import fanfold
from fanfold.errors import CodecError, InputError
from fanfold.job import mosaic, rasters

#: rasterio's own use of affine.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

NORTH_WEST = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM = "EPSG:32633"


def at(row, col):
    return NORTH_WEST @ Affine.translation(col, row)


def written(path, *values):
    """What `collect` makes of these results."""
    mosaic.write_mosaic(range(len(values)), [{"n": n} for n in range(len(values))], list(values).__getitem__, path)
    with rasterio.open(path) as file:
        return file.read(), file.read_masks() != 0, file.profile, file.descriptions


@fanfold.udf
def index_of(window: Window, scene: str):
    with rasterio.open(scene) as source:
        red, near = source.read(window=window).astype("float32")
        return (near - red) / (near + red), source.window_transform(window), source.crs


def test_a_scene_by_windows_becomes_one_cog(tmp_path):
    bands = np.random.default_rng(0).integers(1, 4000, (2, 700, 600), dtype="uint16")
    profile = {"driver": "GTiff", "count": 2, "height": 700, "width": 600, "dtype": "uint16", "crs": UTM}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "transform": NORTH_WEST}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **tiles) as scene:
        scene.write(bands)
        windows = [window for _, window in scene.block_windows(1)]
    job = fanfold.submit(index_of, windows, scene=str(tmp_path / "scene.tif"), collect=False)
    places = job.collect(tmp_path / "index.tif")
    assert places.to_dict("list")["col_off"] == [window.col_off for window in windows]
    assert list(places.index) == windows
    red, near = bands.astype("float32")
    with rasterio.open(tmp_path / "index.tif") as file:
        assert np.array_equal(file.read(1), (near - red) / (near + red))
        assert (file.crs.to_epsg(), file.transform) == (32633, NORTH_WEST)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.tif", "scene.tif"]


ONE, TWO = np.arange(12, dtype="int16").reshape(3, 4), np.arange(12, 24, dtype="int16").reshape(3, 4)


def forms(array, transform):
    """The ways in which one says where an array lies."""
    import pyproj
    import xarray as xr

    profile = {"driver": "GTiff", "transform": transform, "crs": rasterio.CRS.from_string(UTM), "nodata": None}
    y = transform.f - 10 * (np.arange(3) + 0.5)
    coordinates = {"y": y, "x": transform.c + 10 * (np.arange(4) + 0.5)}
    georeferenced = {**coordinates, "spatial_ref": ((), 0, {"crs_wkt": pyproj.CRS(UTM).to_wkt()})}
    flipped = transform @ Affine.translation(0, 3) @ Affine.scale(1, -1)
    return {
        "tuple": (array, transform, UTM),
        "number": (array, transform, 32633),
        "profile": (array, profile),
        "list of bands": [array[None], transform, pyproj.CRS(UTM)],
        "dict": {"values": array, "transform": transform, "crs": 32633},
        "bounds": {"values": array, "bounds": array_bounds(3, 4, transform), "crs": UTM},
        "DataArray": xr.DataArray(array, coordinates, ("y", "x"), attrs={"crs": UTM}),
        "Dataset": xr.Dataset({"values": (("y", "x"), array)}, georeferenced),
        "the south up": (array[::-1], flipped, UTM),
    }


@pytest.mark.parametrize("form", forms(ONE, NORTH_WEST))
def test_each_form_of_a_raster_is_put_where_it_belongs(tmp_path, form):
    pixels, seen, profile, _ = written(tmp_path / "m.tif", forms(TWO, at(0, 4))[form], forms(ONE, at(0, 0))[form])
    assert np.array_equal(pixels[0], np.hstack([ONE, TWO]))
    assert seen.all()
    assert (profile["dtype"], profile["crs"].to_epsg(), profile["transform"]) == ("int16", 32633, NORTH_WEST)


def test_paths_of_files_that_the_runs_wrote_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(rasters, "_STRIPE_BYTES", 1)  # each row of blocks by itself
    paths = []
    for number, fill in enumerate((1, 2)):
        paths.append(tmp_path / f"{number}.tif")
        profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 30, "dtype": "uint8", "nodata": 0, "crs": UTM}
        with rasterio.open(paths[-1], "w", transform=at(0, 20 * number), **profile) as file:
            file.write(np.full((40, 30), fill, "uint8"), 1)
    pixels, _, profile, _ = written(tmp_path / "m.tif", *map(str, paths))
    assert np.array_equal(pixels[0], np.repeat([[1] * 30 + [2] * 20], 40, axis=0))  # the earlier run's stays
    assert profile["nodata"] == 0


def test_bands_have_the_names_that_the_results_give_them(tmp_path):
    result = {"red": ONE, "near": TWO, "transform": NORTH_WEST, "crs": UTM}
    pixels, _, _, names = written(tmp_path / "m.tif", result)
    assert names == ("red", "near")
    assert np.array_equal(pixels, [ONE, TWO])


def _file_of_bands(path, at_col, bands):
    profile = {"driver": "GTiff", "count": len(bands), "height": 4, "width": 5, "dtype": "int16", "crs": UTM}
    with rasterio.open(path, "w", **profile, transform=at(0, at_col)) as file:
        file.write(np.stack([np.full((4, 5), value, "int16") for value in bands.values()]))
        file.descriptions = list(bands)
    return str(path)


def _dict_of_bands(path, at_col, bands):
    arrays = {name: np.full((4, 5), value, "int16") for name, value in bands.items()}
    return {**arrays, "transform": at(0, at_col), "crs": UTM}


def _xarray_of_bands(path, at_col, bands):
    import xarray as xr

    y, x = 4_999_995.0 - 10 * np.arange(4), 500_005.0 + 10 * (at_col + np.arange(5))
    return xr.Dataset({name: (("y", "x"), np.full((4, 5), value)) for name, value in bands.items()}, {"y": y, "x": x})


@pytest.mark.parametrize("made", [_file_of_bands, _dict_of_bands, _xarray_of_bands])
def test_bands_are_put_together_by_their_names_whatever_their_order(tmp_path, monkeypatch, made):
    monkeypatch.setattr(mosaic, "_KEPT_BYTES", 1)  # read again
    one = made(tmp_path / "1.tif", 0, {"red": 1, "near": 9})
    other = made(tmp_path / "2.tif", 5, {"near": 9, "red": 1})
    values, _, _, names = written(tmp_path / "m.tif", one, other)
    assert names == ("red", "near")
    assert [np.unique(band).tolist() for band in values] == [[1], [9]]
    with pytest.raises(CodecError, match="run 1 has the bands green, near, and run 0 red, near"):
        written(tmp_path / "m.tif", one, made(tmp_path / "3.tif", 5, {"green": 4, "near": 9}))


def test_a_vrt_and_a_map_take_bands_by_their_names_too(tmp_path):
    _file_of_bands(tmp_path / "0.tif", 0, {"red": 1, "near": 9})
    _file_of_bands(tmp_path / "1.tif", 5, {"near": 9, "red": 1})
    job = fanfold.submit(path_of, [0, 1], folder=str(tmp_path), collect=False)
    job.collect(tmp_path / "m.vrt")
    with rasterio.open(tmp_path / "m.vrt") as file:
        assert [np.unique(band).tolist() for band in file.read()] == [[1], [9]]
        assert file.descriptions == ("red", "near")
    assert "1 (black) to 2 (white)" in job.map()._repr_html_()  # of all that it shows, red is 1


@fanfold.udf
def path_of(number, folder):
    return f"{folder}/{number}.tif"


def test_values_for_no_data_of_an_xarray_are_those_that_its_variables_say(tmp_path):
    import xarray as xr

    def tile(*fills, dtype="float32"):
        y, x = 4_999_995.0 - 10 * np.arange(2), 500_005.0 + 10 * np.arange(2)
        variables = {f"b{n}": (("y", "x"), np.array([[fill, 7], [7, 7]], dtype)) for n, fill in enumerate(fills)}
        whole = xr.Dataset(variables, {"y": y, "x": x})
        for n, fill in enumerate(fills):
            whole[f"b{n}"].attrs["_FillValue"] = fill
        return whole

    _, seen, profile, _ = written(tmp_path / "m.tif", tile(-1.0))
    assert (profile["nodata"], seen.tolist()) == (-1.0, [[[False, True], [True, True]]])
    values, seen, profile, _ = written(tmp_path / "m.tif", tile(-1, -9, dtype="int16"))
    assert (profile["nodata"], seen[:, 0, 0].tolist(), values[:, 0, 0].tolist()) == (-1, [False, False], [-1, -1])
    with pytest.raises(CodecError, match="different values for no data"):
        written(tmp_path / "m.tif", tile(7, 0, dtype="int16"))


def test_bands_that_are_masked_in_different_places_want_a_value_for_no_data(tmp_path):
    array = np.ma.masked_array(np.full((2, 4, 5), 3, "int16"), False)
    array[0, 0, 0] = np.ma.masked
    with pytest.raises(CodecError, match="masked in different places"):
        written(tmp_path / "m.tif", (array, NORTH_WEST, UTM))
    np.ma.set_fill_value(array, -5)
    values, seen, profile, _ = written(tmp_path / "m.tif", (array, NORTH_WEST, UTM))
    assert (profile["nodata"], values[:, 0, 0].tolist(), seen[:, 0, 0].tolist()) == (-5, [-5, 3], [False, True])


def test_what_no_run_covers_is_no_data_and_never_a_number(tmp_path):
    _, seen, profile, _ = written(tmp_path / "m.tif", (ONE, at(0, 0), UTM), (ONE, at(3, 4), UTM), None)
    assert profile["nodata"] is None
    assert np.array_equal(seen[0], np.kron(np.eye(2), np.ones((3, 4))))  # by a mask: each number may be a value
    floats = ONE.astype("float64")
    pixels, _, profile, _ = written(tmp_path / "m.tif", (floats, at(0, 0), UTM), (floats, at(3, 4), UTM))
    assert np.isnan(profile["nodata"])
    assert np.isnan(pixels).sum() == 24


def test_a_masked_pixel_lets_a_later_run_show(tmp_path):
    masked = np.ma.masked_less(ONE, 6)
    pixels, seen, _, _ = written(
        tmp_path / "m.tif", (masked, at(0, 0), UTM), (TWO, at(0, 0), UTM), (masked, at(0, 4), UTM)
    )
    assert np.array_equal(pixels[0, :, :4], np.where(masked.mask, TWO, ONE))
    assert np.array_equal(seen[0, :, 4:], ~masked.mask)


def test_large_jobs_are_read_twice_and_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(mosaic, "_KEPT_BYTES", 2 * ONE.nbytes)
    read = []

    def value_of(run):
        read.append(run)
        return ONE + run, at(0, 4 * run), UTM

    mosaic.write_mosaic(range(4), [{"n": n} for n in range(4)], value_of, tmp_path / "m.tif")
    assert read == [0, 1, 2, 3, 2, 3]
    with rasterio.open(tmp_path / "m.tif") as file:
        assert np.array_equal(file.read(1), np.hstack([ONE + run for run in range(4)]))


def test_a_profile_is_taken_as_rasterio_gives_it(tmp_path):
    shape = {"width": ONE.shape[1], "height": ONE.shape[0], "count": 1, "dtype": "uint8"}
    with (
        rasterio.MemoryFile() as memory,
        memory.open(driver="GTiff", crs=UTM, transform=NORTH_WEST, **shape) as source,
    ):
        profile = source.profile | {"nodata": 0}
    assert not isinstance(profile, dict)
    array, _, facts, _ = written(tmp_path / "m.tif", (ONE, profile))
    assert (array[0].tolist(), facts["crs"], facts["nodata"]) == (ONE.tolist(), UTM, 0)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ((ONE, at(0, 4), "EPSG:32634"), "run 1 has the CRS EPSG:32634, and run 0 EPSG:32633"),
        ((ONE, at(0, 4) @ Affine.scale(2), UTM), "run 1 has pixels of 20 x 20, and run 0 of 10 x 10"),
        ((ONE, at(0.4, 4), UTM), "run 1 lies 0.40 of a pixel off the grid of run 0"),
        ((np.stack([ONE, TWO]), at(0, 4), UTM), "run 1 has 2 bands, and run 0 has 1"),
        ((ONE, at(0, 4) @ Affine.rotation(10), UTM), "raster of run 1 .* pixels are turned"),
        ((ONE.astype("datetime64[s]"), at(0, 4), UTM), "no pixels of datetime64"),
        ((ONE, at(10_000_000, 10_000_000), UTM), "would have .* GB"),
        ((ONE, at(0, 4), UTM, -1), r"run 1 is none that says where it lies \(a tuple\)"),
        (ONE, r"run 1 is none that says where it lies \(a numpy.ndarray\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_run_and_leaves_no_file(tmp_path, other, words):
    with pytest.raises(CodecError, match=words):
        written(tmp_path / "m.tif", (ONE, at(0, 0), UTM), other)
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_file_of_this_machine_is_refused_before_anything_is_waited_for():
    job = fanfold.submit(abs, [1], collect=False)
    with pytest.raises(InputError, match=r"gs://bucket/m.tif: results are collected into a file of this machine"):
        job.collect("gs://bucket/m.tif")


@fanfold.udf
def written_tile(n: int, folder: str, dtype: str, nodata: float | None = None):
    """Four tiles that overlap by 4 pixels; the last is missing, and its corner with it."""
    if n == 3:
        return None
    profile = {"width": 64, "height": 64, "count": 2, "dtype": dtype, "crs": UTM, "nodata": nodata}
    with rasterio.open(
        f"{folder}/{n}.tif", "w", driver="GTiff", transform=at(n // 2 * 60, n % 2 * 60), **profile
    ) as file:
        file.write(np.full((2, 64, 64), n, dtype))
        file.descriptions = "red", "near"
    return f"{folder}/{n}.tif"


@pytest.mark.parametrize(("dtype", "nodata"), [("float32", None), ("uint8", None), ("int16", -9999)])
def test_a_vrt_shows_what_the_geotiff_of_the_same_files_holds(tmp_path, capsys, dtype, nodata):
    job = fanfold.submit(written_tile, range(4), folder=str(tmp_path), dtype=dtype, nodata=nodata, collect=False)
    assert job.collect(tmp_path / "m.vrt").equals(job.collect(tmp_path / "m.tif"))
    with rasterio.open(tmp_path / "m.vrt") as vrt, rasterio.open(tmp_path / "m.tif") as tif:
        assert np.array_equal(vrt.read(), tif.read(), equal_nan=dtype == "float32")
        assert np.array_equal(vrt.read_masks(), tif.read_masks())
        for fact in ("shape", "crs", "transform", "dtypes", "descriptions"):
            assert getattr(vrt, fact) == getattr(tif, fact), fact
    assert "1 result is None" in capsys.readouterr().err


def beside(value, **more):
    return {"data": np.full((4, 4), value, more.pop("dtype", "int16")), "crs": UTM, **more}


def test_data_never_becomes_no_data_where_runs_have_several_values_for_it(tmp_path):
    """As masked arrays do that have each its own fill value."""
    there = beside(7, transform=at(0, 0), nodata=0)
    array, seen, facts, _ = written(tmp_path / "m.tif", there, beside(5, transform=at(0, 4), nodata=-1))
    assert (array[0, 0].tolist(), seen.all(), facts["nodata"]) == ([7] * 4 + [5] * 4, True, 0)
    zeros = beside(0, transform=at(0, 4), nodata=-1)
    with pytest.raises(
        CodecError, match="run 1 has pixels of 0, which stands for no data in another run; in this one -1"
    ):
        written(tmp_path / "n.tif", there, zeros)
    with pytest.raises(CodecError, match="in this one nothing does"):
        written(tmp_path / "n.tif", there, beside(0, transform=at(0, 4)))
    floats = [beside(n, transform=at(0, 4 * n), nodata=-n, dtype="float32") for n in (0, 1)]
    array, _, facts, _ = written(tmp_path / "f.tif", *floats)
    assert np.isnan(facts["nodata"])
    assert np.isnan(array[0, 0, :4]).all()
    assert array[0, 0, 4:].tolist() == [1.0] * 4


def test_a_value_for_no_data_that_no_pixel_can_have_stands_for_none(tmp_path):
    array, seen, facts, _ = written(tmp_path / "m.tif", beside(7, transform=at(0, 0), nodata=-9999, dtype="uint8"))
    assert (array.min(), seen.all(), facts["nodata"]) == (7, True, None)


def test_a_vrt_of_files_with_several_values_for_no_data(tmp_path):
    def two(*nodatas):
        return [{"n": n, "nodata": nodata} for n, nodata in enumerate(nodatas)]

    sent = {"folder": str(tmp_path), "collect": False}
    with pytest.raises(
        CodecError, match="run 1 is to be beside runs in which 0 stands for no data; in this one 9 does"
    ):
        fanfold.submit(written_tile, two(0, 9), dtype="uint8", **sent).collect(tmp_path / "m.vrt")
    fanfold.submit(written_tile, two(-9, 1), dtype="float32", **sent).collect(tmp_path / "m.vrt")
    with rasterio.open(tmp_path / "m.vrt") as vrt:
        assert np.isnan(vrt.read(1)).sum() == 64 * 60  # what only the second covers, where 1 is no data


def test_a_vrt_of_what_is_no_file_is_refused_by_its_run(tmp_path):
    job = fanfold.submit(divmod, [{"x": 7, "y": 2}], collect=False)
    with pytest.raises(CodecError, match="A VRT names files, and the result of run 0 is a tuple"):
        job.collect(tmp_path / "m.vrt")
    assert not list(tmp_path.iterdir())


def test_a_run_whose_raster_has_no_pixels_has_nothing_to_give(tmp_path):
    values, _, _, _ = written(
        tmp_path / "m.tif",
        (np.zeros((0, 2), "uint8"), at(0, 0), UTM),
        (np.ones((2, 2), "uint8"), at(0, 2), UTM),
    )
    assert values.tolist() == [[[1, 1], [1, 1]]]
    with pytest.raises(CodecError, match=r"n\.tif would hold nothing") as raised:
        written(tmp_path / "n.tif", (np.zeros((2, 0), "uint8"), at(0, 0), UTM))
    assert raised.value.next_step == "have a run return a raster: all results are None, or empty."


def test_large_integers_are_not_rounded_beside_another_type_of_pixels(tmp_path):
    ids = np.full((2, 2), 2**53 + 1)
    values, _, profile, _ = written(tmp_path / "m.tif", (ids, at(0, 0), UTM), (ids.astype("int32"), at(0, 2), UTM))
    assert (profile["dtype"], values[0, 0, 0]) == ("int64", 2**53 + 1)
    with pytest.raises(CodecError, match=r"Run 0 has integers above 2\*\*53, and pixels of float64 would round them"):
        written(tmp_path / "n.tif", (ids, at(0, 0), UTM), (ids.astype("float32"), at(0, 2), UTM))
    assert [path.name for path in tmp_path.iterdir()] == ["m.tif"]


def scaled(path, col, *meanings, names=("b1", "b2"), colors=None):
    """A file of a pixel for each band, whose numbers stand for others."""
    profile = {"driver": "GTiff", "count": len(meanings), "height": 1, "width": 1, "dtype": "uint8", "crs": UTM}
    with rasterio.open(path, "w", transform=at(0, col), **profile) as file:
        file.write(np.full((len(meanings), 1, 1), col, "uint8"))
        file.scales, file.offsets, file.units = zip(*meanings, strict=True)
        for number, name in enumerate(names[: len(meanings)], 1):
            file.set_band_description(number, name)
        if colors is not None:
            file.write_colormap(1, colors)
    return str(path)


def given(path):
    return path


REFLECTANCE, KELVIN = (0.0001, -0.1, ""), (0.1, 200.0, "K")


@pytest.mark.parametrize("ending", [".tif", ".vrt"])
def test_what_the_numbers_of_a_file_stand_for_is_kept(tmp_path, ending):
    files = [
        scaled(tmp_path / "a.tif", 0, REFLECTANCE, KELVIN),
        scaled(tmp_path / "b.tif", 1, KELVIN, REFLECTANCE, names=("b2", "b1")),
    ]
    fanfold.submit(given, files, collect=False).collect(tmp_path / f"m{ending}")
    with rasterio.open(tmp_path / f"m{ending}") as file:
        assert list(zip(file.scales, file.offsets, file.units, strict=True)) == [
            (0.0001, -0.1, None),
            (0.1, 200.0, "K"),
        ]
    other = scaled(tmp_path / "c.tif", 2, (0.001, -0.1, ""), KELVIN)
    with pytest.raises(
        CodecError, match=r"band 1 of run 1 stands for 0\.001 \* value \+ -0\.1, and of run 0 for 0\.0001"
    ):
        fanfold.submit(given, [files[0], other], collect=False).collect(tmp_path / f"n{ending}")
    assert not (tmp_path / f"n{ending}").exists()


@pytest.mark.parametrize("ending", [".tif", ".vrt"])
def test_classes_keep_their_colours_where_all_files_have_the_same(tmp_path, ending):
    colors = {0: (0, 0, 0, 255), 1: (255, 0, 0, 255)}
    files = [scaled(tmp_path / f"{col}.tif", col, (1, 0, ""), colors=colors) for col in (0, 1)]
    fanfold.submit(given, files, collect=False).collect(tmp_path / f"m{ending}")
    with rasterio.open(tmp_path / f"m{ending}") as file:
        assert file.colormap(1)[1] == (255, 0, 0, 255)
        assert file.read().tolist() == [[[0, 1]]]
    files[1] = scaled(tmp_path / "other.tif", 1, (1, 0, ""), colors={**colors, 1: (0, 255, 0, 255)})
    fanfold.submit(given, files, collect=False).collect(tmp_path / f"m{ending}")
    with rasterio.open(tmp_path / f"m{ending}") as file, pytest.raises(ValueError, match="color"):
        file.colormap(1)


def test_scales_that_an_xarray_has_not_applied_are_those_of_its_bands(tmp_path):
    import xarray as xr

    coordinates = {"band": [1, 2], "y": [5.0], "x": [0.0, 10.0]}
    array = xr.DataArray(np.ones((2, 1, 2), "uint8"), coordinates, ("band", "y", "x"))
    array = array.assign_coords(y=[5.0], spatial_ref=((), 0, {"GeoTransform": "-5 10 0 10 0 -10"}))
    array.attrs = {"crs": UTM, "scales": (0.5, 0.25), "add_offset": 1.0, "units": ("K", "m")}
    rastered = rasters.raster_of(array)
    assert rastered.meanings == ((0.5, 1.0, "K"), (0.25, 1.0, "m"))
    array.attrs |= {"scales": (0.5, 0.5)}
    with pytest.raises(CodecError, match="band 2 of run 1 stands for 0\\.5 \\* value \\+ 1 m"):
        rasters.fitted(1, rasters.raster_of(array), 0, rastered)
