"""An object that says what it is made of is made when all of that is there, whatever else is just being filled."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any
from unittest import mock

import pytest

from fanfold.codec import decode_json, encode_json
from fanfold.errors import CaptureError
from fanfold.source.rebuild import Builder, NotYet
from tests.source.conftest import Desk

HELD = """
    class Zone:
        def __init__(self): self.size = 2

    class Held:
        def __init__(self, areas): self.areas, self.sum = areas, sum(each.size for each in areas)
        def __reduce__(self): return Held, (self.areas,)
"""


def test_what_one_list_is_made_of_is_whole_where_another_list_has_an_object_of_it(desk: Desk) -> None:
    text = (
        HELD
        + """
    a_list = [Zone(), Zone()]
    b_list = [Held(a_list)]
    def main(): return b_list[0].sum, b_list[0].areas is a_list, len(a_list)
    """
    )
    assert desk.result(text) == (4, True, 2)


def test_a_key_has_its_state_before_it_is_asked_for_its_hash(desk: Desk) -> None:
    text = (
        HELD
        + """
    class Key:
        def __init__(self, held): self.held = held
        def __hash__(self): return self.held.sum
        def __eq__(self, other): return self.held.sum == other.held.sum
    a_list = [Zone(), Zone()]
    table, known = {Key(Held(a_list)): 1}, {Key(Held(a_list))}
    def main(): return list(table)[0].held.sum, table[Key(Held(a_list))], len({*table, *known})
    """
    )
    assert desk.result(text) == (4, 1, 1)


def test_an_object_that_is_made_of_itself_is_made_of_what_is_there(desk: Desk) -> None:
    text = """
        class Tree:
            def __init__(self, children): self.children = children
            def __reduce__(self): return Tree, (self.children,)
        children = []
        tree = Tree(children)
        class Leaf:
            def __init__(self): self.tree = tree
        children.append(Leaf())
        def main(): return tree.children[0].tree is tree, tree.children is children
    """
    assert desk.result(text) == (True, True)


def test_a_function_behind_a_cache_that_goes_to_pickle_by_its_name(desk: Desk) -> None:
    # As cachetools has them.
    desk.write(
        "../site-packages/caches.py",
        """
        import functools, threading
        class Cached:
            def __init__(self, fn, cache, lock):
                functools.update_wrapper(self, fn)
                self.cache, self.lock = cache, lock
            def __reduce__(self): return self.__qualname__
            def __call__(self, x):
                with self.lock:
                    if x not in self.cache:
                        self.cache[x] = self.__wrapped__(x)
                return self.cache[x]
        def cached(cache, lock): return lambda fn: Cached(fn, cache, lock)
        """,
    )
    text = """
        import caches, threading
        COUNT = []
        CACHE = {}
        @caches.cached(CACHE, threading.Lock())
        def slow(x):
            COUNT.append(x)
            return x * 2
        class Missing:
            def __reduce__(self): return "MISSING"
        MISSING = Missing()
        def main(x, default=MISSING): return slow(x), slow(x), COUNT, CACHE, default is MISSING
    """
    assert desk.result(text, 3) == (6, 6, [3], {3: 6}, True)


def test_a_context_manager_decorates_again(desk: Desk) -> None:
    text = """
        import contextlib
        LOG = []
        @contextlib.contextmanager
        def timer(name):
            LOG.append("in " + name)
            yield
            LOG.append("out")
        @timer("a")
        def work(x): return x + 1
        once = timer("b")
        def main(x):
            with once:
                pass
            return work(x), work(x), LOG
    """
    assert desk.result(text, 1) == (2, 2, ["in b", "out", "in a", "out", "in a", "out"])


def test_functions_under_decorators_of_wrapt_and_toolz(desk: Desk) -> None:
    text = """
        import operator
        import toolz, toolz.curried as tc
        import wrapt
        @wrapt.decorator
        def twice(wrapped, instance, args, kwargs): return wrapped(*args, **kwargs) * 2
        @twice
        def scaled(x): return x + 1
        class Box:
            @twice
            def held(self, x): return x
        @toolz.curry
        def product(a, b): return a * b
        by_four = product(4)
        both = toolz.compose(product(3), scaled)
        def main(x): return scaled(x), Box().held(x), product(2)(x), both(x), list(tc.map(by_four, [x])), by_four.args
    """
    assert desk.result(text, 1) == (4, 2, 2, 12, [4], (4,))


def test_an_object_of_a_library_whose_function_stands_in_a_file_with_settings(desk: Desk) -> None:
    text = """
        import decimal, toolz, toolz.curried
        decimal.getcontext().prec = 50
        @toolz.curry
        def product(a, b): return a * b
        main = product(4)
    """
    assert desk.result(text, 2) == 8


METHODS_WITH_A_CACHE = """
    import functools
    class Method:
        def __init__(self, fn, cache):
            functools.update_wrapper(self, fn)
            self.cache, self.owner, self.name, self.unbound = cache, None, None, None
        def __set_name__(self, owner, name): self.owner, self.name = owner, name
        def __reduce__(self): return self.found, (self.owner, self.name)
        @staticmethod
        def found(owner, name): return owner.__dict__[name]
        def __get__(self, obj, kind=None):
            if obj is None:
                self.unbound = self.unbound or Unbound(self)
                return self.unbound
            return obj.__dict__.setdefault(self.name, Bound(obj, self))
    class Unbound:
        def __init__(self, method):
            functools.update_wrapper(self, method.__wrapped__)
            self.method = method
        def __reduce__(self): return self.method.__get__, (None,)
    class Bound:
        def __init__(self, obj, method): self.obj, self.method = obj, method
        def __reduce__(self): return self.method.__get__, (self.obj,)
        def __call__(self, x):
            cache = self.method.cache(self.obj)
            if x not in cache:
                cache[x] = self.method.__wrapped__(self.obj, x)
            return cache[x]
    def cachedmethod(cache): return lambda fn: Method(fn, cache)
