"""Type variables, aliases and their like: the very ones of the user's module, also where they contain themselves."""

from __future__ import annotations

import sys

import pytest

from fanfold.source.capture import capture
from fanfold.source.load import unload
from tests.source.conftest import Desk, arrived

needs_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is of 3.12")
needs_3_13 = pytest.mark.skipif(sys.version_info < (3, 13), reason="the syntax is of 3.13")

CONTAINS_ITSELF = """
    type Json = dict[str, Json] | list[Json] | str
    def main(x: Json = "a") -> Json:
        value = Json.__value__
        is_one = value.__args__[0].__args__[1] is Json is main.__annotations__["x"]
        return is_one, str(value), Json.__module__, Json.__type_params__
    """
GENERIC = """
    type Tree[T] = T | list[Tree[T]]
    def main(x: Tree[int] = 1):
        (T,), (leaf, branch) = Tree.__type_params__, Tree.__value__.__args__
        return leaf is T is branch.__args__[0].__args__[0], branch.__args__[0].__origin__ is Tree, str(Tree[int])
    """
MUTUAL = """
    type Even[T] = list[Odd[T]] | T
    type Odd[T] = dict[str, Even[T]]
    def main(x: Odd[int] | None = None):
        odd = Even.__value__.__args__[0].__args__[0]
        return odd.__origin__ is Odd, Odd.__value__.__args__[1].__origin__ is Even, str(Even.__value__)
    """
PARAMETERS = """
    type Tree[T: Tree[int], *Ts, **P] = T | list[Tree[T]] | tuple[*Ts]
    class Node[T: Node]:
        def get[U: (int, str)](self, given: U) -> T | U: return given
    def main():
        (T,), (U,), (bounded, *more) = Node.__type_params__, Node.get.__type_params__, Tree.__type_params__
        node = T.__bound__ is Node, U.__constraints__ == (int, str), Node.__parameters__ == (T,), T.__infer_variance__
        return node, bounded.__bound__.__origin__ is Tree, repr([bounded, *more]), T.__module__, Node().get(3)
    """
OF_A_CALL = """
    def made(of):
        type Local = list[Local] | of
        def main(x: Local | None = None): return Local.__value__.__args__[0].__args__[0] is Local, str(Local.__value__)
        return main
    main = made(int)
    """
OF_A_CLASS = """
    import dataclasses
    type Kids = list[Node]
    @dataclasses.dataclass
    class Node:
        type Own = int | list[Node.Own]
        kids: Kids = dataclasses.field(default_factory=list)
        own: Own = 0
    def main(): return str(Node([Node()])), Node.Own.__value__.__args__[1].__args__[0] is Node.Own
    """
NOT_THERE = """
    from typing import TYPE_CHECKING
    if TYPE_CHECKING: from nowhere import Thing
    type Later = dict[str, Thing]
    def main[T: Thing, U: (int, Thing)](x: Later | None = None):
        said = []
        parameters = main.__type_params__
        for owner, name in ((Later, "__value__"), (parameters[0], "__bound__"), (parameters[1], "__constraints__")):
            try: getattr(owner, name)
            except NameError as error: said.append(str(error))
        return said
    """
CHECKED = """
    import pydantic
    type Json = dict[str, Json] | list[Json] | int
    class Model(pydantic.BaseModel): data: Json
    def main(): return Model(data={"a": [1, {"b": "2"}]}).model_dump()
    """
DEFAULTS = """
    from typing import TypeVar
    class A[T = int, **P = [int, str]]: pass
    class B[*Ts = *tuple[int, str]]: pass
    type C[T: (int, str) = int] = list[T]
    class D[T]: pass
    V = TypeVar("V", default=list[int])
    def main():
        every = [*A.__type_params__, *B.__type_params__, *C.__type_params__, *D.__type_params__, V]
        return [(each.has_default(), str(each.__default__)) for each in every]
    """
CALLED = """
    from typing import Generic, NewType, ParamSpec, TypeVar
    from typing_extensions import TypeAliasType, TypeVar as WithDefault
    T, U, P = TypeVar("T", bound=int, covariant=True), TypeVar("U", str, bytes), ParamSpec("P")
    Id, V = NewType("Id", int), WithDefault("V", default=int)
    A = TypeAliasType("A", list[U], type_params=(U,))
    class Box(Generic[T]): pass
    def main():
        made = [(repr(each), each.__module__) for each in (T, U, P, Id, A, V)]
        said = T.__bound__, T.__covariant__, U.__constraints__, V.__default__, Box.__parameters__[0] is T
        return made, said, A.__type_params__[0] is U is A.__value__.__args__[0]
    """
AS_TEXT = """
    import typing
    Rows = typing.List["Row"]
    class Row: pass
    def main(x: Rows = ()):
        return typing.get_type_hints(main)["x"] == typing.List[Row], repr(Rows.__args__[0])
    """

CASES = [
    *(pytest.param(each, marks=needs_3_12) for each in (CONTAINS_ITSELF, GENERIC, MUTUAL, PARAMETERS, OF_A_CALL)),
    *(pytest.param(each, marks=needs_3_12) for each in (OF_A_CLASS, NOT_THERE, CHECKED)),
    pytest.param(DEFAULTS, marks=needs_3_13),
    CALLED,
    AS_TEXT,
]


@pytest.mark.parametrize("text", CASES)
def test_they_are_in_the_run_what_they_are_here(desk: Desk, text: str) -> None:
    module = desk.module(text)
    bundle = capture(module.main)
    here = module.main()
    assert arrived(bundle)() == here


@pytest.mark.parametrize("text", [*(pytest.param(each, marks=needs_3_12) for each in (GENERIC, PARAMETERS)), CALLED])
def test_the_name_of_their_module_is_no_part_of_what_they_mean(desk: Desk, text: str) -> None:
    one = capture(desk.module(text).main).code_hash
    assert capture(desk.module(text, "other").main).code_hash == one


@needs_3_12
def test_what_a_type_alias_says_is_part_of_what_the_code_means(desk: Desk) -> None:
    text = "type Json = list[Json] | {}\ndef main(x: Json): return x\n"
    assert desk.capture(text.format("int")).code_hash != desk.capture(text.format("str")).code_hash


@needs_3_12
def test_an_alias_of_a_module_of_the_project_is_that_modules_own(desk: Desk) -> None:
    desk.write("lib.py", "type Json = list[Json] | int\ndef f(x: Json): return x\n")
    module = desk.module(
        "import lib\nfrom lib import Json\ndef main(): return lib.Json is Json, lib.f.__annotations__\n"
    )
    bundle = capture(module.main)
    unload()
    is_one, annotations = arrived(bundle)()
    assert is_one
    assert annotations["x"] is sys.modules["lib"].Json
