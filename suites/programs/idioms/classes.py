"""Classes and objects as functions, arguments and results."""

import abc
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import types
import typing
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from _cases import case, end, run


class Scaler:
    made = 0

    def __init__(self, by):
        self.by = by

    def scale(self, x):
        return x * self.by

    def __call__(self, x):
        return self.scale(x)

    def __eq__(self, other):
        return type(other) is Scaler and other.by == self.by

    __hash__ = None

    @classmethod
    def default(cls):
        return cls(10)

    @staticmethod
    def twice(x):
        return 2 * x

    @property
    def double(self):
        return 2 * self.by


class Shifted(Scaler):
    def scale(self, x):
        return super().scale(x) + 1


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 2


class Pair(typing.NamedTuple):
    a: int
    b: str = "b"


Old = collections.namedtuple("Old", "a b")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


class Config:
    def __init__(self):
        self.values = {"limit": 3}

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.values[name]

    def __getstate__(self):
        return self.values

    def __setstate__(self, state):
        self.values = state


class OwnError(Exception):
    def __init__(self, code, *, hint="none"):
        super().__init__(code)
        self.hint = hint


def same(x):
    return x


def is_red(colour):
    return colour is Colour.RED


def norm(point):
    return point.x + point.y


def fail():
    raise OwnError(4, hint="look")


def caught():
    try:
        run(fail)
    except OwnError as error:
        return error.args, error.hint


config = Config()
namespace = types.SimpleNamespace(limit=3)
scaler = Scaler(5)
namespace.limit = 9
bound = scaler.scale

if __name__ == "__main__":
    case("a class is called", lambda: run(Scaler, 3), Scaler(3))
    case("a bound method", lambda: run(Scaler(3).scale, 2), 6)
    case("a callable object", lambda: run(Scaler(3), 2), 6)
    case("a bound method under a global name", lambda: run(lambda x: bound(x), 2), 10)
    case("a class method", lambda: run(Scaler.default).by, 10)
    case("a static method", lambda: run(Scaler.twice, 2), 4)
    case("a property", lambda: run(lambda s: s.double, Scaler(3)), 6)
    case("a subclass with super", lambda: run(Shifted(3).scale, 2), 7)
    case("an abstract class", lambda: run(Square(3).area), 9)
    case("slots", lambda: run(lambda s: s.x, Slotted(4)), 4)
    case("a dataclass there", lambda: run(norm, Point(1)), 3)
    case("a dataclass back", lambda: run(same, Point(1)), Point(1, 2))
    case("a named tuple back", lambda: run(same, Pair(1)), Pair(1))
    case("collections.namedtuple back", lambda: run(same, Old(1, 2)), Old(1, 2))
    case("an enum there", lambda: run(is_red, Colour.RED), True)
    case("an enum back is itself", lambda: run(same, Colour.RED) is Colour.RED, True)
    case("a flag back", lambda: run(same, Level.LOW | Level.HIGH), Level.LOW | Level.HIGH)
    case("a Counter back", lambda: run(same, collections.Counter("aab")), collections.Counter("aab"))
    case("a defaultdict", lambda: run(lambda d: d["x"], collections.defaultdict(list)), [])
    case("an OrderedDict", lambda: list(run(same, collections.OrderedDict(b=1, a=2))), ["b", "a"])
    case("a deque", lambda: run(same, collections.deque([1], maxlen=2)).maxlen, 2)
    case("a SimpleNamespace that was changed", lambda: run(lambda: namespace.limit), 9)
    case("an object with getattr and getstate", lambda: run(lambda: config.limit), 3)
    case("an error of one's own", caught, ((4,), "look"))
    case("an error as a value", lambda: run(same, OwnError(1)).args, (1,))
    case("a type as argument", lambda: run(lambda t: t(3), Square).side, 3)
    case("a class made in a function", lambda: run(lambda: type("Made", (), {"x": 5})).x, 5)
    case(
        "Decimal and Fraction",
        lambda: run(same, [decimal.Decimal("1.1"), fractions.Fraction(1, 3)]),
        [decimal.Decimal("1.1"), fractions.Fraction(1, 3)],
    )
    case(
        "dates with zones",
        lambda: run(same, datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
    )
    case(
        "UUID and paths",
        lambda: run(same, [uuid.UUID(int=1), pathlib.Path("a/b")]),
        [uuid.UUID(int=1), pathlib.Path("a/b")],
    )
    case("a set and a frozenset", lambda: run(same, [{1}, frozenset({2})]), [{1}, frozenset({2})])
    case("bytes and ranges", lambda: run(same, [b"x", range(3), 1j]), [b"x", range(3), 1j])
    case("a cycle", lambda: (lambda x: run(lambda y: y[0] is y, x))((lambda a: a.append(a) or a)([])), True)
    end()
