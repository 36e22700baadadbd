"""All inputs are checked before anything starts, and the offenders are listed together."""

import dataclasses
import datetime as dt
import itertools
import sqlite3
import tracemalloc
import typing
from pathlib import Path

import pandas as pd
import pydantic
import pytest

import fanfold
from fanfold.errors import InputError
from fanfold.inputs import Signature, validated


def delays(day: str, n: int = 1, ids: list[int] = ()): ...


def half(x: float): ...


DELAYS, FLOATS = Signature.of(delays), Signature.of(half)


def test_what_fits_comes_bound_coerced_and_in_order():
    given = ["a", {"day": "b", "n": "2"}, {"day": "c", "ids": "[1]"}]
    assert list(validated(given, DELAYS, {})) == [{"day": "a"}, {"day": "b", "n": 2}, {"day": "c", "ids": [1]}]


def test_the_error_lists_index_parameter_value_and_reason():
    given = ["2013-01-01", 20130102, {"dya": "2013-01-03"}, {"day": "x", "n": "many"}, {"day": "x", "ids": [1, "y"]}]
    with pytest.raises(InputError) as caught:
        list(validated(given, DELAYS, {}))
    assert (
        str(caught.value)
        == """\
4 inputs do not fit `delays(day: str, n: int = 1, ids: list[int] = ())`:
  index  parameter  value         reason
      1  day        20130102      should be a valid string
      2  dya        '2013-01-03'  there is no such parameter; did you mean 'day'?
      3  n          'many'        should be a valid integer, unable to parse string as an integer
      4  ids        [1, 'y']      [1]: should be a valid integer, unable to parse string as an integer
  Next: correct them, or the UDF's annotations. Nothing was started."""
    )


def test_only_ten_are_listed():
    with pytest.raises(InputError) as caught:
        list(validated(range(1000), DELAYS, {}))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("More than 10 inputs do not fit")
    assert [line.split()[0] for line in lines[2:-1]] == [str(index) for index in range(10)]


def test_exactly_ten_are_not_more_than_ten():
    with pytest.raises(InputError, match=r"^10 inputs do not fit"):
        list(validated(range(10), DELAYS, {}))


def test_long_values_are_shortened():
    with pytest.raises(InputError) as caught:
        list(validated([{"day": "x", "n": "9" * 10_000 + "x"}], DELAYS, {}))
    assert str(caught.value).startswith("1 input does not fit")
    assert max(map(len, str(caught.value).splitlines())) < 200


def test_an_integer_of_more_digits_than_python_writes_is_named_by_its_length():
    with pytest.raises(InputError, match=r"<an integer of 16,610 bits> +should be a valid number"):
        list(validated([1.0, 10**5000], FLOATS, {}))
    with pytest.raises(InputError, match="this is an int") as told:
        list(validated(10**5000, FLOATS, {}))
    assert told.value.next_step == "did you mean `[<an integer of 16,610 bits>]`?"


def test_the_search_for_more_offenders_ends_even_where_the_inputs_do_not():
    endless = itertools.chain([5], itertools.repeat("fits"))
    with pytest.raises(InputError, match=r"^1 input does not fit"):
        list(validated(endless, DELAYS, {}))


def test_no_inputs_is_an_error():
    for nothing in ([], (n for n in ())):
        with pytest.raises(InputError, match="no inputs"):
            list(validated(nothing, DELAYS, {}))


def test_constants_are_checked_before_the_first_input_is_read():
    def never():
        pytest.fail("read an input")
        yield

    with pytest.raises(InputError, match="nn=1: there is no such parameter"):
        next(validated(never(), DELAYS, {"nn": 1}))


