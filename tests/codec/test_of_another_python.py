"""Values of another Python or another package's release: read exactly, or refused in words that are true."""

from __future__ import annotations

import argparse
import configparser
import html.parser
import pickle
import re
import sys
import types
import zoneinfo

import numpy as np
import pandas as pd
import pytest

from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.codec.classes import Definitions
from fanfold.codec.data_notes import ReadAsDataWarning
from fanfold.codec.state_shapes import shape, standard_classes
from fanfold.errors import CodecError, MissingPackage


class Nothing(Definitions):
    """A job's own classes, of which there are none."""

    def find(self, module, qualname):
        return None


class Own(html.parser.HTMLParser):
    pass


@pytest.fixture
def other_shape(monkeypatch):
    """Has this Python's parsers of settings keep something else than the one that wrote a value."""

    def change():
        shape.cache_clear()
        changed = dict(vars(configparser.RawConfigParser))["_read_defaults"]
        monkeypatch.setattr(configparser.RawConfigParser, "__init__", changed)

    yield change
    monkeypatch.undo()
    shape.cache_clear()


def test_a_state_of_the_standard_librarys_is_read_where_its_class_keeps_the_same():
    written = configparser.ConfigParser()
    written.read_string("[a]\nx = 1")
    assert decode_json(encode_json(written), trusted=True)["a"]["x"] == "1"


def test_and_is_refused_by_both_pythons_where_it_keeps_something_else(other_shape):
    text = encode_json(configparser.ConfigParser())
    other_shape()
    here = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(
        CodecError, match=rf"needs configparser\.\w+: Python {here} wrote it, .* those of Python {here}\."
    ):
        decode_json(text, trusted=True)


def test_a_trusting_reader_gets_its_data_and_is_told(other_shape):
    encoded = encode({"settings": configparser.ConfigParser()})
    other_shape()
    with pytest.warns(ReadAsDataWarning, match="keep something else"):
        found = decode(encoded.codec, encoded.data, allow_pickle=True, from_source=Nothing())
    assert found["settings"]["default_section"] == "DEFAULT", found


def test_what_a_class_keeps_counts_with_what_it_extends():
    assert shape(standard_classes(Own)) == shape(standard_classes(html.parser.HTMLParser)) != ""
    assert shape(standard_classes(argparse.Namespace)) == shape(standard_classes(type("N", (argparse.Namespace,), {})))
    assert shape(standard_classes(types.SimpleNamespace)) == ""
    assert standard_classes(dict) == standard_classes(ValueError) == ()


class Loud:
    def __setstate__(self, state):
        raise ArithmeticError("not with this state")

    def __getstate__(self):
        return {"a": 1}


def test_an_object_whose_class_does_not_take_its_state_is_not_called_damaged():
    text = encode_json(Loud())
    with pytest.raises(
        CodecError, match=r"Loud: it does not take here .*ArithmeticError: not with this state"
    ) as raised:
        decode_json(text, trusted=True)
    assert "damaged" not in str(raised.value)


def test_an_object_made_of_what_is_not_here_is_data_for_a_trusting_reader(monkeypatch):
    encoded = encode([np.random.default_rng(3), 1])
    monkeypatch.setattr(np, "__version__", "1.0.0")
    with pytest.warns(ReadAsDataWarning, match="numpy"):
        found = decode(encoded.codec, encoded.data, allow_pickle=True, from_source=Nothing())
    assert found[1] == 1
    assert not isinstance(found[0], np.random.Generator)


def test_what_a_missing_package_wrote_is_refused_by_its_name(monkeypatch):
    text = encode_json(pd.Timestamp("2020-01-01", tz=zoneinfo.ZoneInfo("Europe/Berlin")))
    assert '"zone","Europe/Berlin"' in text
    monkeypatch.setitem(sys.modules, "pytz", None)  # which is what pandas 2 makes of that name
    with pytest.raises(MissingPackage, match="needs pytz, which is not installed") as raised:
        decode_json(text.replace('"zone"', '"pytz"'))
    assert "pip install pytz" in str(raised.value)


class Renamed:
    pass


def test_a_pickle_that_does_not_load_says_why_and_not_that_it_is_damaged(monkeypatch):
    data = encode(Renamed(), serializer="pickle").data
    monkeypatch.delattr(sys.modules[__name__], "Renamed")
    with pytest.raises(
        CodecError, match=r"does not load here, in Python 3\.\d+\.\d+: AttributeError: .*Renamed"
    ) as raised:
        decode("pickle/1", data, allow_pickle=True)
    assert "damaged" not in str(raised.value)
    with pytest.raises(CodecError, match="damaged"):
        decode("pickle/1", pickle.dumps([1])[:-3], allow_pickle=True)


class Greeter:
    def greet(self):
        return "the class's"


def greet(self):
    return "another"


def test_a_method_of_another_function_is_that_one():
    method = types.MethodType(greet, Greeter())
    assert method() == "another"
    again = decode_json(
        encode_json(method, own=lambda thing: ["own", __name__, thing.__qualname__, None]), trusted=True
    )
    assert again() == "another"
    plain = decode_json(encode_json(Greeter().greet), trusted=True)
    assert plain() == "the class's"


def test_a_method_of_another_function_is_no_result():
    with pytest.raises(CodecError, match=r"result is a builtins\.method"):
        encode(types.MethodType(greet, Greeter()))


def test_names_that_newer_pythons_have_changed_are_written_as_all_have_them():
    assert '"re","error"' in encode_json(re.error)
    assert '"enum","EnumMeta"' in encode_json(sys.modules["enum"].EnumMeta)
    assert '"pathlib","Path"' in encode_json(sys.modules["pathlib"].Path)


def test_cythons_functions_are_found_by_name():
    function = np.random._pickle.__generator_ctor
    assert decode_json(encode_json([function]), trusted=True) == [function]
    states = [decode_json(encode_json(np.random.default_rng(3)), trusted=True) for _ in range(2)]
    assert {state.normal() for state in states} == {np.random.default_rng(3).normal()}
