"""The values of the field: arrays of every kind, sparse matrices, xarray, transforms, reference systems, offsets."""

from __future__ import annotations

import datetime as dt

import affine
import dateutil.parser
import dateutil.tz
import geopandas as gpd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyproj
import pytest
import rasterio.coords
import rasterio.crs
import rasterio.io
import rasterio.profiles
import rasterio.windows
import scipy.sparse as sp
import scipy.stats
import shapely
import xarray as xr

from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.errors import CodecError

LEVELS = pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["p", "q"])


def dataset():
    made = xr.Dataset(
        {"t": (("x", "y"), np.arange(6.0).reshape(2, 3), {"units": "K"}), "n": ((), 5)},
        coords={"x": [1, 2], "y": ["a", "b", "c"], "lat": ("x", [1.0, 2.0]), "time": pd.Timestamp("2020")},
        attrs={"a": (1, 2), "l": [1, {"b": None}]},
    )
    made.t.encoding = {"dtype": "f4", "scale_factor": 0.1}
    return made


def same(one, other):
    """Whether two values are alike in all that they say."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (xr.Dataset, xr.DataArray)):
        indexes, others = (
            {name: (type(index), index.index.dtype) for name, index in each.xindexes.items()} for each in (one, other)
        )
        kinds, other_kinds = ({name: item.dtype for name, item in each.coords.items()} for each in (one, other))
        alike = indexes == others and kinds == other_kinds
        return (
            alike and one.identical(other) and one.encoding == other.encoding and list(one.coords) == list(other.coords)
        )
    if isinstance(one, pd.DatetimeIndex):
        return one.freq == other.freq and one.equals(other)
    if isinstance(one, (dt.datetime, dt.time)):
        return one == other and one.tzinfo == other.tzinfo and type(one.tzinfo) is type(other.tzinfo)
    if isinstance(one, xr.Variable):
        return one.identical(other)
    if isinstance(one, np.ma.MaskedArray):
        alike = np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        facts = [(each.mask is np.ma.nomask, each.fill_value, each.hardmask, each.dtype) for each in (one, other)]
        return alike and facts[0] == facts[1] and np.array_equal(one.data, other.data)
    if sp.issparse(one):
        return (one != other).nnz == 0 and (one.shape, one.dtype) == (other.shape, other.dtype)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tolist() == other.tolist()
    if isinstance(one, pd.api.extensions.ExtensionArray):
        return one.dtype == other.dtype and pd.Series(one).equals(pd.Series(other))
    return one.equals(other) if hasattr(one, "equals") else bool(one == other)


VALUES = [
    dataset(),
    dataset().drop_indexes("x"),
    dataset().t,
    dataset().t.variable,
    xr.Dataset(),
    xr.DataArray(5),
    xr.DataArray(np.arange(4), dims="z", coords=xr.Coordinates.from_pandas_multiindex(LEVELS, "z"), name="nm"),
    xr.DataArray(np.zeros((2, 1)), dims=("p", "q"), coords={"p": ["b", "a"], "q": [1]}).stack(z=("p", "q")),
    xr.DataArray(np.arange(3.0), dims="time", coords={"time": pd.date_range("2020", periods=3)}, attrs={"k": 1}),
    dataset().t.groupby_bins("x", [0, 1, 2]).mean(),
    xr.DataArray([1, 2], dims="p", coords={"p": pd.period_range("2020", periods=2, freq="M"), "last": 1}),
    xr.DataArray([1, 2], dims="z", coords={"z": pd.date_range("2020", periods=2, tz="Europe/Berlin"), "last": 1}),
    xr.DataArray([1, 2], dims="c", coords={"c": pd.CategoricalIndex(["a", "b"]), "i": ("c", pd.interval_range(0, 2))}),
    np.ma.masked_array([1, 2, 3], [0, 1, 0]),
    np.ma.masked_array([1.0, 2.0]),
    np.ma.masked_array([1.0, 2.0], [0, 0], fill_value=-9),
    np.ma.masked_array(np.zeros((2, 2)), mask=[[1, 0], [0, 1]], hard_mask=True),
    np.array([(1, "a")], dtype=[("x", "i4"), ("y", "U3")]),
    np.array([(1, 2)], dtype=[("x", "i4"), ("y", "f8")]).view(np.recarray),
    np.array([None, [1], {"a": 2}], dtype=object),
    np.array([["a", 1], [2, None]], dtype=object, order="F"),
    np.dtype([("a", "i4"), ("b", "f8", (2,))]),
    np.dtype(object),
    *(
        getattr(sp, f"{kind}_{suffix}")(np.array([[0, 1.0, 2], [0, 0, 3]]))
        for kind in ("csr", "csc", "bsr", "coo", "dia", "dok", "lil")
        for suffix in ("matrix", "array")
    ),
    affine.Affine(1, 2, 3, 4, 5, 6),
    rasterio.windows.Window(0, 1, 2, 3),
    rasterio.windows.Window(0.5, 1, 2.25, 3),
    rasterio.crs.CRS.from_epsg(4326),
    rasterio.crs.CRS(),
    pyproj.CRS(32633),
    rasterio.coords.BoundingBox(1, 2, 3, 4),
    rasterio.profiles.DefaultGTiffProfile(count=1, crs=rasterio.crs.CRS.from_epsg(3857), nodata=None),
    pd.offsets.Day(2),
    pd.offsets.MonthEnd(),
    pd.offsets.BusinessHour(start="10:00"),
    pd.DateOffset(months=2, days=1),
    pd.offsets.CustomBusinessDay(weekmask="Sun Mon", holidays=["2024-01-01"]),
    pd.date_range("2024-01-01", periods=3, freq=pd.offsets.CustomBusinessDay(weekmask="Sun Mon")),
    pd.date_range("2024-01-01", periods=3, freq=pd.DateOffset(years=1)),
    pd.Timestamp("2024-07-01", tz="dateutil/Europe/Berlin"),
    dt.datetime(2024, 7, 1, tzinfo=dateutil.tz.gettz("Europe/Berlin")),
    dateutil.parser.isoparse("2024-07-01T00:00:00Z"),
    dateutil.parser.parse("2024-07-01 10:00 +0300"),
    dt.time(1, tzinfo=dateutil.tz.tzlocal()),
    np.dtypes.StringDType(na_object=None),
    pd.array([1, None], dtype="Int64"),
    pd.array(["a", None], dtype="string"),
    pd.Categorical(["a", "b"]),
    pd.arrays.SparseArray([0, 0, 1]),
    pd.DataFrame({"s": pd.arrays.SparseArray([0.0, np.nan, 1.0])}),
    pd.CategoricalDtype(["a"]),
    pd.Int64Dtype(),
    pd.DatetimeTZDtype(tz="UTC"),
    gpd.array.from_shapely([shapely.Point(1, 2)], crs=4326),
    pa.schema([("a", pa.int32())], metadata={b"x": b"y"}),
    pa.field("q", pa.list_(pa.int8())),
    pa.int8(),
    pa.scalar(5),
    pa.scalar(None, pa.string()),
    pa.array([1, None]),
    pa.chunked_array([[1], [2, 3]]),
    pa.record_batch({"a": [1]}),
    pl.Int64(),
    pl.Schema({"a": pl.Int64}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__qualname__)
def test_it_comes_back_exactly(value):
    encoded = encode(value)
    for back in (
        decode(encoded.codec, encoded.data),
        decode_json(encode_json([value]))[0],
        decode_json(encode_json({"deep": [value, {1, (2,)}]}))["deep"][0],
    ):
        assert same(value, back)


def test_what_has_no_equality_of_its_own_computes_the_same():
    transformer = pyproj.Transformer.from_crs(4326, 3857, always_xy=True)
    frozen = scipy.stats.norm(1, scale=2)
    encoded = encode([transformer, frozen, scipy.stats.poisson(3)])
    back = decode(encoded.codec, encoded.data)
    assert back[0].transform(1, 2) == transformer.transform(1, 2)
    assert (back[1].cdf(2), back[2].pmf(2)) == (frozen.cdf(2), scipy.stats.poisson(3).pmf(2))


def test_the_windows_of_a_raster_are_inputs(tmp_path):
    facts = {"driver": "GTiff", "width": 64, "height": 32, "count": 1, "dtype": "uint8", "tiled": True}
    profile = {
        **facts,
        "blockxsize": 16,
        "blockysize": 16,
        "crs": "EPSG:32633",
        "transform": affine.Affine(2, 0, 0, 0, -2, 9),
    }
    with rasterio.open(tmp_path / "a.tif", "w", **profile):
        pass
    with rasterio.open(tmp_path / "a.tif") as source:
        for value in (list(source.block_windows()), source.profile, source.bounds, source.crs, source.transform):
            encoded = encode(value)
            assert decode(encoded.codec, encoded.data) == value
        with pytest.raises(CodecError, match=r"DatasetReader, which has no codec(?s:.*)dataset.read"):
            encode(source)


def test_what_dask_has_not_computed_is_no_result():
    import dask.array as da

    for value in (xr.Dataset({"a": ("x", da.ones(4, chunks=2))}), da.ones(4, chunks=2), da.ones(4).to_delayed()[0]):
        with pytest.raises(CodecError, match=r"has not been computed(?s:.*)return `value.compute\(\)`"):
            encode(value)


def test_records_of_any_number_of_fields_are_read_back():
    array = np.zeros(2, dtype=[(f"a field with a rather long name {n}", "f8") for n in range(2000)])
    encoded = encode(array)
    assert decode(encoded.codec, encoded.data).dtype == array.dtype


class Metres(pa.ExtensionType):
    def __init__(self, unit="m"):
        self.unit = unit
        super().__init__(pa.int64(), "tests.metres")

    def __arrow_ext_serialize__(self):
        return self.unit.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, _, serialized):
        return cls(serialized.decode())


LENGTHS = pa.ExtensionArray.from_storage(Metres("km"), pa.array([1, 2]))


@pytest.mark.parametrize(
    "value",
    [LENGTHS, LENGTHS.type, pa.table({"a": LENGTHS}), pa.table({"a": LENGTHS}).schema, pa.chunked_array([LENGTHS])],
    ids=lambda value: type(value).__name__,
)
def test_an_arrow_type_of_one_s_own_is_not_taken_for_the_type_that_stores_it(value):
    back = decode_json(encode_json(value), trusted=True)
    schema = getattr(back, "schema", back)
    kind = schema.field("a").type if isinstance(schema, pa.Schema) else getattr(back, "type", back)
    assert (type(kind), kind.unit) == (Metres, "km")


@pytest.mark.parametrize("index", [pd.date_range("2024", periods=3, freq="MS"), pd.RangeIndex(4, 10, 2)], ids=str)
def test_an_index_of_xarray_is_the_one_that_it_was(index):
    made = xr.Dataset({"v": ("t", [1, 2, 3])}, coords={"t": index})
    back = decode_json(encode_json([made, made["v"]]))
    for one in (back[0], back[1].to_dataset()):
        assert one.identical(made)
        found = one.indexes["t"]
        assert (type(found), getattr(found, "freq", None)) == (type(index), getattr(index, "freq", None))


class Weights(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that is none of numpy's and does not become one, as sparse ones; with a dask's method, as pint's."""

    def __init__(self, values, unit):
        self.values, self.unit = values, unit

    dtype = property(lambda self: self.values.dtype)
    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)

    def __array__(self, *_, **__):
        raise RuntimeError("Cannot convert it automatically")

    def __array_function__(self, *_):
        return NotImplemented

    def __array_ufunc__(self, *_, **__):
        return NotImplemented

    def __dask_graph__(self):
        return None


