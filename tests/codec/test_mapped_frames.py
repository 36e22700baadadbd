"""Large frames of numbers as results: as they lie in memory, read without a copy, and as exact as any other frame."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from fanfold.codec import decode, encode
from fanfold.codec.registry import IPC

ROWS = 6000
NUMBERS = np.random.default_rng(0)
FLOATS = NUMBERS.random((ROWS, 3))
INTEGERS = NUMBERS.integers(-(2**62), 2**62, ROWS)
ODD = np.where(FLOATS < 0.1, np.nan, np.where(FLOATS > 0.9, -0.0, np.where(FLOATS > 0.8, np.inf, FLOATS)))
MOMENTS = pd.DataFrame({"t": INTEGERS.astype("M8[ns]"), "us": INTEGERS[::-1].astype("M8[us]")})
NO_MOMENT = MOMENTS.mask(FLOATS[:, :2] < 0.1)

FRAMES = {
    "floats": pd.DataFrame(FLOATS),
    "NaN, infinity and minus zero": pd.DataFrame(ODD, columns=["a", "b", "c"]),
    "float32": pd.DataFrame(FLOATS.astype("f4"), columns=[7, 8, "x"]),
    "integers": pd.DataFrame({"a": INTEGERS, "b": INTEGERS[::-1].copy().view("u8"), "c": INTEGERS.astype("i4")}),
    "several types, truth values too": pd.DataFrame({"i": INTEGERS, "x": FLOATS[:, 0], "b": FLOATS[:, 1] > 0.5}),
    "moments": MOMENTS,
    "moments, some missing": NO_MOMENT,
    "durations": pd.DataFrame({"d": INTEGERS.astype("m8[s]"), "e": INTEGERS[::-1].astype("m8[s]")}),
    "labels twice": pd.DataFrame(FLOATS, columns=["a", "a", "b"]),
    "rows by number": pd.DataFrame(FLOATS, index=pd.Index(INTEGERS, name="id")),
    "rows by the hour": pd.DataFrame(FLOATS, index=pd.date_range("2024", periods=ROWS, freq="h", name="at")),
    "a stepping range": pd.DataFrame(FLOATS, index=pd.RangeIndex(5, 5 + 3 * ROWS, 3, name="n")),
    "every third row of another": pd.DataFrame(np.repeat(FLOATS, 3, axis=0)).iloc[::3],
}
OTHERS = {
    "text": pd.DataFrame({"x": FLOATS[:, 0], "t": ["a"] * ROWS}),
    "attrs": pd.DataFrame(FLOATS).copy(),
    "few rows": pd.DataFrame(FLOATS[:100]),
    "little but zeros": pd.DataFrame(np.zeros((ROWS, 3))),
    "a zone": pd.DataFrame({"t": MOMENTS["t"].dt.tz_localize("UTC"), "x": FLOATS[:, 0]}),
    "missing integers": pd.DataFrame({"n": pd.array(INTEGERS, "Int64")}),
    "float16": pd.DataFrame(FLOATS.astype("f2").repeat(3, axis=1)),
    "complex": pd.DataFrame(FLOATS.astype("c16")),
    "two levels": pd.DataFrame(FLOATS, index=pd.MultiIndex.from_arrays([INTEGERS, INTEGERS])),
    "labels in two levels": pd.DataFrame(FLOATS, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])),
    "rows by name": pd.DataFrame(FLOATS, index=[f"row {n}" for n in range(ROWS)]),
}
OTHERS["attrs"].attrs["unit"] = "m"


def read(encoded, kind=bytearray):
    return decode(encoded.codec, kind(encoded.data))


@pytest.mark.parametrize("name", FRAMES)
def test_a_large_frame_of_numbers_is_arrow_and_comes_back_as_it_was(name):
    frame = FRAMES[name]
    encoded = encode(frame, as_file=True)
    assert encoded.codec == IPC
    for back in read(encoded), read(encoded, bytes):
        assert_frame_equal(back, frame, check_exact=True, check_freq=True, check_column_type=True)
        assert_index_equal(back.index, frame.index, exact=True)
        assert np.signbit(back.select_dtypes("float")).equals(np.signbit(frame.select_dtypes("float")))
        back.iloc[0, 0] = back.iloc[1, 0]  # it may be written to
        assert back.iloc[0, 0] == back.iloc[1, 0] or back.iloc[[0, 1], 0].isna().all()
    for column in {label: frame.iloc[:, at] for at, label in enumerate(frame.columns)}.values():
        assert_series_equal(read(encode(column, as_file=True)), column, check_exact=True)


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_frame_is_parquet_as_ever(name):
    encoded = encode(OTHERS[name], as_file=True)
    assert encoded == encode(OTHERS[name])
    assert encoded.codec == "parquet-pandas/1"


def test_only_a_result_is_arrow():
    assert encode(FRAMES["floats"]).codec == "parquet-pandas/1"


def test_nothing_is_copied_where_the_memory_is_the_readers_own():
    encoded = encode(FRAMES["floats"], as_file=True)
    own = bytearray(encoded.data)
    values = read(encoded, lambda _: own).to_numpy()
    assert np.shares_memory(values, np.frombuffer(own, np.uint8))
    kept = bytes(encoded.data)
    assert not np.shares_memory(decode(IPC, kept).to_numpy(), np.frombuffer(kept, np.uint8))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=hnp.arrays(np.dtype("f8"), hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)))
def test_any_numbers(values, monkeypatch):
    monkeypatch.setattr("fanfold.codec.mapped_frames._LARGE_BYTES", 0)
    monkeypatch.setattr("fanfold.codec.mapped_frames._WORTH", 0)
    encoded = encode(pd.DataFrame(values), as_file=True)
    assert encoded.codec == IPC
    assert_frame_equal(read(encoded), pd.DataFrame(values), check_exact=True)


def test_other_programs_read_the_file(tmp_path):
    import polars as pl
    import pyarrow.feather as feather

    path = tmp_path / "result.arrow"
    path.write_bytes(encode(FRAMES["moments"], as_file=True).data)
    assert pl.read_ipc(path).columns == ["t", "us"]
    assert_frame_equal(feather.read_table(path).to_pandas(ignore_metadata=True), FRAMES["moments"])
