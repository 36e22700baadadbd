"""A reader of results runs no code that the bytes choose: classes are looked up, never imported, called or trusted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import types
import warnings

import dateutil.tz
import numpy.testing
import pandas
import pydantic
import pytest
import scipy.stats
import sklearn.utils._testing
from hypothesis import given, settings
from hypothesis import strategies as st

from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.codec.data_notes import ReadAsDataWarning
from fanfold.errors import CodecError

#: Loaded before anything is read: what is tested is what the bytes do, not what a package opens as it is imported.
PACKAGES = (numpy.testing, pandas, pydantic, scipy.stats, sklearn.utils._testing)

#: `make fuzz` looks further.
EXAMPLES = int(os.environ.get("FANFOLD_FUZZ_EXAMPLES", "150"))

ran: list[object] = []


class Witness:
    """A class of the reader's own, whose code tells when it runs."""

    def __new__(cls, *args):
        ran.append(("new", args))
        return super().__new__(cls)

    def __init__(self, *args):
        ran.append(("init", args))

    @property
    def setter(self):
        return None

    @setter.setter
    def setter(self, value):
        ran.append(("property", value))


class Closing:
    def __del__(self):
        ran.append("del")


def act(*args):
    ran.append(("act", args))


def graph(*nodes):
    return json.dumps({"$graph": list(nodes)})


def name(module, qualname):
    return ["name", module, qualname, None]


def ref(number):
    return {"$ref": number}


