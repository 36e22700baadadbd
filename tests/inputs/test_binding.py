"""How one input becomes a UDF's arguments."""

import datetime as dt
import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Optional, TypedDict, Union

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from fanfold.errors import CodecError, InputError
from fanfold.inputs import Signature, decode_arguments
from fanfold.inputs.inspected import declared
from fanfold.inputs.signature import Rejection, _plain
from fanfold.source.rebuild import by_keywords


def delays(day: str, n: int = 1, *, airline=None): ...


def test_a_dict_is_keyword_arguments_and_anything_else_goes_to_the_first_parameter():
    signature = Signature.of(delays)
    assert signature.parameters == ("day", "n", "airline")
    assert signature.first == "day"
    assert signature.bind("2013-01-01") == {"day": "2013-01-01"}
    assert signature.bind({"day": "2013-01-01", "airline": ["UA"]}) == {"day": "2013-01-01", "airline": ["UA"]}


def test_constants_join_every_input_in_the_order_of_the_signature():
    signature = Signature.of(delays)
    assert list(signature.bind("2013-01-01", {"airline": "UA", "n": "2"}).items()) == [
        ("day", "2013-01-01"),
        ("n", 2),
        ("airline", "UA"),
    ]
    assert list(signature.bind({"n": 3}, {"airline": None, "day": "x"})) == ["day", "n", "airline"]


def test_names_beyond_the_parameters_go_to_kwargs():
    def sweep(a, **rest: int): ...

    signature = Signature.of(sweep)
    assert signature.accepts_any
    assert signature.bind({"b": "5", "a": 1}, {"c": 3}) == {"a": 1, "b": 5, "c": 3}


def test_the_values_of_args_are_a_list_also_as_text_where_no_text_is_wanted():
    def several(*numbers: int): ...

    def words(*names: str): ...

    assert Signature.of(several).bind({"numbers": "[1, 2]"}) == {"numbers": (1, 2)}
    assert Signature.of(several).bind({"numbers": "3"}) == {"numbers": (3,)}
    assert Signature.of(words).bind({"names": "[1, 2]"}) == {"names": ("[1, 2]",)}
    with pytest.raises(InputError, match="should be a valid integer"):
        Signature.of(several).bind({"numbers": "[1, x]"})


@pytest.mark.parametrize(
    ("one_input", "constants", "message"),
    [
        ({"dya": "x"}, {}, r"^dya='x': there is no such parameter; did you mean 'day'\?"),
        ({"day": "x", "zzz": 1}, {}, r"^zzz=1: .*; it takes day, n, airline"),
        ({"day": "x", 5: 1}, {}, r"^5=1: there is no such parameter"),
        ({"n": 1}, {}, r"^day=\{'n': 1\}: it is required and missing"),
        ({"day": "x", "n": 1}, {"n": 2}, r"^n=1: it is also a constant \(n=2\); give it once"),
        ("x", {"day": "y"}, r"^day='x': it is also a constant"),
        ("x", {"nn": 2}, r"^nn=2: there is no such parameter; did you mean 'n'\?"),
        ("x", {"n": "many"}, r"^n='many': should be a valid integer"),
        (5, {}, r"^day=5: should be a valid string"),
    ],
)
def test_what_does_not_bind_is_an_error_naming_parameter_and_value(one_input, constants, message):
    with pytest.raises(InputError, match=message) as caught:
        Signature.of(delays).bind(one_input, constants)
    assert caught.value.next_step == "it is called as `delays(day: str, n: int = 1, *, airline=None)`."


def test_a_dict_for_a_single_parameter_is_told_how_to_be_passed_whole():
    def fit(config): ...

    with pytest.raises(InputError, match=r'to pass a dict whole, write \{"config": \{...\}\}'):
        Signature.of(fit).bind({"rate": 0.1})
    assert Signature.of(fit).bind({"config": {"rate": 0.1}}) == {"config": {"rate": 0.1}}


