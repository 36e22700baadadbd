"""numpy arrays, images, geometries, and scalars that carry a dtype."""

import io
import math

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from PIL import Image

from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.errors import CodecError


def there_and_back(value):
    encoded = encode(value)
    return decode(encoded.codec, encoded.data)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(hnp.array_dtypes() | hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_any_array(array):
    back = there_and_back(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_arrays_keep_fortran_order_and_can_be_written_to():
    back = there_and_back(np.zeros((3, 4), order="F"))
    assert back.flags.f_contiguous
    back[0, 0] = 1.0


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="numpy has texts of any length since 2.0")
@pytest.mark.parametrize("options", [{}, {"na_object": None}, {"na_object": math.nan}, {"na_object": pd.NA}], ids=str)
def test_texts_of_any_length_as_zarr_gives_them(options):
    kind = np.dtypes.StringDType(**options)
    array = np.array([["a", "b" * 100], ["", options.get("na_object", "c")]], kind, order="F")
    back = decode(*encode(array)[:2])
    assert (back.dtype, back.shape, back.flags.f_contiguous) == (kind, (2, 2), True)
    assert list(map(str, back.ravel())) == list(map(str, array.ravel()))
    array.flags.writeable = False
    assert decode_json(encode_json([array]))[0].dtype == kind


UNIT = {"unit": "m"}
NOTED = {
    "aligned as C does": np.dtype([("a", "i1"), ("b", "f8")], align=True),
    "with notes": np.dtype("f8", metadata=UNIT),
    "of objects, with notes": np.dtype("O", metadata={"vlen": str}),
    "notes within": np.dtype([("a", np.dtype("i4", metadata=UNIT)), ("b", "f4", (2,))]),
    "of records by attribute": np.dtype((np.record, [("a", "i4")])),
    "all of it": np.dtype(
        {
            "names": ["a", "b"],
            "formats": ["i1", np.dtype([("x", "i2"), ("y", "f8")], align=True)],
            "titles": ["A", "B"],
        },
        align=True,
        metadata=UNIT,
    ),
}


def said(dtype):
    """All that a dtype says: numpy takes those for equal that differ in notes or alignment alone."""
    inner = [field[0] for field in (dtype.fields or {}).values()]
    return dtype, dtype.metadata, dtype.isalignedstruct, dtype.type, list(map(said, inner))


@pytest.mark.parametrize("what", NOTED)
@pytest.mark.parametrize("count", [0, 3, 300_000])
def test_a_dtype_says_all_that_it_said(what, count):
    array = np.zeros(count, NOTED[what])
    back = decode_json(encode_json([array, array.dtype]))
    assert said(back[0].dtype) == said(back[1]) == said(array.dtype)
    parts = [(each[name] for name in array.dtype.names) if array.dtype.names else [each] for each in (back[0], array)]
    assert all(map(np.array_equal, *parts))
    if count == 3 and array.dtype.names:
        assert type(decode_json(encode_json(array[0]))) is type(array[0])
    array.flags.writeable = False
    assert not decode_json(encode_json(array)).flags.writeable


def test_what_stands_between_the_fields_of_a_record_is_no_part_of_it():
    kind = np.dtype([("a", "i1"), ("in", np.dtype([("x", "i2"), ("y", "f8", (2,))], align=True))], align=True)
    texts = set()
    for filling in (0, 255):
        array = np.full(3 * kind.itemsize, filling, "u1").view(kind)
        array["a"], array["in"]["x"], array["in"]["y"] = 1, 2, 3.5
        texts.add(encode(array).data + encode_json(array).encode())
    assert len(texts) == 1


def test_notes_that_cannot_be_written_stay_here():
    array = np.zeros(2, np.dtype("f8", metadata={"of": io.BytesIO()}))
    assert decode_json(encode_json(array)).dtype.metadata is None


def test_ten_megabytes():
    array = np.random.default_rng(0).random(1_300_000)
    assert np.array_equal(there_and_back({"a": [array]})["a"][0], array)


def test_records_with_objects_are_refused():
    array = np.array([("a", [])], dtype=[("x", "U1"), ("y", object)])
    with pytest.raises(CodecError, match=r'result\["x"\]\[0\]: an array of dtype .*\n.*tolist'):
        encode({"x": [array]})


@pytest.mark.parametrize(
    "value",
    [
        *(np.float32(1.1), np.float64("nan"), np.float16(3), np.longdouble("1.1"), np.complex64(1 + 2j)),
        *(np.int8(3), np.uint64(2**64 - 1), np.bool_(True), np.str_("é"), np.bytes_(b"x\0y")),
        *(np.datetime64("2020-01-01"), np.datetime64("NaT", "s"), np.timedelta64(3, "h")),
        np.array((1, 2.0), dtype=[("a", "i4"), ("b", "f8")])[()],
        *(pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert("Europe/Paris"), pd.Timestamp("2024-01-01")),
        *(pd.Timestamp(1, unit="ns"), pd.Timedelta(-3, unit="ms"), pd.NaT, pd.NA),
        *(pd.Period("2020-01", "M"), pd.Interval(0, 1.5, closed="both")),
    ],
    ids=repr,
)
def test_scalars_keep_their_dtype(value):
    for back in (decode_json(encode_json([value]))[0], there_and_back(value)):
        assert type(back) is type(value)
        assert repr(back) == repr(value)
        assert getattr(back, "dtype", None) == getattr(value, "dtype", None)
        assert getattr(back, "unit", None) == getattr(value, "unit", None)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_images_keep_their_pixels(mode):
    numbers = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype="u1")
    image = Image.fromarray(numbers)
    image = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
    back = there_and_back([image])[0]
    assert type(back) is Image.Image
    assert (back.mode, back.size, back.getpalette()) == (image.mode, image.size, image.getpalette())
    assert back.tobytes() == image.tobytes()


