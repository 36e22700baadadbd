"""Objects are taken apart and put together: the class by name, the state part by part, aliases and cycles kept."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import math
import re
import sys
import types
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import numpy as np
import pydantic
import pytest

from fanfold.codec import decode, decode_json, encode, encode_json
from fanfold.codec.data_notes import ReadAsDataWarning
from fanfold.errors import CodecError

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Way(enum.Flag):
    IN = 1
    OUT = 2


class Size(enum.IntEnum):
    BIG = 3


class Word(str, enum.Enum):
    YES = "yes"


@dataclasses.dataclass
class Box:
    colour: Colour
    sides: tuple[int, ...] = (1, 2)


@dataclasses.dataclass(frozen=True)
class Frozen:
    box: Box


class Paged(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Shelf(pydantic.BaseModel):
    page: Paged[int]


class Hours(datetime.tzinfo):
    def __init__(self, hours: int) -> None:
        self.hours = hours

    def __eq__(self, other: object) -> bool:
        return type(other) is Hours and other.hours == self.hours

    def __hash__(self) -> int:
        return self.hours

    def utcoffset(self, _: datetime.datetime | None) -> datetime.timedelta:
        return datetime.timedelta(hours=self.hours)


SLOTS: dict[str, Any] = {"slots": True}


@dataclasses.dataclass(frozen=True, **SLOTS)
class Slotted(Generic[T]):
    value: T


class Pair(NamedTuple):
    colour: Colour
    n: int = 2


Old = collections.namedtuple("Old", "a b")


class Model(pydantic.BaseModel):
    colour: Colour
    n: int = 1
    _secret: int = pydantic.PrivateAttr(default=0)


@attrs.define
class Attrs:
    x: int
    y: list[int] = attrs.field(factory=list)


@attrs.frozen
class FrozenAttrs:
    x: int


class Plain:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None


class Stateful(Plain):
    def __getstate__(self):
        return ("kept", self.value)

    def __setstate__(self, state):
        assert state[0] == "kept"
        self.value = state[1]


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a

    def __eq__(self, other):
        return type(other) is Slots and other.a == self.a and not hasattr(other, "b")

    __hash__ = None


class Numbers(list):
    pass


class Table(dict):
    pass


class Label(str):
    __slots__ = ()


class Day(datetime.date):
    pass


class Price(decimal.Decimal):
    pass


class Tally(collections.Counter):
    pass


class Groups(collections.defaultdict):
    pass


def twice(x):
    return 2 * x


def table():
    made = Table(a=1)
    made.extra = [2]
    return made


VALUES = [
    Colour.RED, Way.IN | Way.OUT, Size.BIG, Word.YES, Box(Colour.RED), Frozen(Box(Colour.BLUE)), Slotted(Colour.RED),
    Pair(Colour.RED), Old(1, [2]), Model(colour=Colour.BLUE), Attrs(1, [2]), FrozenAttrs(3), Plain([Plain(1)]),
    Stateful(4), Slots(5), Numbers([1, 2]), table(), Label("x"),
    collections.Counter("aab"), collections.OrderedDict(b=1, a=2), collections.defaultdict(list, {1: [2]}),
    collections.deque([1, 2], 5), collections.ChainMap({1: 2}), types.SimpleNamespace(a=Colour.RED),
    types.MappingProxyType({"a": 1}), fractions.Fraction(1, 3), slice(1, None, 2), ..., NotImplemented,
    Shelf(page=Paged[int](items=[1])), Paged[int](items=[2]), datetime.datetime(2024, 1, 1, tzinfo=Hours(3)),
    re.compile("a+", re.IGNORECASE), re.compile(b"a"), ipaddress.ip_address("10.0.0.1"),
    ipaddress.ip_network("2001:db8::/32"), ipaddress.ip_interface("10.0.0.1/8"), int, dict, Colour, Box, dict[str, int],
    math.sqrt, len, np.sin, twice, {Colour.RED: {Slotted(1)}}, {frozenset([Colour.RED, Colour.BLUE])},
]  # fmt: skip


def from_result(value):
    encoded = encode(value)
    return decode(encoded.codec, encoded.data)


def from_argument(value):
    return decode_json(encode_json(value), trusted=True)


@pytest.mark.parametrize("there_and_back", [from_result, from_argument])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_it_comes_back_as_what_it_is(value, there_and_back):
    back = there_and_back(value)
    assert (type(back), back) == (type(value), value)
    assert there_and_back([value, 1])[0] == value


def test_members_classes_and_functions_are_the_reader_s_own():
    back = from_result([Colour.RED, Box, twice, Size.BIG])
    assert all(one is other for one, other in zip(back, [Colour.RED, Box, twice, Size.BIG], strict=True))


def test_attributes_of_subclasses_survive():
    assert from_result(table()).extra == [2]
    partial = from_result(functools.partial(twice, 3))
    assert partial() == 6
    model = Model(colour=1)
    model._secret = 7
    assert from_result(model)._secret == 7


@pytest.mark.parametrize(
    "made", [lambda: Day(2024, 1, 2), lambda: Price("1.10"), lambda: Tally("aab"), lambda: Groups(list, {"a": [1]})]
)
def test_attributes_survive_of_which_pickle_forgets(made):
    value = made()
    value.unit, value.more = "m", [1]
    back = from_argument([value, value])
    assert back[0] is back[1]
    assert (type(back[0]), back[0], vars(back[0])) == (type(value), value, {"unit": "m", "more": [1]})
    assert str(back[0]) == str(value)


def test_an_alias_stays_an_alias_and_a_cycle_a_cycle():
    shared: list = []
    one = Plain(shared)
    one.me = one
    back = from_result([shared, one, one, (shared,), np.zeros(2)])
    assert back[0] is back[1].value
    assert back[1] is back[2] is back[1].me
    assert back[3][0] is back[0]
    array = np.zeros(3)
    first, second = from_result([array, array, Colour.RED])[:2]
    assert first is second


def test_an_alias_within_plain_data_stays_an_alias():
    row, table = [1], {"a": 1}
    for shared in (row, table, {1, 2}, bytearray(b"a"), np.zeros(2), [], {}):
        back = from_result({"first": shared, "rest": [(shared,), {"deep": shared}, [1]]})
        assert back["first"] is back["rest"][0][0] is back["rest"][1]["deep"]
    equal = from_result([[1], [1], (2,), (2,)])
    assert equal[0] is not equal[1]


def test_what_is_alike_and_cannot_be_changed_is_written_as_plain_data():
    when = datetime.date(2024, 1, 1)
    assert "$graph" not in encode_json([when, when, (1, 2), "a", "a", np.float64(1.5)])
    assert "$graph" not in encode_json([[1], [1], {"a": [2]}, {"a": [2]}])


def test_a_list_that_holds_itself_within_a_tuple():
    inner: list = []
    value = (inner,)
    inner.append(value)
    back = from_result(value)
    assert back[0][0] is back


def test_depth_is_no_matter():
    value: Any = Colour.RED
    for _ in range(5_000):
        value = Slotted([value])
    back = from_result(value)
    for _ in range(5_000):
        (back,) = back.value
    assert back is Colour.RED


def test_a_set_of_objects_gives_the_same_text_in_any_order():
    one, other = {Slotted(n) for n in range(20)}, {Slotted(n) for n in reversed(range(20))}
    assert encode_json(one) == encode_json(other)


def test_generators_of_random_numbers_go_on_where_they_were():
    for make in (np.random.default_rng, np.random.RandomState):
        source = make(3)
        source.normal(size=5)
        assert from_result(source).normal() == source.normal()


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
def test_estimators_predict_the_same():
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    table = np.random.default_rng(0).random((60, 3))
    classes = (table.sum(axis=1) > 1.5).astype(int)
    for model in (
        LogisticRegression(),
        RandomForestClassifier(3),
        GradientBoostingClassifier(n_estimators=2),
        HistGradientBoostingClassifier(max_iter=2),
        make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), KNeighborsClassifier(algorithm="kd_tree")),
    ):
        model.fit(table, classes)
        for there_and_back in (from_result, from_argument):
            back = there_and_back({"model": model})["model"]
            assert type(back) is type(model)
            assert np.array_equal(back.predict(table), model.predict(table))


def test_what_belongs_to_a_package_carries_its_version_and_is_not_mixed_with_another(monkeypatch):
    from sklearn.linear_model import Ridge

    text = encode_json(Ridge(2.0))
    import sklearn

    monkeypatch.setattr(sklearn, "__version__", "0.99.1")
    with pytest.raises(CodecError, match=r"Ridge: it was written with sklearn .*, this is 0\.99"):
        decode_json(text, trusted=True)
    with pytest.warns(ReadAsDataWarning, match="Ridge is read as plain data"):
        assert decode_json(text)["alpha"] == 2.0


@pytest.mark.parametrize(
    ("value", "gone", "data"),
    [
        (Colour.RED, "Colour", 1),
        (Box(Colour.RED), "Box", {"colour": Colour.RED, "sides": (1, 2)}),
        (Pair(Colour.RED), "Pair", (Colour.RED, 2)),
        (Plain(1), "Plain", {"value": 1}),
        (Slots(5), "Slots", {"a": 5}),
        (Numbers([1, 2]), "Numbers", [1, 2]),
        (Table(a=1), "Table", {"a": 1}),
        (Label("x"), "Label", "x"),
        (twice, "twice", f"{__name__}.twice"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_reader_does_not_have_comes_as_plain_data_with_a_line_that_says_so(monkeypatch, value, gone, data):
    encoded = encode([value])
    monkeypatch.delattr(sys.modules[__name__], gone)
    with pytest.warns(ReadAsDataWarning, match=rf"{gone} is read as plain data: this process has not imported it"):
        assert decode(encoded.codec, encoded.data) == [data]
    with pytest.raises(CodecError, match=f"needs .*{gone}"):
        decode(encoded.codec, encoded.data, allow_pickle=True)


def test_a_class_of_the_same_name_and_other_fields_is_not_taken_for_it(monkeypatch):
    encoded = encode(Box(Colour.RED))
    other = dataclasses.make_dataclass("Box", ["colour", "weight"])
    other.__module__ = __name__
    monkeypatch.setattr(sys.modules[__name__], "Box", other)
    with pytest.warns(ReadAsDataWarning, match="Box is read as plain data: the class of that name has other fields"):
        assert decode(encoded.codec, encoded.data) == {"colour": Colour.RED, "sides": (1, 2)}


def test_a_member_whose_value_has_changed_is_not_taken_for_it(monkeypatch):
    encoded = encode(Colour.RED)
    monkeypatch.setattr(sys.modules[__name__], "Colour", enum.Enum("Colour", {"RED": 5}, module=__name__))
    with pytest.warns(ReadAsDataWarning, match="no member RED of that value"):
        assert decode(encoded.codec, encoded.data) == 1


def test_a_class_made_within_a_function_cannot_be_an_argument_and_is_data_as_a_result():
    @dataclasses.dataclass
    class Local:
        x: int

    with pytest.raises(CodecError, match=r"value.* needs the class .*Local(?s:.*)top level"):
        encode_json([Local(1)])
    encoded = encode(Local(1))
    with pytest.warns(ReadAsDataWarning, match="Local is read as plain data"):
        assert decode(encoded.codec, encoded.data) == {"x": 1}


def test_one_s_own_way_of_naming_classes_is_asked_and_its_loader_answers():
    @dataclasses.dataclass
    class Local:
        x: int

    text = encode_json([Local(1), Local(2)], own=lambda thing: {"kept": thing.__qualname__})
    assert text.count("kept") == 1
    assert decode_json(text, trusted=True, from_source=lambda tree: {Local.__qualname__: Local}[tree["kept"]]) == [
        Local(1),
        Local(2),
    ]


def test_without_one_s_own_nothing_is_taken_apart():
    with pytest.raises(CodecError, match="Colour, which has no codec"):
        encode_json([Colour.RED], own=None)


def test_what_cannot_be_taken_apart_is_named_with_its_place():
    import threading

    for value in (Plain({"lock": threading.Lock()}), Box(Plain(threading.Lock()))):
        with pytest.raises(CodecError, match=r"^result\.(value\[\"lock\"\]|colour\.value) is a _thread.lock"):
            encode(value)
