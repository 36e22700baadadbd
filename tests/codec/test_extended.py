"""What extends an array or a frame comes back as what it is, with what its class added; and marks of arrays stay."""

import functools
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

import fanfold
from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.codec.data_notes import ReadAsDataWarning
from fanfold.errors import CodecError, InputError


class Measured(pd.DataFrame):
    _metadata: ClassVar = ["unit"]

    def __init__(self, *args: Any, unit: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unit = unit

    @property
    def _constructor(self) -> Any:
        return lambda *args, **kwargs: Measured(*args, unit=self.unit, **kwargs)


class Column(pd.Series):
    _metadata: ClassVar = ["unit"]  # without pandas' own `_name`: pickle loses the name of such a column


class Signal(np.ndarray):
    def __array_finalize__(self, of: Any) -> None:
        self.rate = getattr(of, "rate", None)


class Says(np.ndarray):
    def __reduce__(self) -> Any:
        return Says.made, (self.tolist(),)

    @staticmethod
    def made(items: list[float]) -> Any:
        return np.array(items).view(Says)


class Holes(np.ma.MaskedArray):
    pass


def as_result(value):
    encoded = encode(value)
    return decode(encoded.codec, encoded.data)


def as_argument(value):
    return decode_json(encode_json(value), trusted=True)


WAYS = pytest.mark.parametrize("way", [as_result, as_argument])


@WAYS
def test_a_frame_and_a_column_of_ones_own_class(way):
    frame = Measured({"a": [1.5, None], "b": ["x", "y"]}, index=["p", "q"], unit="m")
    column = Column([1, 2], name="n")
    column.unit = "s"
    column.attrs["from"] = "sensor"
    one, other = way([frame, column])
    assert (type(one), one.unit, one.index.tolist()) == (Measured, "m", ["p", "q"])
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(frame))
    assert (type(other), other.unit, other.name, other.attrs) == (Column, "s", "n", {"from": "sensor"})
    assert other.tolist() == [1, 2]


@WAYS
def test_an_array_of_ones_own_class_keeps_its_attributes(way):
    signal = np.arange(4.0).view(Signal)
    signal.rate = {"hz": 5}
    back, again = way([signal, signal])
    assert (type(back), back.rate, back.tolist()) == (Signal, {"hz": 5}, [0, 1, 2, 3])
    assert again is back
    holes = np.ma.array([1, 2], mask=[0, 1]).view(Holes)
    found = way(holes)
    assert (type(found), found.tolist()) == (Holes, [1, None])


def test_a_class_that_says_how_it_is_pickled_is_asked():
    assert type(as_argument(np.arange(2.0).view(Says))) is Says


@WAYS
def test_a_mapped_file_arrives_without_its_file(way, tmp_path):
    mapped = np.memmap(tmp_path / "numbers", "f8", "w+", shape=(3,))
    mapped[:] = (1, 2, 3)
    back = way(mapped)
    assert (type(back), back.tolist(), back.filename) == (np.memmap, [1, 2, 3], None)


def test_a_reader_without_the_class_gets_the_plain_frame():
    gone = type("Gone", (pd.DataFrame,), {})
    with pytest.warns(ReadAsDataWarning, match="Gone"):
        back = as_result(gone({"a": [1]}))
    assert type(back) is pd.DataFrame


@WAYS
@pytest.mark.parametrize("array", [np.arange(3), np.array([{}, None]), np.zeros(1 << 18)], ids=["few", "any", "large"])
def test_an_array_that_is_read_only_stays_so(way, array):
    array.flags.writeable = False
    for back in (way(array), way([array])[0]):
        assert (type(back), back.flags.writeable, back.tolist()) == (np.ndarray, False, array.tolist())


def test_a_large_argument_that_is_read_only_is_kept_apart():
    array = np.zeros(1 << 18)
    array.flags.writeable = False
    blobs: dict[str, bytes] = {}
    text = encode_json(array, put_blob=blobs.__setitem__)
    assert len(text) < 200
    assert not decode_json(text, get_blob=blobs.__getitem__).flags.writeable


def test_a_ufunc_made_of_a_function():
    table = {"a": 1}
    count = np.frompyfunc(lambda word, more: table.get(word, 0) + more, 2, 1, identity=0)

    def counted(words, by):
        return [by(words, 1).tolist(), count(words, 2).tolist(), by.identity]

    assert fanfold.run(counted, words=np.array(["a", "b"]), by=count) == [[2, 1], [3, 2], 0]


def test_a_lambda_that_a_library_has_made_goes_as_argument():
    styled = pd.DataFrame({"a": [1.5]}).style.format("{:.2f} m")

    def shown(table):
        return "1.50 m" in table.to_html()

    assert fanfold.run(shown, table=styled)


def test_what_cannot_be_made_of_what_it_says_is_refused_before_anything_starts():
    class Template:
        def __new__(cls, source):
            return object.__new__(cls)

    with pytest.raises(CodecError, match="Template, which has no codec"):
        encode_json(Template("x"))


def test_a_connection_is_refused_with_what_to_pass():
    import sqlite3

    with sqlite3.connect(":memory:") as connection, pytest.raises(InputError, match="the path of its database"):
        fanfold.run(lambda db: 1, db=connection)
    connection.close()


def test_a_lambda_in_a_result_is_refused_with_what_to_write():
    with pytest.raises(CodecError, match=r"result\[0\] needs(?s:.*)as a function with a name \(`def`\)"):
        encode(functools.partial(lambda x: x, 1))
