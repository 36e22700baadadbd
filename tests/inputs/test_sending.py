"""What is sent of arguments: text, from which the very same values are made where the UDF runs."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import threading
from enum import Enum, Flag, IntEnum
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, HttpUrl

from fanfold.errors import InputError
from fanfold.inputs import Signature, decode_arguments, scalar_sender, sender, validated

#: Of more digits than Python writes.
LONG = 10**5000


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Way(Flag):
    IN = 1
    OUT = 2


class Model(BaseModel):
    colour: Colour
    n: int = Field(1, alias="number")


@dataclasses.dataclass
class Box:
    colour: Colour
    sides: tuple[int, int] = (1, 2)


class Pair(NamedTuple):
    colour: Colour
    n: int = 2


class Mine:
    """No data makes one of these."""

    def __eq__(self, other):
        return type(other) is Mine

    __hash__ = None


def local_class():
    class Local:
        pass

    return Local


def taking(annotation: Any):
    def udf(x):
        return x

    udf.__annotations__ = {"x": annotation}
    return udf


def sent(udf: Any, given: Any, **blobs: bytes) -> str:
    signature = Signature.of(udf)
    return next(validated([{"x": given}], signature, {}, sender(blobs.__setitem__)))


MADE = [
    (Colour, "red", Colour.RED),
    (Size, 3, Size.BIG),
    (Way, 3, Way.IN | Way.OUT),
    (Model, {"colour": "red", "number": "5"}, Model(colour="red", number=5)),
    (Box, {"colour": "red"}, Box(Colour.RED)),
    (Pair, ["red"], Pair(Colour.RED)),
    (HttpUrl, "https://a.b/c", HttpUrl("https://a.b/c")),
    (ipaddress.IPv4Address, "10.0.0.1", ipaddress.ip_address("10.0.0.1")),
    (re.Pattern, "a+", re.compile("a+")),
    (list[Colour], ["red"], [Colour.RED]),
    (dict[str, Colour] | None, {"a": "red"}, {"a": Colour.RED}),
    (tuple[Colour, int], ["red", 1], (Colour.RED, 1)),
    (Mine, Mine(), Mine()),
    (re.Pattern, re.compile("a", re.IGNORECASE), re.compile("a", re.IGNORECASE)),
]


@pytest.mark.parametrize(("annotation", "given", "made"), MADE, ids=lambda value: str(value)[:30])
def test_what_the_annotation_makes_of_it_is_sent_as_what_it_is(annotation, given, made):
    udf = taking(annotation)
    texts = {sent(udf, given), sent(udf, made)}
    assert len(texts) == 1  # so that either finds the other's result in the cache
    arrived = decode_arguments(texts.pop(), get_blob={}.__getitem__)["x"]
    assert (type(arrived), arrived) == (type(made), made)


@pytest.mark.parametrize(
    ("annotation", "given", "reason"),
    [
        (Any, local_class()(), "x needs the class local_class.<locals>.Local, which cannot be found by its name"),
        (Any, {"a": [threading.Lock()]}, 'x["a"][0] is a _thread.lock, which has no codec; pass plain data'),
        (Any, (n for n in []), "x is a builtins.generator, which has no codec; pass `list(value)`"),
    ],
)
def test_what_cannot_be_sent_is_rejected_with_what_to_pass_instead(annotation, given, reason):
    with pytest.raises(InputError) as refused:
        sent(taking(annotation), given)
    assert reason in str(refused.value)
    assert "pickle" not in str(refused.value)


def test_every_input_that_cannot_be_sent_is_listed():
    signature = Signature.of(taking(Any))
    given = [1, {"x": [threading.Lock()]}, 3, {"x": threading.Lock()}, {"y": 1}]
    with pytest.raises(InputError, match=r"^3 inputs do not fit") as refused:
        list(validated(given, signature, {}, sender({}.__setitem__)))
    assert [line.split()[:2] for line in str(refused.value).splitlines()[2:-1]] == [["1", "x"], ["3", "x"], ["4", "y"]]


def test_a_validator_of_the_user_s_that_raises_rejects_the_input():
    with pytest.raises(InputError, match=r"its annotation raised ZeroDivisionError: .* by zero"):
        sent(taking(Annotated[int, AfterValidator(lambda value: 1 // value)]), "0")


def test_large_arguments_go_as_blobs():
    blobs: dict[str, bytes] = {}
    text = sender(blobs.__setitem__)({"x": np.arange(1000), "a": (1, None)})
    back = decode_arguments(text, get_blob=blobs.__getitem__)
    assert list(back) == ["x", "a"]
    assert back["a"] == (1, None)
    assert np.array_equal(back["x"], np.arange(1000))
    assert len(blobs) == 1
    assert json.loads(text)


@given(
    st.lists(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([LONG, -LONG]),
        min_size=2,
    ),
    st.sampled_from([Any, int, float, str, bool, int | str, Colour, Literal[1, "a"]]),
    st.booleans(),
)
def test_a_number_or_a_text_is_sent_the_short_way_as_it_is_the_long_way(values, annotation, has_constant):
    signature, constants = Signature.of(taking(annotation)), {"y": 3} if has_constant else {}
    long = sender({}.__setitem__, own=None)

    def own(arguments):
        return long({name: value for name, value in arguments.items() if name not in constants})

    def all_of(*short):
        try:
            return list(validated(values, signature, constants, own, *short))
        except InputError as error:
            return str(error)

    assert all_of(scalar_sender(signature, constants)) == all_of()


def test_arguments_that_are_one_object_arrive_as_one():
    one, held = [1], Mine()
    text = sender(lambda *_: None)({"a": one, "b": [1], "c": one, "d": held, "e": held})
    got = decode_arguments(text, get_blob=lambda _: b"")
    assert got["a"] is got["c"] == [1]
    assert got["b"] is not got["a"]
    assert got["d"] is got["e"]
    assert type(got["d"]) is Mine