def read(text):
    """What a reader gets, if anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadAsDataWarning)
        try:
            return decode_json(text)
        except CodecError as error:
            return error


COMMAND = ["echo ran >> {proof}"]

#: Ways to have a callable called, with whatever callable.
ATTACKS = [
    lambda called, *args: graph(["call", ref(1), list(args), None, None, None], called),
    lambda called, *args: graph(["object", ref(1), list(args), [], None, None, None], called),
    lambda called, *args: graph(["enum", ref(1), None, args[0]], called),
    lambda called, *args: graph(["exception", ref(1), list(args), [], [], None, False], called),
    lambda called, *args: graph(["method", ref(1), "__call__"], called),
    lambda called, *args: graph(
        ["call", ref(1), [ref(2), *args], None, None, None], name("functools", "partial"), called
    ),
    lambda called, *args: graph(
        ["call", ref(1), [ref(2)], None, None, [["k", 1]]], name("collections", "defaultdict"), called
    ),
]

CALLED = [
    name("os", "system"),
    name("posix", "system"),
    name("subprocess", "Popen"),
    name("subprocess", "run"),
    name("builtins", "exec"),
    name("builtins", "eval"),
    name("builtins", "__import__"),
    name("builtins", "getattr"),
    name("builtins", "open"),
    name("pickle", "loads"),
    name("importlib", "import_module"),
    name("runpy", "run_path"),
    name("tempfile", "TemporaryDirectory"),
    name("tempfile", "_TemporaryFileCloser"),
    name("pathlib", "PosixPath"),
    name("numpy", "memmap"),
    name("numpy", "load"),
    name("numpy", "fromfile"),
    name("numpy.testing", "rundocs"),
    name("pandas", "read_pickle"),
    name("pandas", "eval"),
    name("sklearn.utils._testing", "create_memmap_backed_data"),
    name("scipy.stats._continuous_distns", "norm_gen"),
    name("pydantic.main", "create_model"),
    name("types", "FunctionType"),
    name("types", "CodeType"),
    ["own", "os", "system", None],
    ["own", "posix", "system", None],
    ["own", "subprocess", "Popen", None],
    ["own", __name__, "subprocess", None],
    ["own", __name__, "subprocess.Popen", None],
    ["own", __name__, "Witness", None],
    ["own", __name__, "Closing", None],
    ["module", "antigravity"],
    ["source", "import os"],
]


@pytest.mark.parametrize("called", CALLED, ids=lambda node: ".".join(map(str, node[1:3])))
@pytest.mark.parametrize("attack", ATTACKS, ids="call object enum exception method partial defaultdict".split())
def test_nothing_is_called_that_the_bytes_name(called, attack, tmp_path, monkeypatch):
    proof = tmp_path / "proof"
    monkeypatch.setattr(os, "system", lambda *_: proof.write_text("ran"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: proof.write_text("ran"))
    monkeypatch.setattr("builtins.open", lambda *_, **__: proof.write_text("ran"))
    before, ran[:] = set(sys.modules), []
    read(attack(called, f"echo ran > {proof}"))
    assert not proof.exists()
    assert "antigravity" not in sys.modules
    assert not ran
    assert not [module for module in set(sys.modules) - before if "test" in module.split(".")]


def test_a_class_of_the_reader_s_own_is_made_without_its_own_code():
    ran.clear()
    text = graph(
        ["object", ref(1), [], [], ["attributes", [["a", 1], ["setter", 2]]], None, None],
        ["own", __name__, "Witness", None],
    )
    made = read(text)
    assert (type(made), vars(made), ran) == (Witness, {"a": 1, "setter": 2}, [])
    slots = ["both", None, ["attributes", [["setter", 2]]]]
    text = graph(["object", ref(1), [], [], slots, None, None], ["own", __name__, "Witness", None])
    assert isinstance(read(text), CodecError)
    assert not ran


def test_a_class_whose_objects_act_when_they_go_is_not_made():
    ran.clear()
    made = read(graph(["object", ref(1), [], [], None, None, None], ["own", __name__, "Closing", None]))
    assert not isinstance(made, Closing)
    assert not ran


def test_what_a_module_has_imported_is_not_its_own():
    for node in (["own", __name__, "tempfile.TemporaryDirectory", None], ["own", __name__, "types.FunctionType", None]):
        assert isinstance(read(graph(["tuple", [ref(1)]], node))[0], str)
    assert tempfile
    assert types


def test_state_that_runs_in_a_package_is_not_set():
    """scipy executes a text that stands in the state of its distributions."""
    state = ["state", ref(2)]
    evil = ["dict", [["_parse_arg_template", "import builtins; builtins.ran = 1"]]]
    made = read(
        graph(["object", ref(1), [], [], state, None, None], name("scipy.stats._continuous_distns", "norm_gen"), evil)
    )
    assert made == {"_parse_arg_template": "import builtins; builtins.ran = 1"}
    assert not hasattr(__import__("builtins"), "ran")


def test_a_package_is_not_imported_because_the_bytes_say_so():
    for module in ("antigravity", "this", "idlelib.idle", "pip.__main__", "numpy.f2py.__main__", "rich.__main__"):
        read(graph(["tuple", [ref(1)]], name(module, "anything")))
        assert module not in sys.modules


def test_pickle_within_a_result_is_read_by_those_alone_who_say_so():
    class Act:
        def __reduce__(self):
            return act, (1,)

    encoded = encode([Act()], serializer="pickle")
    ran.clear()
    for codec, data in (encoded, ("json/1", encode_json({"x": 1}).encode())):
        if codec == "pickle/1":
            with pytest.raises(CodecError, match="allow_pickle=True"):
                decode(codec, data)
    inline = json.dumps({"$inline": ["pickle/1", {"$bytes": __import__("base64").b64encode(encoded.data).decode()}]})
    with pytest.raises(CodecError, match="allow_pickle=True"):
        decode_json(inline)
    assert not ran
    decode(*encoded, allow_pickle=True)
    assert ran == [("act", (1,))]


def test_who_is_trusted_for_one_value_is_not_for_the_next():
    text = graph(["call", ref(1), [5], None, None, None], ["own", __name__, "act", None])
    ran.clear()
    decode("json/1", text.encode(), allow_pickle=True)
    assert ran == [("act", (5,))]
    read(text)
    assert ran == [("act", (5,))]


@pytest.mark.parametrize("kind", ["tuple", "set", "frozenset", "dict"])
def test_no_bytes_have_a_reader_count_for_ever(kind):
    endless = {"$range": [0, 10**15, 1]}
    assert isinstance(read(json.dumps({f"${kind}": endless})), CodecError)
    assert isinstance(read('{"$bytearray":1000000000000000}'), CodecError)
    for module, called in (("builtins", kind), ("collections", "deque"), ("collections", "Counter")):
        made = read(graph(["call", ref(1), [endless], None, None, None], name(module, called)))
        assert isinstance(made, (range, CodecError))
        read(graph(["object", ref(1), [endless], [], None, None, None], name(module, called)))


def test_a_panic_of_polars_is_an_error_about_one_value(monkeypatch):
    import polars

    panic = type("PanicException", (BaseException,), {})

    def panics(*_, **__):
        raise panic("out of range")

    encoded = encode(polars.DataFrame({"a": [1]}))
    monkeypatch.setattr(polars, "from_arrow", panics)
    with pytest.raises(CodecError, match="out of range"):
        decode(*encoded)


LEAVES = st.none() | st.integers(-3, 9) | st.text(max_size=4) | st.builds(ref, st.integers(-2, 6))
MODULES = st.sampled_from(["builtins", "os", "collections", "functools", "types", "numpy", __name__, "enum", ""])
NAMES = st.sampled_from(["list", "object", "Witness", "act", "partial", "deque", "dtype", "Enum", "type", "system", ""])
KINDS = "list dict tuple set frozenset name own source module enum exception object call method value".split()
TREES = st.recursive(LEAVES | MODULES | NAMES, lambda inner: st.lists(inner, max_size=5), max_leaves=8)
NODES = st.lists(
    st.builds(lambda kind, rest: [kind, *rest], st.sampled_from(KINDS), st.lists(TREES, max_size=7))
    | st.builds(name, MODULES, NAMES)
    | TREES,
    max_size=7,
)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(NODES)
def test_any_graph_is_a_value_or_an_error_and_never_a_call(nodes):
    ran.clear()
    read(json.dumps({"$graph": nodes}))
    assert not [what for what in ran if what != "del"]


def test_a_zone_opens_no_file_beside_those_of_zones(tmp_path):
    berlin = dateutil.tz.gettz("Europe/Berlin")._filename
    beside = tmp_path / "zone"
    shutil.copy(berlin, beside)
    zones = berlin.removesuffix("Europe/Berlin")
    for name in (str(beside), os.path.relpath(beside, zones)):
        assert dateutil.tz.gettz(name) is not None
        with pytest.raises(CodecError):
            decode_json(json.dumps({"$zone": ["dateutil", "gettz", name]}))
