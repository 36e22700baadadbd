"""Arguments and small results as text: everything comes back exactly, in order, and always as the same text."""

import datetime as dt
import io
import json
import math
import threading
from collections import namedtuple
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.errors import CodecError

PARIS = ZoneInfo("Europe/Paris")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None, exclude_categories=())),
    st.binary(max_size=20),
    st.complex_numbers(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.timedeltas(),
    st.datetimes(timezones=st.none() | st.just(dt.timezone.utc) | st.just(PARIS), allow_imaginary=True),
    st.times(timezones=st.none() | st.just(dt.timezone(dt.timedelta(minutes=-90), "odd"))),
    st.builds(range, st.integers(), st.integers(), st.integers(min_value=1)),
)
hashables = st.recursive(
    scalars.filter(lambda value: value == value),  # NaN as a key finds nothing
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
values = st.recursive(
    scalars | hashables,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=5) | hashables, inner, max_size=4),
        st.sets(hashables, max_size=3),
        st.binary(max_size=5).map(bytearray),
    ),
    max_leaves=12,
)


def shape(value):
    """Types, order and digits of a value; unlike `==`, it tells 1 from True and one NaN is another's like."""
    if isinstance(value, dict):
        return dict, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [shape(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, map(shape, value)))
    return type(value), repr(value)


@settings(max_examples=300, deadline=None)
@example({"$tuple": [1, 2]})
@example("\ud800\udc00")
@example([Decimal("NaN"), Decimal("sNaN"), Decimal("-0.00")])
@example([-0.0, math.nan, math.inf, -math.inf, 10**4000, True, 1, 1.0])
@example({1: "a", "1": "b", None: "c", (1, ("$x",)): {"$": {"$$": []}}})
@given(values)
def test_what_goes_in_comes_out(value):
    text = encode_json(value)
    assert shape(decode_json(text)) == shape(value)
    assert text.isascii()
    assert "\n" not in text
    json.loads(text, parse_constant=pytest.fail)
    encoded = encode(value)
    assert shape(decode(encoded.codec, encoded.data)) == shape(value)


@settings(max_examples=100, deadline=None)
@given(st.sets(hashables, max_size=6), st.randoms())
def test_the_same_value_gives_the_same_text(members, random):
    shuffled = list(members)
    random.shuffle(shuffled)
    again: set = set()
    for member in shuffled:
        again.add(member)
    assert encode_json(members) == encode_json(again)


def test_the_text_is_compact_and_keeps_its_order():
    assert encode_json({"b": [1, 2.5, None, True], "a": "é"}) == '{"b":[1,2.5,null,true],"a":"\\u00e9"}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, (2,)), '{"$tuple":[1,{"$tuple":[2]}]}'),
        ({3, 1, 2}, '{"$set":[1,2,3]}'),
        ({1: "x"}, '{"$dict":[[1,"x"]]}'),
        ({"$set": 1}, '{"$dict":[["$set",1]]}'),
        (math.inf, '{"$float":"inf"}'),
        (b"hi", '{"$bytes":"aGk="}'),
        (dt.date(2024, 2, 29), '{"$date":"2024-02-29"}'),
        (dt.datetime(2024, 1, 2, 3), '{"$datetime":"2024-01-02T03:00:00"}'),
        (
            dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS),
            '{"$datetime":["2024-10-27T02:30:00",["zone","Europe/Paris"],1]}',
        ),
        (Decimal("1.00"), '{"$decimal":"1.00"}'),
        (UUID(int=7), '{"$uuid":"00000000-0000-0000-0000-000000000007"}'),
        (PurePosixPath("a/b"), '{"$path":["PurePosixPath","a/b"]}'),
        (range(1, 9, 2), '{"$range":[1,9,2]}'),
    ],
)
def test_each_tag_is_a_format_that_stays(value, text):
    assert encode_json(value) == text
    assert decode_json(text) == value


@pytest.mark.parametrize("path", [Path("/data/x"), PurePosixPath("a"), PureWindowsPath("c:\\x")])
def test_paths_keep_their_flavour(path):
    assert shape(decode_json(encode_json(path))) == shape(path)


def test_fold_tells_the_two_half_past_twos_apart():
    early = dt.datetime(2024, 10, 27, 2, 30, tzinfo=PARIS)
    late = early.replace(fold=1)
    assert decode_json(encode_json(late)).utcoffset() == dt.timedelta(hours=1)
    assert encode_json(early) != encode_json(late)


def test_ten_megabytes_of_text_and_of_numbers():
    value = {"text": "é" * 5_000_000, "numbers": list(range(1_000_000))}
    encoded = encode(value)
    assert decode(encoded.codec, encoded.data) == value