@pytest.mark.parametrize(
    ("function", "one_input", "result"),
    [
        (abs, -5, 5),
        (divmod, {"x": 7, "y": 2}, (3, 1)),
        (math.sqrt, 4, 2.0),
        (int, "3", 3),
        (max, [1, 5], 5),
        (len, "ab", 2),
    ],
)
def test_functions_written_in_c_take_their_input_by_position(function, one_input, result):
    assert by_keywords(function)(**Signature.of(function).bind(one_input)) == result


def test_parameters_that_no_keyword_reaches_go_by_their_names_all_the_same():
    def star(*days: int): ...
    def slash(day, /): ...
    def nothing(): ...

    assert Signature.of(star).bind({"days": ["1", 2]}) == {"days": (1, 2)}
    assert Signature.of(star).bind((1, 2)) == Signature.of(star).bind({"days": (1, 2)})
    assert Signature.of(star).bind(5) == {"days": (5,)}
    assert Signature.of(star).bind({}) == {}
    assert Signature.of(slash).bind(1) == Signature.of(slash).bind({"day": 1}) == {"day": 1}
    assert Signature.of(nothing).bind({}) == {}
    with pytest.raises(InputError, match="no parameter for it"):
        Signature.of(nothing).bind(1)


class Colour(Enum):
    RED = "red"


class Model(BaseModel):
    x: int


class Mine:
    pass


class Inner(TypedDict):
    n: int


class Typed(TypedDict, total=False):
    x: int
    inner: Inner


MINE, FRAME, NOW = Mine(), pd.DataFrame(), dt.datetime(2024, 1, 2, 3)


class REJECTED:
    """Stands for a value that the annotation rejects."""


COERCIONS = [
    (int, "5", 5),
    (int, 5.0, 5),
    (int, 5.5, REJECTED),
    (int, True, 1),
    (int, None, REJECTED),
    (int, np.int64(5), 5),
    (float, 5, 5.0),
    (float, "1e3", 1000.0),
    (float, np.float32(0.5), 0.5),
    (bool, True, True),
    (bool, "0", False),
    (bool, "yes", True),
    (bool, 2, REJECTED),
    (str, "5", "5"),
    (str, 5, REJECTED),
    (None, None, None),
    (Optional[int], None, None),  # noqa: UP045
    (int | None, "5", 5),
    (Union[int, str], "5", "5"),  # noqa: UP007
    (list[int], [1, 2], [1, 2]),
    (list[int], ["1", 2.0], [1, 2]),
    (list[int], "[1, 2]", [1, 2]),
    (list[int], "1, 2", REJECTED),
    (list[int], [1, "x"], REJECTED),
    (list, "[1, [2]]", [1, [2]]),
    (list[float] | None, "[1, null]", REJECTED),
    (list[float | None], "[1, null]", [1.0, None]),
    (list[str] | str, "[1]", "[1]"),
    (dict, '{"a": 1}', {"a": 1}),
    (dict[str, int], {"a": "1"}, {"a": 1}),
    (tuple[int, ...], [1, "2"], (1, 2)),
    (tuple[float, float], "[1, 2]", (1.0, 2.0)),
    (set[int], [1, 1], {1}),
    (dt.date, "2024-01-02", dt.date(2024, 1, 2)),
    (dt.datetime, "2024-01-02T03:00", NOW),
    (dt.datetime, pd.Timestamp(NOW), NOW),
    (dt.date, np.datetime64("2024-01-02"), dt.date(2024, 1, 2)),
    (dt.timedelta, "PT1H", dt.timedelta(hours=1)),
    (Path, "/data", Path("/data")),
    (Literal["a", "b"], "a", "a"),
    (Literal["a", "b"], "c", REJECTED),
    (Colour, "red", Colour.RED),
    (Annotated[int, Field(gt=0)], "5", 5),
    (Annotated[int, Field(gt=0)], -5, REJECTED),
    (Model, {"x": "1"}, Model(x=1)),
    (Typed, {"x": "1", "inner": {"n": "2"}}, {"x": 1, "inner": {"n": 2}}),
    (Typed, {"x": "many"}, REJECTED),
    (Mine, MINE, MINE),
    (Mine, 5, REJECTED),
    (pd.DataFrame, FRAME, FRAME),
    (pd.DataFrame, [1], REJECTED),
    (np.ndarray, [1], REJECTED),
    (Any, MINE, MINE),
    (object, None, None),
    ("int", "5", 5),
    ("NoSuchType", "5", "5"),
    ("the day to look at", "5", "5"),
    (5, "5", "5"),
]