@pytest.mark.slow
def test_200_000_inputs_from_a_generator_are_never_in_memory_together():
    def square(x: int): ...

    tracemalloc.start()
    try:
        count = sum(1 for _ in validated((n for n in range(200_000)), Signature.of(square), {}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 200_000
    assert peak < 500_000


def test_inputs_are_read_only_as_they_are_asked_for():
    source = iter(range(100))
    first = next(validated(source, Signature.of(lambda x: x), {}))
    assert first == {"x": 0}
    assert next(source) == 1


@pytest.mark.parametrize("given", ["s3://bucket/a.tif", Path("s3://bucket/a.tif"), "https://host/a.tif"])
def test_an_address_that_a_path_would_break_is_refused(given):
    def opened(path: Path): ...

    with pytest.raises(InputError, match=r"is an address, of which a Path loses a slash; annotate it `str \| Path`"):
        list(validated([given], Signature.of(opened), {}, str))


def test_a_path_and_an_address_both_fit_where_the_udf_takes_both():
    def opened(path: str | Path): ...

    def opened_by_name(path: str): ...

    both = [Path("a.tif"), "s3://bucket/a.tif"]
    assert [one["path"] for one in validated(both, Signature.of(opened), {}, dict)] == both
    with pytest.raises(InputError, match=r"PosixPath\('a.tif'\) .* annotate it `str \| Path`, or give its text"):
        list(validated(both, Signature.of(opened_by_name), {}, dict))


@dataclasses.dataclass
class Box:
    x: int
    y: float = 2.0


class Nested(pydantic.BaseModel):
    boxes: list[Box] = []


class Anything(pydantic.RootModel[str]):
    """Text that looks like an object is text all the same."""


def written(
    box: Box, nested: Nested | None = None, sides: tuple[int, str] = (), names: set[int] = (), any_: Anything = ""
):
    """What comes as text from a form, a command line or a CSV file."""


def test_text_stands_for_a_class_of_fields_in_json_or_as_python_writes_it():
    texts = [
        {"box": '{"x": 3}', "nested": '{"boxes": [{"x": 1}]}', "sides": '(2, "z")', "names": "{1, 2}"},
        {"box": "{'x': 3}", "nested": "{'boxes': [{'x': 1}]}", "sides": "[2, 'z']", "names": "[1, 2]"},
    ]
    for fitted in validated(texts, Signature.of(written), {}):
        assert fitted == {"box": Box(3), "nested": Nested(boxes=[Box(1)]), "sides": (2, "z"), "names": {1, 2}}
    [kept] = validated([{"box": {"x": 1}, "any_": '{"x": 1}'}], Signature.of(written), {})
    assert kept["any_"] == Anything('{"x": 1}')
    with pytest.raises(InputError, match="should be a dictionary or an instance of Box"):
        list(validated([{"box": "Box(3)"}], Signature.of(written), {}))


def test_a_moment_with_an_offset_that_was_written_as_text_can_be_sent_and_is_of_pythons_own_zones():
    def f(at: dt.datetime, more: list[dt.datetime] = ()):  # type: ignore[assignment]
        return at

    given = {"at": "2024-01-02T03:04+02:00", "more": ["2024-01-02T03:04Z"]}
    [bound] = validated([given], Signature.of(f), {})
    assert type(bound["at"].tzinfo) is dt.timezone
    assert bound["at"].utcoffset() == dt.timedelta(hours=2)
    assert bound["more"][0].tzinfo == dt.timezone.utc


P = typing.ParamSpec("P")


def logged(*args: P.args, **kwargs: P.kwargs): ...


def renamed(n: typing.Annotated[int, pydantic.Field(alias="m")]): ...


@pytest.mark.parametrize(("udf", "given"), [(logged, {"a": 1}), (renamed, {"n": 1})])
def test_what_pydantic_has_to_say_of_an_annotation_is_not_told_to_who_calls(udf, given, recwarn):
    assert list(validated([given], Signature.of(udf), {}))
    assert not recwarn.list


def of_frame(frame: pd.DataFrame, factor: int = 1): ...


def of_anything(part): ...


def rows_of(frame: pd.DataFrame) -> int:
    return len(frame)


@pytest.mark.parametrize(
    ("udf", "columns", "expected"),
    [
        (
            of_frame,
            ["x", "y"],
            r"none of the columns of the DataFrame.*to give frame a DataFrame, write `fanfold",
        ),
        (of_anything, ["x"], r"to give part a DataFrame, write `fanfold.chunks\(inputs, 50\)`.*`\[inputs\]`"),
        (of_anything, ["parts"], "did you mean 'part'"),
        (delays, ["x"], "there is no such parameter"),
        (of_frame, ["x", "factor"], "there is no such parameter"),
    ],
)
def test_a_frame_that_was_meant_whole_is_told_apart_from_columns_of_other_names(udf, columns, expected):
    inputs = pd.DataFrame({name: ["a"] for name in columns})
    with pytest.raises(InputError, match=f"(?s){expected}"):
        fanfold.submit(udf, inputs)
    if udf is of_frame and "factor" not in columns:
        assert fanfold.submit(rows_of, [inputs]).result.tolist() == [1]


def connections() -> list[sqlite3.Connection]: ...


def test_a_return_annotation_that_no_codec_takes_is_shown_whole():
    with pytest.raises(InputError, match=r"returns list\[sqlite3.Connection\], which has no codec"):
        fanfold.run(connections)