def test_only_large_bytes_go_to_the_blobs():
    blobs: dict[str, bytes] = {}
    value = {"small": b"x" * 10, "large": b"y" * 5000, "again": (bytearray(b"y" * 5000),)}
    text = encode_json(value, put_blob=blobs.__setitem__)
    assert list(blobs.values()) == [b"y" * 5000]
    assert len(text) < 500
    assert shape(decode_json(text, get_blob=blobs.__getitem__)) == shape(value)
    with pytest.raises(CodecError, match="kept elsewhere"):
        decode_json(text)


def test_large_bytes_within_a_result_travel_beside_its_json():
    encoded = encode([b"y" * 5000])
    assert encoded.codec == "parts/1"
    assert len(encoded.data) < 5100
    assert decode(encoded.codec, encoded.data) == [b"y" * 5000]


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"model": [1, 2, object()]}, r'^result\["model"\]\[2\] is a builtins.object'),
        ({(1, 2): {3: threading.Lock()}}, r"^result\[\(1, 2\)\]\[3\] is a _thread.lock"),
        ((n for n in []), r"generator(?s:.*)`list\(value\)`"),
        (
            {"at": dt.datetime(2024, 1, 1, tzinfo=type("Mine", (dt.tzinfo,), {"__module__": "email.utils"})())},
            r'^result\["at"\] has the time zone',
        ),
    ],
)
def test_what_has_no_codec_is_named_with_its_place_and_what_to_return_instead(value, message):
    with pytest.raises(CodecError, match=message):
        encode(value)


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        ("json/1", b"{"),
        ("json/1", b"\xff"),
        ("json/1", b'{"$never":1}'),
        ("json/1", b'{"$part":["json/1",1]}'),
        ("json/1", b'{"$tuple":5}'),
        ("json/1", b'{"$date":"soon"}'),
        ("json/2", b"1"),
        ("parts/1", b""),
        ("parts/1", b"abc"),
        ("npy/1", b""),
        ("png/1", b"x"),
        ("parquet-pandas/1", b"x"),
        ("parquet-arrow/1", b"PAR1"),
        ("parquet-polars/1", b"Fx"),
        ("parquet-polars/2", b"x"),
        ("geoparquet/1", b""),
    ],
)
def test_bytes_that_do_not_decode_are_an_error_with_a_next_step(codec, data):
    with pytest.raises(CodecError) as caught:
        decode(codec, data)
    assert caught.value.next_step


@settings(max_examples=50, deadline=None)
@given(st.integers(min_value=0))
def test_a_result_that_was_cut_short_never_decodes_to_something_else(cut):
    whole = encode({"a": [b"z" * 2000, 1]})
    with pytest.raises(CodecError):
        decode(whole.codec, whole.data[: cut % len(whole.data)])


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("no")


def test_pickle_is_an_explicit_choice_on_both_sides():
    encoded = encode({"a": 1j, "p": Point(1, 2)}, serializer="pickle")
    assert encoded.codec == "pickle/1"
    with pytest.raises(CodecError, match="pickle"):
        decode(encoded.codec, encoded.data)
    assert decode(encoded.codec, encoded.data, allow_pickle=True) == {"a": 1j, "p": Point(1, 2)}
    with pytest.raises(CodecError, match="does not pickle"):
        encode(Unpicklable(), serializer="pickle")
    with pytest.raises(CodecError, match="no serializer"):
        encode(1, serializer="pickles")


def test_a_pickle_has_the_code_that_no_name_leads_to_for_the_same_python_alone(monkeypatch):
    offset = 2

    class Local:
        def __init__(self, add):
            self.add = add

    value = [lambda x: x + offset, Local(3), Point(1, 2)]
    encoded = encode(value, serializer="pickle")
    add, local, point = decode(encoded.codec, encoded.data, allow_pickle=True)
    assert (add(1), local.add, type(local).__name__, point) == (3, 3, "Local", Point(1, 2))
    with open(__file__) as file, pytest.raises(CodecError, match="does not pickle"):  # cloudpickle would send a copy
        encode([lambda: 1, file], serializer="pickle")
    from fanfold.codec import pickled_code

    monkeypatch.setattr(pickled_code.sys, "version_info", (3, 99, 0))
    with pytest.raises(CodecError, match="read it with Python 3"):
        decode(encoded.codec, encoded.data, allow_pickle=True)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (io.StringIO("a"), "what it holds: `value.getvalue()`"),
        (io.BytesIO(b"a"), "what it holds: `value.getvalue()`"),
        ({1: 2}.keys(), "`list(value)`"),
        ({1: 2}.items(), "`dict(value)`"),
    ],
)
def test_the_hint_says_return_of_a_result_and_pass_of_an_argument(value, hint):
    for name, said in (("result", "return"), ("day", "pass")):
        with pytest.raises(CodecError) as caught:
            encode_json(value, name=name)
        assert caught.value.instead == f"{said} {hint}"