@pytest.mark.parametrize(("annotation", "given", "arrives"), COERCIONS, ids=lambda value: str(value)[:40])
def test_values_are_coerced_to_the_annotation(annotation, given, arrives):
    def udf(x): ...

    udf.__annotations__ = {"x": annotation}
    signature = Signature.of(udf)
    if arrives is REJECTED:
        with pytest.raises(InputError):
            signature.bind({"x": given})
    else:
        value = signature.bind({"x": given})["x"]
        assert type(value) is type(arrives) or isinstance(value, type(arrives))
        assert value is arrives or value == arrives


@pytest.mark.parametrize("value", [[1], (1,), True, None, "5", {"a": 1}, np.int8(3), {1}])
def test_without_an_annotation_types_survive(value):
    def udf(x, y=0): ...

    assert Signature.of(udf).bind({"x": value})["x"] is value
    assert Signature.of(udf).bind("first", {"y": value})["y"] is value


def test_a_default_of_none_allows_none():
    def udf(x, n: int = None): ...  # noqa: RUF013

    assert Signature.of(udf).bind({"x": 1, "n": None}) == {"x": 1, "n": None}
    assert Signature.of(udf).bind({"x": 1, "n": "5"}) == {"x": 1, "n": 5}


def test_one_annotation_that_does_not_resolve_leaves_the_others_at_work():
    def udf(x: "Missing", n: "int"): ...  # noqa: F821

    assert Signature.of(udf).bind({"x": "1", "n": "1"}) == {"x": "1", "n": 1}


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(plain, max_size=5), st.sampled_from([list[int], list[float], list[str], list[bool], list[int | None]]))
def test_the_shortcut_past_pydantic_agrees_with_pydantic(values, annotation):
    from pydantic import TypeAdapter, ValidationError

    def udf(x): ...

    udf.__annotations__ = {"x": annotation}
    try:
        expected = TypeAdapter(annotation).validate_python(values)
    except ValidationError:
        with pytest.raises(InputError):
            Signature.of(udf).bind({"x": values})
    else:
        assert repr(Signature.of(udf).bind({"x": values})["x"]) == repr(expected)


def test_values_that_fit_already_do_not_import_pydantic():
    code = """if True:
        import sys
        from fanfold.inputs import Signature, validated
        def udf(a: int, b: str = "", c: list[int] | None = None, d: float = 1.0, e: bool = True): ...
        given = [{"a": 1, "b": "x", "c": [1], "d": 2, "e": False}, 3]
        assert len(list(validated(given, Signature.of(udf), {}))) == 2
        print(*sys.modules)
    """
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "pandas", "numpy"} & set(loaded)


def test_text_that_holds_no_arguments_is_refused():
    with pytest.raises(CodecError, match="should be a dict"):
        decode_arguments("[1]", get_blob={}.__getitem__)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (Literal[1, 2], "2", 2),
        (Literal[True, False], "false", False),
        (Literal["a", 1] | None, "1", 1),
        (Literal[1] | None, "none", None),
        (int | None, "None", None),
        (int | None, "", None),
        (str | None, "None", "None"),
    ],
)
def test_text_stands_for_literals_and_for_nothing(annotation, text, value):
    def pick(x): ...

    pick.__annotations__ = {"x": annotation}
    assert Signature.of(pick).bind({"x": text}) == {"x": value}


