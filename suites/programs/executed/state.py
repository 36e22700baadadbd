"""Where the source executed once more would give something else than what is there: what is there is to run."""

import abc
import copyreg
import functools
import pathlib
import sys
import tempfile
import types
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from _cases import case, end, run

FOLDER = tempfile.mkdtemp()
sys.path.insert(0, FOLDER)
(pathlib.Path(FOLDER) / "library_of_mine.py").write_text(
    "import types\n"
    "limit = 1\n"
    "settings = types.SimpleNamespace(depth=1)\n"
    "table = {'a': 1}\n"
    "registry = []\n"
    "def price(x): return x * limit\n"
    "def other(x): return -x\n"
    "def total(x): return price(x) + settings.depth + table.get('b', 0)\n"
    "class Thing:\n"
    "    size = 1\n"
    "    def go(self): return 'old'\n"
)
import library_of_mine as lib

shared = other = []
counted = 0
rules = []
switch = False


class Base:
    tags = []

    def act(self):
        return "old"


class Later(abc.ABC):
    pass


class Registered:
    pass


Later.register(Registered)
rules.append(lambda x: x + 100)


def chosen(function):
    return function if switch else (lambda x: "replaced")


@chosen
def picked(x):
    return "original"


switch = True


class Twice:
    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return 2 * self.function(x)


sqrt_twice = Twice(__import__("math").sqrt)


def numbered():
    global counted
    counted += 1
    return counted


FIRST, SECOND = numbered(), numbered()


class Same:
    value = 1


first_of_two = Same


class Same:
    value = 2


def same_name():
    return 1


kept = same_name


def same_name():
    return 2


def new_act(self):
    return "new"


def old_code(x):
    return "old"


def new_code(x):
    return "new"


@functools.singledispatch
def show(x):
    return "any"


def changed_default(x, to=[]):
    return to


class Own:
    pass


def reduce_own(own):
    return str, ("reduced",)


MARKED = object()
pairs = {"x": MARKED, "y": MARKED}
cells = [(lambda n: lambda: n)(n) for n in range(3)]

if __name__ == "__main__":
    case("two names of one list", lambda: run(lambda: (shared.append(1), other)[1]), [1])
    Base.act = new_act
    case("a method that was replaced", lambda: run(lambda: Base().act()), "new")
    Base.tags.append("x")
    case("a class attribute that was changed", lambda: run(lambda: Base.tags), ["x"])
    case("a class that was registered", lambda: run(lambda: issubclass(Registered, Later)), True)
    case("a list that was filled at the top", lambda: run(lambda: rules[0](1)), 101)
    case("a decorator whose switch has moved", lambda: run(picked, 1), "replaced")
    case("a wrapper object", lambda: run(sqrt_twice, 16), 8.0)
    case("values that were counted", lambda: run(lambda: (FIRST, SECOND)), (1, 2))
    case("the first of two classes of one name", lambda: run(lambda: first_of_two.value), 1)
    case("the second of two classes of one name", lambda: run(lambda: Same.value), 2)
    case("the first of two functions of one name", lambda: run(kept), 1)
    old_code.__code__ = new_code.__code__
    case("code that was replaced", lambda: run(old_code, 1), "new")
    show.register(float, lambda x: "float")
    case("a registration by a call", lambda: run(lambda: show(1.0)), "float")
    changed_default.__defaults__ = ("set",)
    case("a default that was replaced", lambda: run(changed_default, 1), "set")
    changed_default.note = 5
    case("an attribute of a function", lambda: run(lambda: changed_default.note), 5)
    case("one object under two keys", lambda: run(lambda: pairs["x"] is pairs["y"]), True)
    case("cells of a loop", lambda: [run(cell) for cell in cells], [0, 1, 2])
    instance = Base()
    instance.act = lambda: "own"
    case("a method that an instance has replaced", lambda: run(lambda: instance.act()), "own")
    copyreg.pickle(Own, reduce_own)
    case("copyreg", lambda: run(lambda x: x, Own()), "reduced")
    case("a module, untouched", lambda: run(lib.total, 2), 3)
    lib.limit = 9
    case("a number of a module that was changed", lambda: run(lib.price, 2), 18)
    lib.limit = 1
    lib.settings.depth = 5
    case("an object of a module that was changed", lambda: run(lib.total, 2), 7)
    lib.settings.depth = 1
    lib.table["b"] = 10
    case("a dict of a module that was filled", lambda: run(lib.total, 2), 13)
    del lib.table["b"]
    lib.registry.append(1)
    case("a registry of a module", lambda: run(lambda: list(lib.registry)), [1])
    lib.registry.clear()
    kept_price, lib.price = lib.price, lib.other
    case("a function of a module that was replaced", lambda: run(lambda x: lib.price(x), 2), -2)
    case("the same, called by another of the module", lambda: run(lib.total, 2), -1)
    lib.price = kept_price
    with unittest.mock.patch.object(lib, "price", lambda x: 50):
        case("mock.patch", lambda: run(lambda x: lib.price(x), 2), 50)
    lib.Thing.go = lambda self: "new"
    case("a method of a module's class that was replaced", lambda: run(lambda: lib.Thing().go()), "new")
    lib.Thing.size = 4
    case("an attribute of a module's class", lambda: run(lambda: lib.Thing.size), 4)
    lib.added = 7
    case("a name that was added to a module", lambda: run(lambda: lib.added), 7)
    made = types.ModuleType("made_by_hand")
    exec("def f(x): return x + 5", made.__dict__)
    case("a module made by hand", lambda: run(made.f, 1), 6)
    end()
