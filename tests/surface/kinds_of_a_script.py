"""A script whose classes and objects an executor's calls are given, hold and return: for each kind, `made` and `seen`.

`seen_X(made_X())` has to say the same here, of an argument, of what a function holds, and of a result. It prints a line
of JSON for each kind: which of these differ, and how. `test_objects_of_a_script` runs it.
"""

import ctypes
import datetime
import enum
import functools
import json
import random
import sys
import types
import weakref

import msgspec
import numpy as np
import pydantic
from pydantic.dataclasses import dataclass as checked_dataclass

import fanfold


class Order(pydantic.BaseModel):
    count: int
    name: str = "x"

    @pydantic.field_validator("name")
    @classmethod
    def upper(cls, value):
        return value.upper()

    @pydantic.model_validator(mode="after")
    def whole(self):
        if self.count == 13:
            raise ValueError("not 13")
        return self


@checked_dataclass
class Counted:
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def one_more(cls, value):
        return value + 1


def made_models_with_validators():
    return Order(count=3, name="hi"), Counted(3)


def seen_models_with_validators(value):
    order, counted = value
    try:
        Order(count=13)
        refused = ""
    except ValueError as error:
        refused = str(error)
    return (
        isinstance(order, Order),
        order.name,
        Order(count=1, name="q").name,
        "not 13" in refused,
        counted.n,
        Counted("4").n,
    )


@pydantic.validate_call
def checked(x: int) -> int:
    return x if x < 2 else x * checked(x - 1)


def made_a_function_that_is_validated():
    return checked


def seen_a_function_that_is_validated(value):
    try:
        value("x")
        refused = False
    except ValueError:
        refused = True
    return value("4"), checked(3), refused


class Kind(enum.Enum):
    A = "a"


class Shape(msgspec.Struct, frozen=True, tag=True, order=True):
    size: int = 1
    kind: Kind = Kind.A

    def __post_init__(self):
        if self.size == 13:
            raise ValueError("not 13")


class Square(Shape, frozen=True, tag="square"):
    tags: tuple[str, ...] = ()

    def area(self):
        return self.size**2


def made_structs():
    return [Square(size=3), Shape()]


def seen_structs(value):
    square, shape = value
    again = msgspec.json.decode(b'{"type":"square","size":4}', type=Square)
    return (
        isinstance(square, Square),
        square.area(),
        shape.kind is Kind.A,
        msgspec.json.encode(square),
        again.area(),
        hash(square) == hash(Square(size=3)),
    )


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Unequal(enum.Enum):
    ONE = float("nan")
    OTHER = [1]  # noqa: RUF012


def made_members():
    return [Right.BOTH, Right.READ, Right.WRITE | Right.READ, Unequal.ONE, Unequal.OTHER]


def seen_members(value):
    same = (
        value[0] is Right.BOTH,
        value[1] is Right.READ,
        value[2] is Right.BOTH,
        value[3] is Unequal.ONE,
        value[4] is Unequal.OTHER,
    )
    return same, list(Right.__members__), [each.name for each in Right]


if sys.version_info >= (3, 11):

    class Step(enum.Enum):
        @enum.member
        def double(x):  # noqa: N805
            return 2 * x

        @enum.nonmember
        def half(x):  # noqa: N805
            return x / 2

        MORE = enum.member(lambda x: x + 1)

        @enum.member
        class Inner:
            n = 5

    def made_members_that_are_code():
        return Step.double, Step.MORE, Step.Inner

    def seen_members_that_are_code(value):
        return (
            [each is found for each, found in zip(value, Step, strict=True)],
            [value[0].value(3), value[1].value(3), value[2].value.n, Step.half(3)],
        )

    class Failures(ExceptionGroup):  # noqa: F821
        def __new__(cls, code, errors):
            made = super().__new__(cls, f"code {code}", errors)
            made.code = code
            return made

    def made_groups():
        one = ValueError("v")
        one.add_note("noted")
        one.__cause__ = KeyError("k")
        return [Failures(7, [one]), ExceptionGroup("g", [one, ExceptionGroup("in", [TypeError("t")])])]  # noqa: F821

    def seen_groups(value):
        first = value[0].exceptions[0]
        within = repr(value[1].subgroup(TypeError))
        return (
            [str(each) for each in value],
            value[0].code,
            value[0].args,
            first.__notes__,
            repr(first.__cause__),
            within,
        )


class OfItsOwn(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"code {code}")
        self.code, self.detail = code, detail


class OfTwo(OSError):
    def __init__(self, number, path):
        super().__init__(number, "gone", path)


