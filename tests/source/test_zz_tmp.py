import sys, pytest
from tests.source.conftest import *
from fanfold.source.capture import capture
import textwrap
T = {
"json": """
type Json = dict[str, Json] | list[Json] | str
def main():
    v = Json.__value__
    return str(v), v.__args__[0].__args__[1] is Json, Json.__module__, Json.__name__, Json.__type_params__
""",
"ann": """
type Json = dict[str, Json] | list[Json] | str
def main(x: Json = "a") -> Json:
    return str(main.__annotations__["x"]), main.__annotations__["x"] is Json, Json.__value__.__args__[0].__args__[1] is Json
""",
"tree": """
type Tree[T] = T | list[Tree[T]]
def main(x: Tree[int] = 1):
    (T,) = Tree.__type_params__
    return str(Tree.__value__), Tree.__value__.__args__[0] is T, Tree.__value__.__args__[1].__args__[0].__args__[0] is T, str(Tree[int]), T.__module__, T.__infer_variance__
""",
"bounded": """
type Tree[T: Tree[int], *Ts, **P] = T | list[Tree[T]] | tuple[*Ts]
def main():
    T, Ts, P = Tree.__type_params__
    return str(Tree.__value__), str(T.__bound__), T.__bound__.__origin__ is Tree, repr((T, Ts, P)), [type(x).__name__ for x in (T,Ts,P)]
""",
"mutual": """
type A = list[B] | int
type B = dict[str, A] | str
def main():
    return str(A.__value__), A.__value__.__args__[0].__args__[0] is B, B.__value__.__args__[0].__args__[1] is A
""",
"mutualgen": """
type A[T] = list[B[T]] | T
type B[T] = dict[str, A[T]] | T
def main(a: B[int]=1):
    return str(A.__value__), A.__value__.__args__[0].__args__[0].__origin__ is B, B.__value__.__args__[0].__args__[1].__origin__ is A, A.__type_params__ == B.__type_params__
""",
"classbound": """
class Node[T: Node]:
    def __init__(self, x: T | None = None) -> None: self.x = x
    def get[U: (int, str)](self, d: U) -> T | U: return self.x or d
def main():
    T, = Node.__type_params__
    U, = Node.get.__type_params__
    return T.__bound__ is Node, U.__constraints__, str(Node.__orig_bases__), Node(Node()).get(3).get(4), str(Node[Node]), Node.__parameters__ == (T,)
""",
"inclass": """
class Box:
    type Item = int | list[Box.Item]
    type Pair[T] = tuple[T, T]
    def f(self, x: Item) -> Pair[int]: return x
def main():
    return str(Box.Item.__value__), Box.Item.__value__.__args__[1].__args__[0] is Box.Item, str(Box.f.__annotations__), str(Box.Pair.__value__)
""",
"infunc": """
def make(n):
    type Local[T] = dict[str, Local[T]] | n
    def main(x: Local[int] | None = None):
        return str(Local.__value__), Local.__value__.__args__[0].__args__[1].__origin__ is Local, Local[int]==main.__annotations__['x'].__args__[0]
    return main
main = make(int)
""",
"callmade": """
from typing import TypeVar, TypeAliasType, ParamSpec, TypeVarTuple, NewType
T = TypeVar("T", bound=int, covariant=True); U = TypeVar("U", str, bytes); P = ParamSpec("P"); Ts = TypeVarTuple("Ts")
Id = NewType("Id", int)
A = TypeAliasType("A", list[T], type_params=(T,))
def main():
    return [(repr(x), x.__module__) for x in (T, U, P, Ts, Id, A)], A.__type_params__[0] is T, T.__bound__, T.__covariant__, U.__constraints__, A.__value__.__args__[0] is T, str(A[int].__value__), Id(3)
""",
"unsaidbound": """
from typing import TYPE_CHECKING
if TYPE_CHECKING: from nowhere import Thing
def main[T: Thing, U: (int, Thing)](x: T | None = None) -> U | None:
    r = []
    for t, a in zip(main.__type_params__, ("__bound__", "__constraints__")):
        try: getattr(t, a)
        except NameError as e: r.append(str(e))
    return r
""",
"forward": """
import typing
F = typing.List["Foo"]
class Foo: pass
def main(x: "Foo" = None):
    return str(F), typing.get_type_hints(main)["x"] is Foo, F.__args__[0].__forward_arg__, F == typing.List["Foo"]
""",
"defaults": """
class C[T = int, **P = [int, str]]:
    pass
class E[*Ts = *tuple[int, str]]: pass
type D[T: (int, str) = int] = list[T]
from typing import TypeVar
V = TypeVar("V", default=list["V"])
def main():
    return [(x.has_default(), str(x.__default__)) for x in (*C.__type_params__, *E.__type_params__, *D.__type_params__, V)], str(D[int]), D.__type_params__[0].__constraints__, V.__default__ is not None
""",
"nodefault": """
class C[T]: pass
def main():
    return [(x.has_default(), str(x.__default__)) for x in C.__type_params__]
""",
"lib": """
from lib import Json, T, Id
import lib
def main(x: Json = 1):
    return lib.Json is Json, lib.T is T, lib.Id is Id, lib.f.__annotations__['x'] is Json
""",
"dc": """
from dataclasses import dataclass, field
type Kids = list[N]
@dataclass
class N:
    kids: Kids = field(default_factory=list)
    x: "Kids | None" = None
def main():
    return str(N([N()])), N.__annotations__['kids'] is Kids, Kids.__value__.__args__[0] is N
""",
"lazyundefined": """
type Later = dict[str, NotThere]
def main(x: Later | None = None):
    try: Later.__value__
    except NameError as e: return Later.__name__, str(e), e.name
""",
"pydantic": """
import pydantic
type Json = dict[str, Json] | list[Json] | str | int
def main(x: Json = 1):
    return pydantic.TypeAdapter(Json).validate_python({"a": [1, "b"]})
""",
"pydmodel": """
import pydantic
type Json = dict[str, Json] | list[Json] | str | int
class M(pydantic.BaseModel):
    x: Json
def main():
    return M(x={"a": [1, {"b": "c"}]}).model_dump()
""",
"te": """
import typing_extensions as te
J = te.TypeAliasType("J", "list[J] | int")
V = te.TypeVar("V", default=int)
A = te.TypeAliasType("A", list[V], type_params=(V,))
P = te.ParamSpec("P", default=[int])
def main():
    return J.__name__, str(J.__value__), J.__module__, V.__default__, V.has_default(), repr(V), A.__type_params__[0] is V, A.__module__, V.__module__, P.__default__
""",
"method": """
class A:
    def f[T](self, x: T) -> T:
        type L = list[T] | list[L]
        return L
def main():
    return str(A().f(1).__value__)
""",
}
MIN = {"defaults": (3,13), "nodefault": (3,13), "te": (3,10), "forward": (3,10)}
@pytest.mark.parametrize("n", T)
def test_t(desk, n):
    if sys.version_info[:2] < MIN.get(n, (3,12)): pytest.skip()
    if n == "lib":
        desk.write("lib.py", """
        from typing import TypeVar, NewType
        type Json = list[Json] | int
        T = TypeVar("T"); Id = NewType("Id", int)
        def f(x: Json): return T, Id
        """)
    m = desk.module(T[n])
    want = m.main()
    h = capture(m.main).code_hash
    got = arrived(capture(m.main))()
    assert got == want
    unload()
    m2 = desk.module(T[n], "other")
    try: assert (n, capture(m2.main).code_hash) == (n, h)
    finally: del sys.modules["other"]

    print(n, h)
