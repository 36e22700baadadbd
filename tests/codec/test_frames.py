"""pandas, polars, pyarrow and geopandas frames: labels, index, dtypes and attrs all come back."""

import datetime as dt
import io
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import cftime
import geopandas as gpd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import shapely
import xarray as xr
from geopandas.testing import assert_geodataframe_equal, assert_geoseries_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra.pandas import column, columns, data_frames, range_indexes
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.errors import CodecError


def there_and_back(value):
    encoded = encode(value)
    return decode(encoded.codec, encoded.data)


def objects(*cells):
    return pd.Series(cells, dtype=object)


PLAIN = pd.DataFrame({"a": [1, 2, 3], "b": [1.5, np.nan, -0.0], "c": ["x", None, "é"]})
DAYS = pd.date_range("2024-10-26", periods=3, freq="D", tz="Europe/Paris", name="day")
PAIRS = pd.MultiIndex.from_tuples([("b", 1), ("a", 2), ("a", 1)], names=["letter", None])

FRAMES = {
    "plain": PLAIN,
    "no rows": PLAIN.iloc[:0],
    "no columns": pd.DataFrame(index=range(5)),
    "no columns, named rows": pd.DataFrame(index=["a", "b"]),
    "nothing": pd.DataFrame(),
    "small numbers": pd.DataFrame({t: np.array([0, 1], t) for t in ("i1", "u8", "f4", "f2", "?", "c16", ">i4")}),
    "integer labels": pd.DataFrame(np.zeros((2, 3)), columns=[7, 8, 1]),
    "duplicate labels": pd.DataFrame(np.arange(6).reshape(2, 3), columns=["a", "a", "b"]),
    "mixed labels": pd.DataFrame(np.arange(6).reshape(2, 3), columns=objects("a", 1, ("t", None))),
    "odd labels": pd.DataFrame({"": [1], "a.b": [2], "__index_level_0__": [3], "nul\0": [4]}, index=["x"]),
    "labels in two levels": pd.DataFrame(np.arange(9).reshape(3, 3), columns=PAIRS),
    "dates as labels": pd.DataFrame(np.zeros((2, 3)), columns=DAYS),
    "a stepping range": pd.DataFrame({"v": [1, 2]}, index=pd.RangeIndex(10, 4, -3, name="n")),
    "two levels": pd.DataFrame({"v": [1, 2, 3]}, index=PAIRS),
    "unused levels": pd.DataFrame({"v": [1, 2, 3]}, index=PAIRS).iloc[:1],
    "days with a frequency": pd.DataFrame({"v": [1, 2, 3]}, index=DAYS),
    "tuples as rows": pd.DataFrame({"v": [1, 2]}, index=pd.Index([(1, 2), (3, 4)], tupleize_cols=False)),
    "categories as rows": pd.DataFrame({"v": [1, 2]}, index=pd.CategoricalIndex(["a", "b"], ["b", "c", "a"])),
    "categories": pd.DataFrame(
        {
            "ordered": pd.Categorical(["x", "y", None], categories=["z", "y", "x"], ordered=True),
            "numbers": pd.Categorical([1, 2, 1]),
            "days": pd.Categorical(DAYS),
        }
    ),
    "times": pd.DataFrame(
        {
            "paris": DAYS,
            "utc": pd.date_range("2024", periods=3, tz="UTC", unit="s"),
            "offset": pd.to_datetime(["2020-01-01T00:00+02:00", None, None]),
            "seconds": pd.to_datetime(["2020-01-01", None, None]).astype("M8[s]"),
            "nanoseconds": pd.to_datetime([1, None, 3], unit="ns").astype("M8[ns]"),
            "for": pd.to_timedelta([1, -2, None], unit="s"),
        }
    ),
    "missing values": pd.DataFrame(
        {
            "whole": pd.array([2**62 + 1, None], dtype="Int64"),
            "small": pd.array([1, None], dtype="UInt8"),
            "truth": pd.array([True, None], dtype="boolean"),
            "real": pd.array([1.5, None], dtype="Float32"),
            "text": pd.array(["a", None], dtype="string"),
            "text in Python": pd.array(["a", None], dtype="string[python]"),
        }
    ),
    "arrow dtypes": pd.DataFrame(
        {
            "whole": pd.array([1, None], dtype="int64[pyarrow]"),
            "seconds": pd.array([1, None], dtype=pd.ArrowDtype(pa.timestamp("s"))),
            "lists": pd.array([["a"], None], dtype=pd.ArrowDtype(pa.list_(pa.string()))),
        }
    ),
    "periods and intervals": pd.DataFrame(
        {
            "month": pd.period_range("2020", periods=2, freq="M"),
            "span": pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2)], closed="left"),
            "days": pd.interval_range(pd.Timestamp("2020"), periods=2),
        }
    ),
    "objects": pd.DataFrame(
        {
            "text": objects("x", None),
            "half a character": objects("\ud800", "b"),
            "mixed": objects(1, "a"),
            "nothing": objects(np.nan, None),
            "truth": objects(True, None),
            "lists": objects([1, 2], [3, 4]),
            "dates": objects(dt.date(2020, 1, 1), pd.NaT),
            "money": objects(Decimal("1.0"), Decimal("1.00")),
            "arrays": objects(np.arange(2), pd.NA).map(lambda cell: cell),
        }
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back_as_it_was(name):
    frame = FRAMES[name]
    back = there_and_back(frame)
    if name == "objects":  # `assert_frame_equal` takes None and NaN, or 1.0 and 1.00, for the same
        assert [[repr(cell) for cell in row] for row in back.to_numpy()] == [
            [repr(cell) for cell in row] for row in frame.to_numpy()
        ]
        frame, back = frame.drop(columns="arrays"), back.drop(columns="arrays")
    assert_frame_equal(back, frame, check_exact=True, check_freq=True, check_column_type=True)
    assert [type(dtype) for dtype in back.dtypes] == [type(dtype) for dtype in frame.dtypes]
    assert_index_equal(back.index, frame.index, exact=True)
    assert encode(FRAMES[name]) == encode(FRAMES[name])


@pytest.mark.parametrize("name", FRAMES)
def test_so_do_its_columns_and_its_index(name):
    frame = FRAMES[name]
    for number in range(frame.shape[1] - (name == "objects")):  # whose last are arrays, which are not compared as one
        assert_series_equal(there_and_back(frame.iloc[:, number]), frame.iloc[:, number])
    assert_index_equal(there_and_back(frame.index), frame.index, exact=True)
    assert_index_equal(there_and_back(frame.columns), frame.columns, exact=True)


def test_unused_levels_and_categories_survive():
    back = there_and_back(FRAMES["unused levels"])
    assert list(back.index.levels[0]) == ["a", "b"]
    assert list(there_and_back(FRAMES["categories"])["ordered"].cat.categories) == ["z", "y", "x"]


@pytest.mark.parametrize("is_unique", [True, False])
def test_that_no_label_may_come_twice_stays_said(is_unique):
    shapes = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)])
    numbers = pd.DataFrame(np.random.default_rng(0).random((9_000, 1)))  # of which the bytes are written as they are
    for value in (PLAIN, PLAIN["a"], shapes, shapes.geometry, numbers):
        encoded = encode(value.set_flags(allows_duplicate_labels=not is_unique), as_file=True)
        back = decode(encoded.codec, encoded.data)
        assert (type(back), back.flags.allows_duplicate_labels) == (type(value), not is_unique)