def test_an_image_keeps_what_its_file_says_of_it():
    image = Image.new("RGB", (2, 2), 5)
    exif = image.getexif()
    exif[274] = 6
    sink = io.BytesIO()
    image.save(sink, "JPEG", exif=exif, dpi=(72, 72), icc_profile=b"profile")
    opened = Image.open(sink)
    opened.info["note"] = {"of": ("mine", 1.5)}
    opened.info["file"] = sink  # stays here
    back = there_and_back(opened)
    assert type(back) is Image.Image
    assert back.tobytes() == opened.tobytes()
    assert back.info == {key: item for key, item in opened.info.items() if key != "file"}
    assert (back.format, back.getexif()[274]) == ("JPEG", 6)
    assert there_and_back(back).info == back.info


def test_images_that_png_would_change_are_refused():
    with pytest.raises(CodecError, match="mode CMYK"):
        encode(Image.new("CMYK", (1, 1)))


CORNERS = [(0, 0), (1, 0), (1, 1)]


@pytest.mark.parametrize(
    "geometry",
    [
        *(shapely.Point(1, 2), shapely.Point(1, 2, 3), shapely.Point(), shapely.LinearRing(CORNERS)),
        *(shapely.Polygon(CORNERS), shapely.set_srid(shapely.Point(1, math.pi), 4326)),
        shapely.GeometryCollection([shapely.Point(1, 2), shapely.LineString(CORNERS)]),
        *(shapely.points(math.nan, math.nan), shapely.set_srid(shapely.points(math.nan, math.nan, 5.0), 4326)),
        shapely.GeometryCollection([shapely.points(math.nan, math.nan), shapely.Point(1, 2)]),
    ],
    ids=str,
)
def test_geometries_within_a_value(geometry):
    back = decode_json(encode_json({"where": geometry}))["where"]
    assert type(back) is type(geometry)
    assert shapely.equals_identical(back, geometry)
    assert back.wkt == geometry.wkt
    assert shapely.get_srid(back) == shapely.get_srid(geometry)


def test_an_image_that_no_reader_would_open_is_refused_before_the_run_counts_as_done():
    with pytest.raises(CodecError, match=r"179,560,000 pixels; PIL reads no more(?s:.*)numpy.asarray"):
        encode(Image.new("1", (13_400, 13_400)))
    profiled = Image.new("L", (4, 4))
    profiled.info["icc_profile"] = b"x" * 2_000_000  # of which PIL writes more than it reads
    with pytest.raises(CodecError, match=r"does not read back(?s:.*)icc_profile"):
        encode(profiled)
    with pytest.raises(CodecError, match="cannot write empty image"):
        encode(Image.new("L", (0, 5)))


@pytest.mark.parametrize("dtype", ["f8", ">i4", "?", "c8", "M8[s]"])
@pytest.mark.parametrize("shape", ["plain", "fortran", "strided", "column"])
def test_a_large_array_is_the_bytes_that_numpy_writes(dtype, shape):
    array = (np.arange(600_000) % 2).astype(dtype)
    array = array.reshape(600, 1000)
    array = {"plain": array, "fortran": np.asfortranarray(array), "strided": array[:, ::2], "column": array.T}[shape]
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    assert encode(array).data == sink.getvalue()