def made_errors():
    one = OfItsOwn(3, detail=[1])
    one.__cause__ = OfTwo(2, "/f")
    return [one, OfTwo(5, "/g")]


def seen_errors(value):
    one, two = value
    return (
        str(one),
        one.args,
        one.code,
        one.detail,
        str(one.__cause__),
        one.__suppress_context__,
        two.args,
        two.filename,
    )


class Node:
    def __init__(self, above=None):
        self.above = above and weakref.ref(above)
        self.called = weakref.WeakMethod(self.name)
        self.below = [] if above is not None else [Node(self)]

    def name(self):
        return "node"


class Registry:
    def __init__(self):
        self.node = Node()
        self.named, self.keyed = weakref.WeakValueDictionary(n=self.node), weakref.WeakKeyDictionary({self.node: 3})
        self.all, self.proxy, self.gone = weakref.WeakSet([self.node]), weakref.proxy(self.node), weakref.ref(Node())


KEPT = Node()


def made_weak_references():
    return Registry(), KEPT.below[0]


def seen_weak_references(value):
    registry, below = value
    node = registry.node
    found = (
        registry.named["n"] is node,
        registry.keyed[node],
        node in registry.all,
        registry.proxy.name(),
        registry.gone(),
    )
    return found, node.below[0].above() is node, node.called()(), below.name()


class Dispatching:
    @functools.singledispatchmethod
    def show(self, x):
        return "any"

    @show.register
    def _(self, x: int):
        return "int"

    @functools.cached_property
    def once(self):
        return [1]

    @functools.cache  # noqa: B019
    def remembered(self, x):
        return x + 1

    part = functools.partialmethod(remembered, 5)


def made_methods_of_functools():
    made = Dispatching()
    made.once.append(2)
    return made


def seen_methods_of_functools(value):
    return value.show(1), value.show("s"), value.once, value.remembered(1), value.part()


class Noted(np.ndarray):
    def __new__(cls, values, note):
        made = np.asarray(values).view(cls)
        made.note = note
        return made

    def __array_finalize__(self, obj):
        self.note = getattr(obj, "note", None)

    def __getnewargs__(self):
        return np.asarray(self), self.note


class Day(datetime.date):
    pass


def made_what_extends_a_class_in_c():
    day = Day(2020, 1, 2)
    day.note = "a holiday"
    return day, Noted([1, 2], "green")


def seen_what_extends_a_class_in_c(value):
    day, array = value
    return day.year, day.note, array.tolist(), array.note, type(array) is Noted


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("rest", ctypes.c_ubyte * 4), ("above", ctypes.POINTER(ctypes.c_int))]

    def twice(self):
        return 2 * self.x


SHAPES, WRITER = msgspec.json.Decoder(Square), msgspec.json.Encoder(enc_hook=str)


def made_what_c_has_made():
    return Point(3).twice(), SHAPES, WRITER


def seen_what_c_has_made(value):
    twice, decoder, encoder = value
    read = decoder.decode(b'{"type":"square","size":4}')
    return twice, list(Point(1, (1, 2)).rest), read == Square(size=4), encoder.encode([Point]) != b""


class Dice(random.Random):
    def __init__(self, seed, sides):
        super().__init__(seed)
        self.sides = sides

    def roll(self):
        return self.randint(1, self.sides)


def made_random_numbers():
    dice = Dice(3, sides=20)
    dice.roll()
    return dice


def seen_random_numbers(value):
    return [value.roll() for _ in range(4)], value.sides


class Slotted:
    __slots__ = ("n",)


def made_views():
    shared = {"a": 1}
    return shared, shared.keys(), shared.values(), types.MappingProxyType(shared), Slotted.n


def seen_views(value):
    shared, keys, values, proxy, slot = value
    shared["b"] = 2
    one = Slotted()
    slot.__set__(one, 3)
    return list(keys), list(values), dict(proxy), one.n


def main():
    with fanfold.Executor(max_workers=1) as executor:
        for name, made in [each for each in globals().items() if each[0].startswith("made_")]:
            seen = globals()[name.replace("made_", "seen_")]
            print(json.dumps([name.removeprefix("made_"), differences(executor, made, seen)]))


def differences(executor, made, seen):
    expected = repr(seen(made()))
    held = made()
    ways = {
        "argument": lambda: executor.submit(seen, made()).result(),
        "held": lambda: executor.submit(lambda: seen(held)).result(),
        "result": lambda: seen(executor.submit(made).result()),
    }
    return {way: found for way, act in ways.items() if (found := outcome(act)) != expected}


def outcome(act):
    try:
        return repr(act())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