def test_attrs_and_names_survive():
    frame, series = PLAIN.copy(), pd.Series([1], name=("a", 1))
    frame.attrs, series.attrs = {"unit": "m", 1: (2,)}, {"source": "sensor"}
    assert there_and_back(frame).attrs == frame.attrs
    assert there_and_back(series).attrs == series.attrs
    assert there_and_back(series).name == ("a", 1)


def test_what_comes_back_can_be_written_to():
    back = there_and_back(PLAIN)
    back.iloc[0, 0] = 9
    back.loc[1, "b"] = 2.5
    assert back.iloc[0, 0] == 9


def test_ten_megabytes():
    frame = pd.DataFrame(np.random.default_rng(0).random((125_000, 10)))
    assert_frame_equal(there_and_back(frame), frame, check_exact=True)


def test_frames_within_a_value():
    value = {"frames": {"a": PLAIN, "b": [PLAIN["a"], np.arange(3)]}, "stats": (1, None)}
    encoded = encode(value)
    assert encoded.codec == "parts/1"
    blobs: dict[str, bytes] = {}
    texts = [encode_json(value), encode_json(value, put_blob=blobs.__setitem__)]
    assert blobs
    for back in (
        decode(encoded.codec, encoded.data),
        decode_json(texts[0]),
        decode_json(texts[1], get_blob=blobs.__getitem__),
    ):
        assert_frame_equal(back["frames"]["a"], PLAIN)
        assert_series_equal(back["frames"]["b"][0], PLAIN["a"])
        assert back["frames"]["b"][1].tolist() == [0, 1, 2]
        assert back["stats"] == (1, None)