"""


@pytest.mark.parametrize("used", ["", "model.slow(1)", "Model.slow", "model.slow(1); Model.slow"])
def test_a_method_behind_a_cache_that_goes_to_pickle_by_its_class(desk: Desk, used: str) -> None:
    # As cachetools has them.
    desk.write("../site-packages/caches.py", METHODS_WITH_A_CACHE)
    text = f"""
        import operator
        import caches
        class Model:
            def __init__(self): self.known, self.count = {{}}, 0
            @caches.cachedmethod(operator.attrgetter("known"))
            def slow(self, x):
                self.count += 1
                return x * 2
        class Other(Model): ...
        model = Model()
        {used}
        def main():
            other = Other()
            return [model.slow(3), model.slow(3), model.count, other.slow(4), other.slow(4), other.count,
                    Model.slow.__name__, Model.__dict__["slow"].owner is Model]
    """
    assert desk.result(text) == [6, 6, 1 + used.startswith("model"), 8, 8, 1, "slow", True]


def test_what_waits_for_itself_in_vain_is_refused_and_not_tried_for_ever():
    builder = Builder({"nodes": []}, None)
    builder.made[0] = "there"

    def put(_):
        raise NotYet

    builder.later(put, 0)
    with pytest.raises(CaptureError, match="in a ring that has no first"):
        builder.fill()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # Its maker asks for its class, which stands before it.
        ("""
        class Rate:
            def __init__(self, a, b): self.a, self.b = a, b
            def __reduce__(self): return make, (self.a,), {"b": self.b + 1}
        def make(a): return Rate(a, 0)
        rate = Rate(1, 5)
        def main(): return rate.a, rate.b
        """, (1, 6)),
        # Its own `__setattr__` keeps all that it is given.
        ("""
        class Open:
            def __init__(self): self.__dict__["kept"] = {}
            def __getattr__(self, name):
                if name not in self.kept: raise AttributeError(name)
                return self.kept[name]
            def __setattr__(self, name, value): self.kept[name] = value
        thing = Open()
        thing.a = 1
        def main(): return thing.a, list(thing.kept)
        """, (1, ["a"])),
        ("""
        import collections
        Row = collections.namedtuple("Row", ["class", "a"], rename=True)
        def main(): return Row(1, 2)._fields
        """, ("_0", "a")),
        ("""
        import typing
        import pydantic
        class Model(pydantic.BaseModel):
            LIMIT: typing.ClassVar[int] = 9
            size: int = 3
        Model.LIMIT = 10
        def main(): return Model.LIMIT, Model().size
        """, (10, 3)),
        ("""
        import datetime
        from unittest import mock
        class Day(datetime.date):
            @classmethod
            def today(cls): return cls(2020, 1, 1)
        mock.patch("datetime.date", Day).start()
        def main(): return str(datetime.date.today())
        """, "2020-01-01"),
        ("""
        import pandas as pd
        pd.Series.all_of_it = property(lambda series: int(series.sum()))
        def main(): return pd.Series([1, 2]).all_of_it
        """, 3),
    ],
    ids=["maker", "setattr", "rename", "class variable", "class in a library", "property of a library's"],
)  # fmt: skip
def test_what_is_there_is_what_arrives(desk: Desk, text: str, wanted: Any) -> None:
    try:
        assert desk.elsewhere(desk.capture(text)) == json.loads(json.dumps(wanted))
    finally:
        mock.patch.stopall()


def test_a_class_has_what_its_objects_are_made_by_before_one_is_made(desk: Desk) -> None:
    """The list that holds them is met while the class itself is being filled: a method of it mentions the list."""
    text = """
        import copyreg
        class Pair:
            def __getnewargs_ex__(self): return (1,), {"b": 2}
            def __new__(cls, a, b=0):
                made = super().__new__(cls)
                made.both = a, b, len(ALL) if "ALL" in globals() else 0
                return made
            def others(self): return ALL
        class Copied:
            def __init__(self, n): self.n = n
            def others(self): return ALL
        copyreg.pickle(Copied, lambda made: (Copied, (made.n,)))
        ALL = [Pair(1, b=2), Copied(4)]
        def main(): return ALL[0].both[:2], ALL[1].n, ALL[1].others() is ALL
    """
    assert desk.result(text) == ((1, 2), 4, True)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="members that are code came with Python 3.11")
def test_members_of_an_enum_that_are_code_are_members(desk: Desk) -> None:
    text = """
        import enum
        class Step(enum.Enum):
            @enum.member
            def double(x): return 2 * x
            @enum.nonmember
            def half(x): return x / 2
            MORE = enum.member(lambda x: x + 1)
            @enum.member
            class Inner: n = 5
        held = [Step.double, Step.MORE, Step.Inner]
        def main():
            same = [each is found for each, found in zip(held, Step)]
            return same, held[0].value(3), Step.MORE.value(3), held[2].value.n, Step.half(3)
        def given(step): return step.name
    """
    assert desk.result(text) == ([True, True, True], 6, 4, 5, 1.5)
    members = importlib.import_module("work").held
    assert [decode_json(encode_json(each)) for each in members] == members


def test_a_struct_s_fields_have_the_defaults_that_its_statement_gives(desk: Desk) -> None:
    text = """
        import enum, msgspec
        class Kind(enum.Enum): A = "a"
        class Shape(msgspec.Struct, frozen=True, tag=True):
            size: int = 1
            kind: Kind = Kind.A
        class Square(Shape, frozen=True, tag="square"):
            tags: tuple = ()
        held = Square(size=3)
        msgspec.json.decode(msgspec.json.encode(held), type=Square)
        def main(): return held.size, Square().kind is Kind.A, msgspec.json.encode(Square())
    """
    assert desk.result(text) == (3, True, b'{"type":"square","size":1,"kind":"a","tags":[]}')


def test_what_c_has_made_of_a_class_is_made_again(desk: Desk) -> None:
    text = """
        import ctypes, msgspec, random
        class Part(ctypes.Union):
            _fields_ = [("whole", ctypes.c_int), ("bytes", ctypes.c_ubyte * 4), ("above", ctypes.POINTER(ctypes.c_int))]
        class Node(msgspec.Struct):
            n: int
        decoder, encoder = msgspec.json.Decoder(Node), msgspec.msgpack.Encoder(enc_hook=str)
        row, pointer = ctypes.c_ubyte * 4, ctypes.POINTER(ctypes.c_int)
        class Dice(random.Random):
            def __init__(self, seed, sides):
                super().__init__(seed)
                self.sides = sides
        dice = Dice(3, 6)
        def main():
            same = row is ctypes.c_ubyte * 4, pointer is ctypes.POINTER(ctypes.c_int)
            return list(Part(whole=1).bytes), same, decoder.decode(b'{"n": 9}').n, encoder.encode([1j]), dice.sides
    """
    assert desk.result(text) == ([1, 0, 0, 0], (True, True), 9, b"\x91\xa21j", 6)
