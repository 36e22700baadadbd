"""What Pythons since 3.12 say otherwise: annotations that wait, a class's statement, which classes in C keep."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest

from fanfold.source.capture import capture
from tests.source.conftest import Desk, arrived

needs_3_13 = pytest.mark.skipif(sys.version_info < (3, 13), reason="Python says it since 3.13")
needs_3_14 = pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations wait since 3.14")


@needs_3_13
def test_a_class_says_where_it_stood_and_what_its_methods_set(desk: Desk) -> None:
    text = """
        class A:
            def one(self): self.b = self.a = 1
        def main(): return A.__firstlineno__, sorted(A.__static_attributes__)
    """
    assert desk.result(text) == (1, ["a", "b"])


def test_where_a_class_stands_is_no_part_of_what_the_code_means(desk: Desk) -> None:
    text = "class A:\n    def one(self): self.b = self.a = 1\ndef main(): return A().one()\n"
    assert desk.capture(text).code_hash == desk.capture("\n\n" + text).code_hash


WAITING = """
    import dataclasses, typing
    if typing.TYPE_CHECKING:
        from nowhere import Gone
    @dataclasses.dataclass
    class D:
        a: int
        b: Gone = None
        c: list[Gone] | None = None
        d: dict[str, int] = None
        e: [Gone for _ in "ab"] = None
        f: typing.Annotated[int, Gone] = 0
        g: int = dataclasses.field(default=1, doc="the g")
    def size(n: int, x: Gone = None) -> list[int]: ...
    def main(): return [*D.__annotations__.values()], [*size.__annotations__.values()], dataclasses.fields(D)[6].doc
    """


@needs_3_14
def test_of_annotations_that_name_what_is_not_there_the_others_are_what_they_mean(desk: Desk) -> None:
    of_class, of_function, doc = desk.result(WAITING)
    assert of_class[:4] == [int, "Gone", "list[Gone] | None", dict[str, int]]
    assert of_class[4:] == ["[Gone, Gone]", "typing.Annotated[int, Gone]", int]
    assert of_function == [int, "Gone", list[int]]
    assert doc == "the g"


@needs_3_14
def test_models_that_name_each_other_in_annotations_that_wait(desk: Desk) -> None:
    text = """
        import pydantic
        class Tree(pydantic.BaseModel):
            branch: Branch | None = None
            leaves: int = 0
        class Branch(pydantic.BaseModel):
            trees: list[Tree] = []
        class Wood(pydantic.BaseModel):
            tree: Tree
        tree = Tree(branch=Branch(trees=[Tree(leaves=2)]))
        def main(leaves):
            found = Wood.model_validate({"tree": {"branch": {"trees": [{"leaves": leaves}]}}})
            return found.tree.branch.trees[0].leaves, tree.branch.trees[0].leaves
    """
    assert desk.result(text, "4") == (4, 2)


GENERIC = """
    import pydantic
    from typing import Generic, TypeVar
    T = TypeVar("T")
    S = TypeVar("S")
    class Item(pydantic.BaseModel):
        size: int = 1
    class Page(pydantic.BaseModel, Generic[T]):
        held: T
    class Pair(pydantic.BaseModel, Generic[T, S]):
        one: T
        other: S
    page, of_items, Texts = Page[int](held=3), Page[Item](held=Item(size=2)), Page[str]
    pair = Pair[int, list[Item]](one=1, other=[Item()])
    def main():
        same = type(page) is Page[int], type(of_items) is Page[Item], Texts is Page[str]
        same = *same, type(pair) is Pair[int, list[Item]], isinstance(page, Page), Page[int](held="3") == page
        return *same, Texts(held="a").held, of_items.held == Item(size=2)
    """


def test_a_class_of_a_generic_model_is_the_one_that_the_model_gives(desk: Desk) -> None:
    bundle = desk.capture(GENERIC)
    assert arrived(bundle)() == (True,) * 6 + ("a", True)
    assert not [each for each in bundle.needs if each[1] == "Python"]


def test_and_so_is_one_that_a_module_of_the_project_has_not_asked_for_itself(desk: Desk) -> None:
    desk.module(GENERIC, "models")
    text = """
        import models
        page = models.Page[float](held=1.5)
        def main(): return type(page) is models.Page[float], page.held
    """
    assert desk.elsewhere(desk.capture(text)) == [True, 1.5]


ADDED = """
    import collections, datetime, decimal, fractions, ipaddress, pathlib, random
    tags = ["a"]
    class Amount(decimal.Decimal): pass
    class Half(fractions.Fraction): pass
    class Count(collections.Counter): pass
    class Groups(collections.defaultdict): pass
    class Day(datetime.date): pass
    class Address(ipaddress.IPv4Address): pass
    class Net(ipaddress.IPv4Network): pass
    class Place(type(pathlib.PurePath())): pass
    class Dice(random.Random): pass
    made = [Amount("1.5"), Half(1, 2), Count("aab"), Groups(list, k=[1]), Day(2020, 1, 2), Address("1.2.3.4")]
    made += [Net("10.0.0.0/8"), Place("a/b"), Dice(3)]
    for each in made: each.tag = tags
    def main(): return [(type(each).__name__, each.tag is tags) for each in made], dict(made[3]), made[8].random()
    """
#: A `Random` has a state of its own, in which an argument or a result has no room for more.
_IN_VALUES = slice(8)


def test_what_a_class_adds_to_one_that_pickles_only_its_own_goes_along(desk: Desk) -> None:
    module = desk.module(ADDED)
    kinds, groups, first = arrived(capture(module.main))()
    assert kinds == [(type(each).__name__, True) for each in module.made]
    assert (groups, first) == ({"k": [1]}, module.made[8].random())


def test_and_does_so_in_an_argument_and_a_result(desk: Desk) -> None:
    from fanfold.codec import decode_json, encode_json

    made = desk.module(ADDED).made[_IN_VALUES]
    found = decode_json(encode_json(made), trusted=True)
    assert found == made
    assert [*map(type, found)] == [*map(type, made)]
    assert all(each.tag is found[0].tag for each in found)
    assert found[0].tag == ["a"]


def test_an_object_with_slots_of_the_standard_library_s_comes_back() -> None:
    import traceback

    from fanfold.codec import decode_json, encode_json

    frame = traceback.FrameSummary("f.py", 3, "main", line="x = 1")
    found: Any = decode_json(encode_json(frame), trusted=True)
    assert (found.filename, found.lineno, found.line) == ("f.py", 3, "x = 1")


COUNTERS = """
    import dataclasses, itertools
    ids, halves = itertools.count(5), itertools.count(0.5, 0.25)
    next(ids), next(halves)
    @dataclasses.dataclass
    class Row:
        id: int = dataclasses.field(default_factory=itertools.count(3, 2).__next__)
    Row()
    def main(): return next(ids), next(halves), Row().id, Row().id
    """


def test_a_counter_goes_on_where_it_stands(desk: Desk) -> None:
    assert desk.result(COUNTERS) == (6, 0.75, 5, 7)


def test_and_does_so_as_a_value_and_in_a_call_of_an_executor(desk: Desk) -> None:
    import itertools

    from fanfold.api.pickling import Modules
    from fanfold.codec import decode_json, encode_json
    from fanfold.execution.definitions import dump_result

    counter = itertools.count(5)
    next(counter)
    assert next(decode_json(encode_json([counter]), trusted=True)[0]) == 6
    assert next(pickle.loads(Modules().dumps(counter))) == next(pickle.loads(dump_result(counter))) == 6
    assert next(counter) == 6