def test_the_file_is_ordinary_parquet_to_others():
    assert list(pd.read_parquet(io.BytesIO(encode(PLAIN).data)).columns) == ["a", "b", "c"]


some_frames = data_frames(
    columns=[
        *columns(["f", "i"], dtype=float),
        column("n", dtype=np.int64),
        column("t", elements=st.text(max_size=5) | st.none(), dtype=object),
    ],
    index=range_indexes(max_size=6),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some_frames)
def test_any_frame(frame):
    assert_frame_equal(there_and_back(frame), frame, check_exact=True)


times = hnp.arrays(st.sampled_from(["M8[s]", "M8[ms]", "M8[us]", "M8[ns]", "m8[s]", "m8[ns]"]), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(times)
def test_any_instant_comes_back_or_is_refused(values):
    series = pd.Series(values)
    try:
        encoded = encode(series)
    except CodecError:  # Parquet keeps seconds as milliseconds, which reach less far
        assert np.abs(values.astype("i8")).max() > 2**63 // 1000
    else:
        assert_series_equal(decode(encoded.codec, encoded.data), series)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"o": [1, object()]}), r"^result: column 'o'\[1\] is a builtins.object"),
        (pl.DataFrame({"o": [object()]}), "polars frame does not fit"),
        (pl.LazyFrame({"a": [1]}), r"`value.collect\(\)`"),
        (pa.table({"i": pa.array([None], pa.month_day_nano_interval())}), "Parquet cannot hold"),
    ],
    ids=["object", "polars object", "lazy", "arrow interval"],
)
def test_what_cannot_be_kept_is_refused_by_name(frame, message):
    with pytest.raises(CodecError, match=message):
        encode(frame)


def test_polars_frames_and_series():
    frame = pl.DataFrame(
        {
            "n": [1, None],
            "s": ["é", None],
            "c": pl.Series(["a", "b"], dtype=pl.Categorical),
            "e": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])),
            "t": pl.Series([dt.datetime(2020, 1, 1)] * 2).dt.replace_time_zone("Europe/Paris"),
            "d": [dt.timedelta(1)] * 2,
            "l": [[1], []],
            "st": [{"x": 1}] * 2,
            "dec": [Decimal("1.00")] * 2,
            "null": [None, None],
            "b": [b"x", b""],
            "f": [float("nan"), None],
        }
    )
    for part in (frame, frame.head(0), pl.DataFrame()):
        back = there_and_back(part)
        assert back.equals(part)
        assert back.schema == part.schema
    assert there_and_back(frame["n"]).equals(frame["n"])