def test_arrays_of_other_libraries_stay_what_they_are_alone_and_within_xarray():
    made = xr.Dataset({"w": ("x", Weights(np.arange(3), "kg"))}, coords={"x": [1, 2, 3]})
    back, alone = decode_json(encode_json([made, made["w"].data]), trusted=True)
    for one in (back["w"].data, alone):
        assert (type(one), one.values.tolist(), one.unit) == (Weights, [0, 1, 2], "kg")


@pytest.mark.skipif(not hasattr(xr.indexes, "NDPointIndex"), reason="an older xarray")
def test_indexes_of_other_kinds_find_what_they_found():
    steps = xr.Dataset(coords=xr.Coordinates.from_xindex(xr.indexes.RangeIndex.arange(0, 1, 0.25, dim="x")))
    corners = {"lon": (("y", "x"), np.array([[1.0, 2.0], [3.0, 0.0]])), "lat": (("y", "x"), np.eye(2))}
    points = xr.Dataset({"v": (("y", "x"), np.array([[1, 2], [3, 4]]))}, corners)
    points = points.set_xindex(["lon", "lat"], xr.indexes.NDPointIndex)
    back = decode_json(encode_json([steps, points]), trusted=True)
    assert back[0].sel(x=0.6, method="nearest").x == 0.5
    assert back[1].v.sel(lon=2.9, lat=0.1, method="nearest") == 3
    assert [type(next(iter(one.xindexes.values()))) for one in back] == [
        xr.indexes.RangeIndex,
        xr.indexes.NDPointIndex,
    ]


def test_a_sparse_matrix_knows_that_no_place_stands_twice_in_it():
    once, twice = sp.coo_array(np.eye(2)), sp.coo_array(([1, 2], ([0, 0], [1, 1])), shape=(2, 2))
    back = decode_json(encode_json([once, twice]))
    assert [each.has_canonical_format for each in back] == [True, False]
    assert back[1].nnz == 2
