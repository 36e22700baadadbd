"""An exception that was caught and is returned is a value, and comes back as what it is."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanfold
from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.codec.data_notes import ReadAsDataWarning
from fanfold.errors import CodecError
from tests.codec.test_tagged_json import shape, values

KINDS = [kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)]


def made(kind, args):
    """An exception of these args, where there is one: some classes take only what is their own."""
    try:
        return kind(*args)
    except (TypeError, ValueError, OverflowError, MemoryError):
        return None


def told(error):
    """All that an exception says, but for where it was raised."""
    names = (name for name in dir(error) if not name.startswith("_") and name != "obj" and hasattr(error, name))
    own = {name: shape(value) for name in names if not callable(value := getattr(error, name))}
    return type(error), shape(error.args), own, shape(vars(error))


def again(value):
    encoded = encode(value)
    return decode(encoded.codec, encoded.data)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(values, max_size=5) | st.tuples(st.integers(0, 40), st.text(max_size=3), st.text(max_size=3)),
    st.dictionaries(st.sampled_from(["status", "__notes__", "step"]), values, max_size=2),
)
def test_what_python_s_own_say_comes_back_exactly(kind, args, more):
    error = made(kind, args)
    if error is None:
        return
    vars(error).update(more)
    assert told(again(error)) == told(error)
    assert told(decode_json(encode_json([error]))[0]) == told(error)


def raised(act):
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "act",
    [
        lambda: 1 / 0,
        lambda: open("/no/such/file"),  # noqa: SIM115
        lambda: {}["key"],
        lambda: [].nothing,
        lambda: no_such_name,  # noqa: F821
        lambda: __import__("no_such_module"),
        b"\xff".decode,
        "\ud800".encode,
        lambda: compile("1 +", "file.py", "eval"),
        lambda: int("x"),
        lambda: next(iter([])),
        lambda: sys.exit(3),
    ],
)
def test_what_really_happens_comes_back_without_where_it_was_raised(act):
    error = raised(act)
    back = again(error)
    assert (told(back), str(back), repr(back)) == (told(error), str(error), repr(error))
    assert (back.__traceback__, back.__cause__, back.__context__) == (None, None, None)


def test_what_was_changed_after_it_was_made_comes_back_changed():
    error = UnicodeDecodeError("utf-8", b"abc", 0, 1, "odd")
    error.start, error.reason = 2, "odder"
    renamed = raised(lambda: open("/no/such/file"))  # noqa: SIM115
    renamed.args = ("told otherwise",)
    assert told(again(error)) == told(error)
    assert told(again(renamed)) == told(renamed)


def _of_other_args():
    error = UnicodeDecodeError("utf-8", b"abc", 0, 1, "odd")
    error.args = ("one",)  # of which no such error can be made
    return error


class Own(ValueError):
    pass


class Taking(Exception):
    """Takes other arguments than it passes on, as many do; pickle could not read it back."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.second = second


def holding(key, item):
    error = ValueError("held")
    vars(error)[key] = item
    return error


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (ValueError(1, object()), r"^result.args\[1\] is a builtins.object"),
        (holding("more", object()), r"^result.more is a builtins.object"),
        (holding("__setstate__", 1), "builtins.ValueError, which has no codec"),
    ],
)
def test_what_would_not_come_back_is_refused(value, says):
    with pytest.raises(CodecError, match=says):
        encode(value)


@pytest.mark.parametrize(
    "error",
    [
        Own("x"),
        Taking(1, "two"),
        ValueError(Own("x")),
        holding("args", 1),
        _of_other_args(),
        subprocess.CalledProcessError(1, "x"),
        FileNotFoundError(2, "none", "there"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_others_and_odd_ones_come_back_as_what_they_are(error):
    for back in (again([error])[0], decode_json(encode_json(error), trusted=True)):
        assert told(back) == told(error) or (repr(back), vars(back).keys()) == (repr(error), vars(error).keys())
        assert type(back) is type(error)


def test_what_it_was_raised_from_comes_along_and_so_do_notes():
    error = Taking(1, "two")
    error.__cause__ = KeyError("first")
    error.__notes__ = ["look here"]
    back = again(error)
    assert (repr(back.__cause__), back.__notes__, back.second) == ("KeyError('first')", ["look here"], "two")


def test_one_that_holds_itself_comes_back_holding_itself():
    error = ValueError()
    error.args = (error,)
    back = again(error)
    assert back.args[0] is back


def test_one_whose_class_is_not_here_comes_as_its_name_and_arguments():
    text = encode_json(Own("x")).replace("Own", "Gone")
    with pytest.warns(ReadAsDataWarning, match="Gone is read as plain data: this process has not imported it"):
        assert decode_json(text) == {"type": f"{__name__}.Gone", "args": ["x"]}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_group_brings_what_it_holds():
    back = again(ExceptionGroup("two", [ValueError(1), KeyError("x")]))  # noqa: F821
    assert repr(back) == "ExceptionGroup('two', [ValueError(1), KeyError('x')])"
    back = again(ExceptionGroup("two", [ValueError(1), Own()]))  # noqa: F821
    assert repr(back) == "ExceptionGroup('two', [ValueError(1), Own()])"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_group_whose_class_is_given_something_else_is_made_of_what_it_holds():
    back = again(Coded(7, [ValueError(1)]))
    assert (str(back), back.args[0], repr(back.exceptions)) == ("code 7 (1 sub-exception)", 7, "(ValueError(1),)")


if sys.version_info >= (3, 11):

    class Coded(ExceptionGroup):  # noqa: F821
        def __new__(cls, code, errors):
            return super().__new__(cls, f"code {code}", errors)


@pytest.mark.parametrize(
    "text",
    [
        '{"$exception":["print",["ran"]]}',
        '{"$exception":["int",["1"]]}',
        '{"$exception":["os.system",["true"]]}',
        '{"$exception":["fanfold.InputError",["x"]]}',
        '{"$exception":["NoSuchError",[]]}',
        '{"$exception":["UnicodeDecodeError",["x"]]}',
        '{"$exception":["ValueError",[],{"__class__":1}]}',
        '{"$exception":["ValueError",[],{"args":1}]}',
        '{"$exception":[]}',
        '{"$exception":3}',
        '{"$exception":[["ValueError"],[]]}',
    ],
)
def test_bytes_name_nothing_but_python_s_own_exceptions(text, capsys, monkeypatch):
    monkeypatch.setattr(builtins, "NoSuchError", Own, raising=False)
    with pytest.raises(CodecError) as refused:
        decode_json(text)
    assert refused.value.next_step
    assert capsys.readouterr().out == ""


def test_a_returned_exception_is_no_failure():
    @fanfold.udf
    def careful(x: int):
        try:
            return 1 / x
        except ZeroDivisionError as error:
            return error

    for counts in ({"succeeded": 2}, {"cached": 2}):
        job = fanfold.submit(careful, [0, 1], collect=False).wait()
        assert job.counts() == counts
        assert job.errors() == {}
        for results in (job.results(), job.results(return_exceptions=True), list(job.collect().result)):
            assert told(results[0]) == (told(ZeroDivisionError("division by zero")))
            assert results[1] == 1.0
        assert job[0].error is None
        assert job.verify()