def test_arrow_tables():
    table = pa.table(
        {
            "n": [1, None],
            "d": pa.array(["a", "b"]).dictionary_encode(),
            "t": pa.array([1, 2], pa.timestamp("ns", "Europe/Paris")),
            "s": pa.array([1, 2], pa.timestamp("s")),
            "nested": pa.array([[1], [2]], pa.list_(pa.timestamp("s"))),
            "st": pa.array([{"x": 1}, {"x": 2}]),
            "null": pa.nulls(2),
        }
    ).replace_schema_metadata({b"k": b"v"})
    for part in (table, table.slice(0, 0), pa.table({})):
        assert there_and_back(part).equals(part, check_metadata=True)


PLACES = [shapely.Point(1, 2), None, shapely.Point(1, 2, 3)]


@pytest.mark.parametrize("crs", [None, 4326, "EPSG:2154", "+proj=laea +lat_0=45 +lon_0=10 +datum=WGS84"])
def test_geo_frames_keep_their_crs(crs):
    frame = gpd.GeoDataFrame({"a": [1, 2, 3], "geometry": PLACES}, crs=crs, index=["x", "y", "z"])
    frame.attrs = {"k": 1}
    back = there_and_back(frame)
    assert type(back) is gpd.GeoDataFrame
    assert_geodataframe_equal(back, frame)
    assert back.crs == frame.crs
    assert back.attrs == frame.attrs
    assert_geoseries_equal(there_and_back(frame.geometry), frame.geometry)
    assert gpd.read_parquet(io.BytesIO(encode(frame).data)).crs == frame.crs


def test_geo_frames_keep_which_geometry_is_active():
    point = [shapely.Point(0, 0)]
    frame = gpd.GeoDataFrame({"g1": gpd.GeoSeries(point, crs=4326), "g2": gpd.GeoSeries(point, crs=3857)})
    assert there_and_back(frame).active_geometry_name is None
    back = there_and_back(frame.set_geometry("g2"))
    assert back.active_geometry_name == "g2"
    assert (back.g1.crs, back.g2.crs) == (4326, 3857)


def test_what_wkb_does_not_say_of_geometries_comes_back_all_the_same():
    """GeoPandas makes points of missing coordinates, and rings of polygons; PostGIS gives SRIDs."""
    corners = [(0, 0), (1, 0), (1, 1)]
    missing = gpd.points_from_xy([1.0, np.nan, np.nan], [2.0, np.nan, np.nan])
    several = [shapely.MultiPoint([missing[1], missing[0]]), shapely.GeometryCollection([missing[1], missing[0]])]
    with_z = [shapely.points(np.nan, np.nan, 5.0), shapely.Point(), shapely.from_wkt("POINT Z EMPTY"), None]
    rings = [shapely.LinearRing(corners), shapely.LineString([*corners, corners[0]])]
    for geometries in (missing, several, with_z, rings, [shapely.set_srid(shapely.Point(1, 2), 4326), None, *rings]):
        series = gpd.GeoSeries(geometries, crs=4326)
        back = there_and_back(series)
        assert back.crs == 4326
        for one, other in zip(back, series, strict=True):
            assert type(one) is type(other)
            assert one is None or (one.wkt, shapely.get_srid(one)) == (other.wkt, shapely.get_srid(other))
    assert gpd.read_parquet(io.BytesIO(encode(gpd.GeoDataFrame(geometry=missing)).data)).is_empty.tolist() == [
        False,
        True,
        True,
    ]


def test_what_a_large_frame_was_written_with_is_given_back():
    lines = shapely.linestrings(np.random.default_rng(0).random((20_000, 60, 2)))
    frame = gpd.GeoDataFrame(geometry=lines, crs=32633)
    before = anonymous_mb()
    encoded = encode(frame)
    assert anonymous_mb() - before < 2 * len(encoded.data) / 1e6  # Arrow kept twice as much again


def anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1e3


@pytest.fixture
def geoarrow_points(tmp_path, monkeypatch):
    """A type as GeoArrow's are: without a hash, and known to Arrow where its package is imported."""
    package = tmp_path / "geoarrow"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "pyarrow.py").write_text(
        "import pyarrow as pa\n\n"
        "class Points(pa.ExtensionType):\n"
        "    __hash__ = None\n"
        "    def __init__(self):\n"
        "        super().__init__(pa.struct({'x': pa.float64(), 'y': pa.float64()}), 'geoarrow.points')\n"
        "    def __arrow_ext_serialize__(self):\n"
        "        return b'{}'\n"
        "    @classmethod\n"
        "    def __arrow_ext_deserialize__(cls, storage, serialized):\n"
        "        return cls()\n\n"
        "pa.register_extension_type(Points())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from geoarrow.pyarrow import Points

    yield Points()
    sys.modules.pop("geoarrow.pyarrow")
    sys.modules.pop("geoarrow")
    with suppress(KeyError):
        pa.unregister_extension_type("geoarrow.points")


def test_tables_of_geoarrow_are_read_as_such_where_nobody_has_imported_it_yet(geoarrow_points):
    values = pa.ExtensionArray.from_storage(geoarrow_points, pa.array([{"x": 1.0, "y": 2.0}]))
    for value in (
        values,
        pa.chunked_array([values]),
        pa.table({"g": values, "n": [1]}),
        pa.record_batch({"g": values}),
    ):
        encoded = encode(value)
        pa.unregister_extension_type("geoarrow.points")
        del sys.modules["geoarrow.pyarrow"]
        back = decode(*encoded[:2])
        found = back.schema.field("g").type if hasattr(back, "schema") else back.type
        assert found.extension_name == "geoarrow.points"


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_moments_of_other_calendars_stay_an_index_that_knows_theirs(calendar):
    months = xr.date_range("2000-01-01", periods=4, freq="MS", calendar=calendar, use_cftime=True).rename("month")
    for frame in (pd.DataFrame({"a": range(4)}, index=months), pd.Series(range(4), index=months)):
        back = there_and_back(frame).index
        assert type(back) is type(months)
        assert (back.calendar, back.name, back.freq) == (calendar, "month", "MS")
        assert_index_equal(back, months)
    assert type(there_and_back(months)) is type(there_and_back(months[:0])) is type(months)
    tree = xr.DataTree.from_dict({"/a": xr.Dataset({"v": ("month", range(4))}, coords={"month": months})})
    assert decode_json(encode_json(tree)).identical(tree)


def test_an_index_of_somebody_elses_class_is_refused_and_not_replaced_by_pandas_own():
    class Odd(pd.Index):
        pass

    odd = pd.DataFrame({"a": [1, 2]})
    odd.index = Odd._simple_new(np.array([1, 2]))
    assert type(odd.index) is Odd
    with pytest.raises(CodecError, match="Odd, which has no codec") as refused:
        encode(odd)
    assert "set_axis" in refused.value.next_step
    plain = odd.set_axis(pd.Index(odd.index.to_numpy()))
    assert_frame_equal(there_and_back(plain), plain)


@pytest.mark.parametrize(
    "moment",
    [
        cftime.DatetimeNoLeap(2001, 2, 28, 1, 2, 3, 4),
        cftime.Datetime360Day(2000, 2, 30),
        cftime.datetime(-1, 3, 4, calendar="proleptic_gregorian", has_year_zero=True),
        cftime.datetime(5, 1, 1, calendar=""),
    ],
)
def test_a_moment_of_another_calendar_comes_back_to_any_reader(moment):
    back = decode_json(encode_json([moment]))[0]
    assert type(back) is type(moment)
    assert repr(back) == repr(moment)