def test_a_dict_for_the_only_free_parameter_is_told_how_to_be_passed_whole():
    def item_id(item: dict, out: str): ...

    bind = Signature.of(item_id).binder({"out": "x"})
    with pytest.raises(Rejection, match=r'to pass a dict whole, write \{"item": \{...\}\}'):
        bind({"type": "Feature", "id": 1})

    def squared(x: int): ...

    with pytest.raises(Rejection, match=r"it takes x$"):  # no int is a dict
        Signature.of(squared).binder({})({"X": 1, "z": 2})


def test_a_tuple_goes_to_the_parameters_in_order_where_the_first_alone_will_not_do():
    def add(x: int, y: int, z: int = 0): ...
    def scaled(point, by=1): ...
    def three(x, y, z): ...

    assert Signature.of(add).bind((1, "2")) == {"x": 1, "y": 2}
    assert Signature.of(three).bind((1, 3), {"y": 2}) == {"x": 1, "y": 2, "z": 3}
    assert Signature.of(scaled).bind((1, 2)) == {"point": (1, 2)}
    for one, reason in (((1,), "y=.*required and missing"), ((1, 2, 3, 4), "in order, and this one has 4 values")):
        with pytest.raises(InputError, match=reason):
            Signature.of(add).bind(one)
    with pytest.raises(InputError, match=r'the list is one value, for x; to give several .* \{"x": ..., "y": ...\}'):
        Signature.of(lambda x, y: None).bind([1, 2])
    with pytest.raises(InputError, match=r'the ndarray is one value, for x; .* \{"x": ..., "y": ...\}'):
        Signature.of(lambda x, y: None).bind(np.arange(2))


def test_a_return_annotation_that_no_codec_takes_is_refused_before_the_work():
    import dask.array
    import dask.dataframe
    import polars

    def lazy(x: int) -> polars.LazyFrame: ...
    def numbers(x: int) -> Iterator[int]: ...
    def fine(x: int) -> polars.DataFrame | None: ...

    def several(x: int) -> list[polars.LazyFrame]: ...
    def perhaps(x: int) -> sqlite3.Connection | None: ...
    def noted(x: int) -> Annotated[IO[bytes], "what was downloaded"]: ...

    def of_dask(x: int) -> dask.array.Array: ...
    def frames_of_dask(x: int) -> dask.dataframe.DataFrame | None: ...

    for udf in (of_dask, frames_of_dask):  # as arguments these travel
        with pytest.raises(InputError, match=r"what it comes to: `value\.compute"):
            Signature.of(udf).check_returns()
    advised = ((lazy, "`value.collect"), (several, "`value.collect"), (numbers, r"`list\(value"))
    for udf, instead in (*advised, (perhaps, "path of its database"), (noted, r"`.read\(")):
        with pytest.raises(InputError, match=instead):
            Signature.of(udf).check_returns()
    Signature.of(fine).check_returns()


def test_a_tuple_that_was_meant_for_several_parameters_says_what_to_write():
    def scored(depth: int, trees: int = 10):
        return depth * trees

    with pytest.raises(InputError, match=r'write \{"depth": 2, "trees": 20\}'):
        Signature.of(scored).bind((2, 20))


def _bare(x): ...
def _annotated(x: int, name: str = "a b", *, big: bool = True): ...
def _plainest(x: int, y: float = 0.5, name: str = "a 'b'", z=3) -> str: ...
def _of_none(x: int = None): ...  # type: ignore[assignment]  # noqa: RUF013  people write it so
def _of_list(x: list[int], /, y: int = 1): ...
def _nothing(): ...


@pytest.mark.parametrize("fn", [_bare, _annotated, _plainest, _of_none, _of_list, _nothing])
def test_what_is_read_from_a_function_itself_is_what_inspect_says(fn):
    """Most functions are read without `inspect`, which takes long to import."""
    assert _plain(fn) in (None, declared(fn))
    assert (_plain(fn) is None) is (fn in (_annotated, _of_none, _of_list))
