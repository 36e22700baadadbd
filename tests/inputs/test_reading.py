"""Inputs come out of whatever holds them, as Python's own values."""

import datetime as dt

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

from fanfold.errors import InputError
from fanfold.inputs import Signature, chunks, read, validated

DAY = dt.datetime(2024, 1, 2)
FRAME = pd.DataFrame({"day": ["a", None], "n": [1, 2], "x": [0.5, np.nan], "t": [pd.Timestamp(DAY), pd.NaT]})


class Grid:
    """A class of the user's own that can be iterated."""

    def __iter__(self):
        return iter([1, 2])


@pytest.mark.parametrize(
    ("inputs", "arrive"),
    [
        ([1, "a", None], [1, "a", None]),
        ((1, [2]), [1, [2]]),
        (range(3), [0, 1, 2]),
        ((n for n in (1, 2)), [1, 2]),
        ({"a": 1}.keys(), ["a"]),
        (Grid(), [1, 2]),
        (np.arange(2), [0, 1]),
        (np.array([0.5, 1]), [0.5, 1.0]),
        (np.array(["2024-01-02"], "M8[D]"), [DAY.date()]),
        (np.array(["2024-01-02", "NaT"], "M8[ns]"), [DAY, None]),
        (np.array([1], "M8[ns]"), [np.datetime64(1, "ns")]),
        (pd.Series([1, 2], index=[5, 6]), [1, 2]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series(["a", None]), ["a", None]),
        (pd.Series([1, "a"], dtype=object), [1, "a"]),
        (pd.Series([np.nan, None, "a"], dtype=object), [np.nan, None, "a"]),
        (pd.Series([DAY]), [pd.Timestamp(DAY)]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Index(["a", "b"]), ["a", "b"]),
        (pd.RangeIndex(2), [0, 1]),
        (pd.MultiIndex.from_tuples([("a", 1)]), [("a", 1)]),
        (pl.Series([1, None]), [1, None]),
        (pl.DataFrame({"a": [1], "b": ["x"]}), [{"a": 1, "b": "x"}]),
        (pa.table({"a": [1, None]}), [{"a": 1}, {"a": None}]),
        (pa.record_batch({"a": [1]}), [{"a": 1}]),
        (pa.array([1, None]), [1, None]),
        (pa.chunked_array([[1], [2]]), [1, 2]),
        (pd.DataFrame({"a": []}), []),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_inputs_of_every_kind(inputs, arrive):
    found = list(read(inputs))
    assert found == arrive
    assert [type(value) for value in found] == [type(value) for value in arrive]


def test_rows_of_a_frame_are_dicts_without_its_index_and_with_none_for_what_is_missing():
    first, second = read(FRAME.set_index(pd.Index(["p", "q"], name="ignored")))
    assert first == {"day": "a", "n": 1, "x": 0.5, "t": pd.Timestamp(DAY)}
    assert [type(value) for value in first.values()] == [str, int, float, pd.Timestamp]
    assert (second["day"], second["t"]) == (None, None)
    assert second["x"] != second["x"]  # NaN is a float like any other


def test_rows_of_an_array_with_axes_are_arrays():
    assert [row.tolist() for row in read(np.arange(4).reshape(2, 2))] == [[0, 1], [2, 3]]


def test_long_frames_are_read_in_pieces_without_a_seam():
    frame = pd.DataFrame({"n": np.arange(25_000)})
    assert [row["n"] for row in read(frame)] == list(range(25_000))
    assert list(read(frame["n"])) == list(range(25_000))
    assert list(read(frame["n"].to_numpy())) == list(range(25_000))
    assert list(read(pa.array(range(25_000)))) == list(range(25_000))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("abc", r"single str.\n.*`\['abc'\]`"),
        (b"abc", "single bytes"),
        ({"day": 1}, r"single dict.\n.*`\[\{'day': 1\}\]`"),
        (5, r"an int.\n.*`range\(5\)`, or `\[5\]`"),
        (None, r"NoneType.\n.*fanfold.run"),
        (2.5, r"a float.\n.*`\[2.5\]`"),
        (np.array(5), "a single ndarray"),
        (pl.LazyFrame({"a": [1]}), r"`inputs.collect\(\)`"),
        (duckdb.sql("SELECT 1 AS a"), r"`inputs.df\(\)`"),
        (pyarrow.dataset.dataset(pa.table({"a": [1]})), r"`inputs.to_table\(\)`"),
    ],
)
def test_what_is_not_a_list_of_inputs_is_an_error_that_says_what_was_perhaps_meant(inputs, message):
    with pytest.raises(InputError, match=message):
        read(inputs)


def test_columns_must_be_names_and_unique():
    with pytest.raises(InputError, match="column 0 cannot be a parameter: its name is an int"):
        list(read(pd.DataFrame([[1]])))
    with pytest.raises(InputError, match="two columns 'a'"):
        list(read(pd.DataFrame([[1, 2]], columns=["a", "a"])))


def test_chunks_keep_the_kind_and_the_rest():
    frame = pd.DataFrame({"a": range(5)}, index=list("abcde"))
    parts = chunks(frame, 2)
    assert [list(part.index) for part in parts] == [["a", "b"], ["c", "d"], ["e"]]
    assert [part.tolist() for part in chunks(np.arange(3), 2)] == [[0, 1], [2]]
    assert chunks([1, 2, 3], 5) == [[1, 2, 3]]
    for inputs, size in ((frame, 0), ({"a": 1}, 2), (iter([1]), 2)):
        with pytest.raises(InputError):
            chunks(inputs, size)


def test_what_has_no_rows_to_cut_is_refused_with_what_to_cut_instead():
    xarray, sparse = pytest.importorskip("xarray"), pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(np.eye(3))
    assert [part.shape for part in chunks(matrix, 2)] == [(2, 3), (1, 3)]
    data = xarray.Dataset({"t": ("x", range(3))})
    of_dask = pytest.importorskip("dask.dataframe").from_pandas(pd.DataFrame({"a": range(4)}), npartitions=2)
    table = pa.table({"a": range(3)})
    stored = pyarrow.dataset.dataset(table)
    assert [len(part) for part in list(of_dask.partitions)] == [2, 2]
    assert len(chunks(stored.to_table(), 2)) == len(chunks(table.to_reader().read_all(), 2)) == 2
    assert sum(part.count_rows() for part in stored.get_fragments()) == 3
    for inputs, instead in (
        (data, "data.isel("),
        (matrix.tocoo(), "tocsr()"),
        (np.array(1), "one dimension"),
        (of_dask, "list(frame.partitions)"),
        (stored, "dataset.get_fragments()"),
        (table.to_reader(), "reader.read_all()"),
        (duckdb.sql("SELECT 1 AS a"), "relation.df()"),
    ):
        with pytest.raises(InputError, match=r"Only what has rows is cut into chunks; this is an? \w+\.") as refused:
            chunks(inputs, 2)
        assert instead in str(refused.value.next_step)


def test_extra_columns_of_a_frame_are_one_error_that_says_which_to_pass():
    def udf(a, b=1): ...

    frame = pd.DataFrame({"a": [1], "b": [2], "more": [3]})
    with pytest.raises(InputError, match=r"the column 'more'(?s:.*)`inputs\[\[\"a\", \"b\"\]\]`"):
        list(validated(frame, Signature.of(udf), {}))
