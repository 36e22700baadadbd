"""What somebody has put into a library's own lists and dicts: `lib.register(f)`, `lib.REGISTRY.update(...)`.

An object of the user's own within one is there because the user's code has put it there. Of plain data in one that the
code names, the library's text says what it began with.
"""

from __future__ import annotations

import ast
import copyreg
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache, partial
from operator import is_
from types import FunctionType, ModuleType
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.errors import CaptureError
from fanfold.source.modules import is_library, is_project_path
from fanfold.source.rebuild import refill
from fanfold.source.removed import surely_bound
from fanfold.source.texts import parse, read

#: Packages that keep the user's objects for as long as a process lives, or for its tests.
_OF_THE_PROCESS = frozenset(
    "IPython _pytest abc asyncio atexit builtins cffi cloudpickle concurrent contextlib copyreg ctypes doctest fanfold"
    " functools gc inspect ipykernel linecache multiprocessing numba pdb pluggy pytest sys threading traceback types"
    " typing typing_extensions unittest warnings weakref".split()
)
KINDS = frozenset({list, dict, set, defaultdict, OrderedDict})
_ATOMS = frozenset({str, int, float, bool, type(None), bytes, complex, tuple, ModuleType})
#: Of a package of more modules only those are looked into that the code leads to.
_SMALL_PACKAGE = 60
#: A longer list or dict is a table.
_LONGEST = 1_000


class Filled(NamedTuple):
    """A list, dict or set of a library's: its module, the name there, and what it holds; or a member of a class."""

    module: str
    name: str
    held: Any
    #: Whether it holds nothing else; of a dict it may be only what was put in.
    is_whole: bool


def filled_in(libraries: Iterable[str], mentioned: AbstractSet[str], knows: Callable[[Any], bool]) -> Iterator[Filled]:
    """The containers of these libraries, and of what the code mentions of them, that hold what somebody has put there.

    One object is given under one name. Of how objects are pickled, only what concerns a class that the code `knows`.
    """
    if reducers := {kind: made for kind, made in copyreg.dispatch_table.items() if is_own(made) and knows(kind)}:
        yield Filled("copyreg", "dispatch_table", reducers, is_whole=False)
    seen: set[int] = set()
    for module in _modules_of(libraries, mentioned):
        for name, container in _containers(module):
            if id(container) in seen or (_is_container(container) and not 0 < _size(container) <= _LONGEST):
                continue
            own = container if not _is_container(container) else _put_there(container)
            if own or (name in mentioned and name in vars(module)):
                is_other = name in vars(module) and _is_other(module, name, container)
                if own or is_other:
                    seen.add(id(container))
                    is_whole = is_other or own is container
                    yield Filled(module.__name__, name, container if is_whole else own, is_whole)


def _modules_of(libraries: Iterable[str], mentioned: AbstractSet[str]) -> list[ModuleType]:
    """The modules that code leads to: those it imports, those of what it mentions there, a small package as a whole."""
    found: dict[str, ModuleType] = {}
    loaded: dict[str, list[str]] = {}
    for name in sorted(libraries):
        package, module = name.partition(".")[0], sys.modules.get(name)
        if package in _OF_THE_PROCESS or type(module) is not ModuleType or not is_library(name):
            continue
        loaded = loaded or _by_package(tuple(sys.modules))
        below = loaded.get(package, [])
        near = below if len(below) <= _SMALL_PACKAGE else [name, *_homes(module, mentioned, package)]
        found |= {each: sys.modules[each] for each in near if type(sys.modules.get(each)) is ModuleType}
    return list(found.values())


@lru_cache(maxsize=1)
def _by_package(loaded: tuple[str, ...]) -> dict[str, list[str]]:
    """These modules by their package."""
    found: dict[str, list[str]] = {}
    for name in loaded:
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


def _homes(module: ModuleType, mentioned: AbstractSet[str], package: str) -> Iterator[str]:
    """The modules of the functions and classes that code mentions of a module."""
    for name in mentioned & vars(module).keys():
        value = vars(module)[name]
        home = value.__name__ if type(value) is ModuleType else None
        if type(value) is FunctionType or issubclass(type(value), type):
            home = value.__module__
        if isinstance(home, str) and home.partition(".")[0] == package:
            yield home


def _containers(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """A module's containers, those of the classes that it defines and of its objects, and of its variables what is the
    user's own; what a library has made of the user's own for such a class, as pandas of an accessor."""
    for name, value, what in _of_module(module):
        if what == _CLASS:
            for own, held, of_class in members_of(value):
                if of_class == MADE or (of_class == HELD and value.__module__ == module.__name__):
                    yield f"{name}.{own}", held
        elif what == _OBJECT:
            within = _sifted(state_of(value), value, _held_by_object)
            if any(_put_there(held) for _, held, _ in within) and _is_made_since(module, name):
                yield name, value
            else:
                yield from ((f"{name}.{own}", held) for own, held, _ in within)
        else:
            yield name, value


#: What of a module, a class or an object has to be looked into each time; all else is what it was.
HELD, MADE, OWN, _CLASS, _OBJECT = "held", "made", "own", "class", "object"
_Sifted = list[tuple[Any, Any, str]]
_sifted_before: dict[int, tuple[Any, tuple[Any, ...], tuple[Any, ...], _Sifted]] = {}
_MOST_SIFTED = 20_000


def _sifted(names: Mapping[Any, Any], holder: Any, sift: Callable[[Any, Any], str]) -> _Sifted:
    """The names that matter of a module, a class or an object; asked again where it holds something else by now."""
    keys, values = tuple(names), tuple(names.values())
    known = _sifted_before.get(id(holder))
    if known and known[0] is holder and known[1] == keys and all(map(is_, known[2], values)):
        return known[3]
    found = [(key, value, what) for key, value in zip(keys, values, strict=False) if (what := sift(key, value))]
    if len(_sifted_before) >= _MOST_SIFTED:
        _sifted_before.clear()
    _sifted_before[id(holder)] = holder, keys, values, found
    return found


def _of_module(module: ModuleType) -> _Sifted:
    def sift(name: str, value: Any) -> str:
        kind = type(value)
        if kind in _ATOMS or kind is FunctionType or name.startswith("__"):
            return ""
        if kind in KINDS:
            return HELD
        if issubclass(kind, type):
            return _CLASS if _is_of_package(value, module) else ""
        if _is_of_package(kind, module):
            return HELD if issubclass(kind, dict) else _OBJECT
        return OWN if is_own(value) else ""

    return _sifted(vars(module), module, sift)


def _is_made_since(module: ModuleType, name: str) -> bool:
    """Whether the module's text begins with nothing under a name, as `_opener = None`."""
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.endswith(".py") and isinstance(_said(file, name), ast.Constant)


def _held_by_object(_: str, value: Any) -> str:
    return HELD if type(value) in KINDS else ""


def classes_of(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The classes of a module's package that it has under a name, and that may be changed."""
    return ((name, value) for name, value, what in _of_module(module) if what == _CLASS)


def members_of(made: Any) -> _Sifted:
    """What a class of a library's holds: containers, what is the user's own, what a library has made of that."""

    def sift(name: str, value: Any) -> str:
        kind = type(value)
        if kind in KINDS:
            return "" if name.startswith("__") else HELD
        if kind in _ATOMS or (kind.__flags__ & _IMMUTABLE and kind not in _METHODS):
            return ""
        if is_own(_within(value)):
            return OWN
        return (
            MADE if kind.__module__ not in ("builtins", "abc") and any(map(is_own, [*state_of(value).values()])) else ""
        )

    return _sifted(vars(made), made, sift)


_METHODS = frozenset({FunctionType, staticmethod, classmethod, property, type})


def _within(member: Any) -> Any:
    """The function of a method of any kind."""
    kind = type(member)
    if issubclass(kind, (staticmethod, classmethod)):
        return member.__func__
    return member.fget if issubclass(kind, property) else member


#: Of a class of which nobody can set an attribute.
_IMMUTABLE = 1 << 8


def _is_of_package(made: type, module: ModuleType) -> bool:
    """Whether a class is of a module's package, and may be changed."""
    package = module.__name__.partition(".")[0]
    return not made.__flags__ & _IMMUTABLE and str(made.__module__).partition(".")[0] == package


def _is_container(value: Any) -> bool:
    return issubclass(type(value), (dict, *KINDS))


def _size(container: Any) -> int:
    return dict.__len__(container) if issubclass(type(container), dict) else len(container)


def _put_there(container: Any) -> Any:
    """What a dict has of the user's own; another container as a whole where it has something of it; else nothing."""
    if issubclass(type(container), dict):
        items = _sifted(container, container, _is_own_item) if type(container) is dict else _own_items(container)
        return {key: value for key, value, _ in items}
    return container if any(map(_holds_own, list(container))) else None


def _holds_own(value: Any) -> bool:
    return is_own(value) or (type(value) is tuple and any(map(is_own, value)))


def _own_items(container: Any) -> _Sifted:
    return [(key, value, OWN) for key, value in list(dict.items(container)) if _is_own_item(key, value)]


def _is_own_item(key: Any, value: Any) -> str:
    return OWN if _holds_own(value) or is_own(key) else ""


def is_own(value: Any) -> bool:
    """Whether something is the user's: a function or class of the project, or an object of such a class."""
    kind = type(value)  # never `isinstance`, which asks the object itself
    if kind is FunctionType:
        return _is_project(value.__globals__.get("__name__"))
    if kind in _ATOMS or kind in KINDS:
        return False
    return _is_project(value.__module__ if issubclass(kind, type) else kind.__module__)


def state_of(value: Any) -> dict[str, Any]:
    """An object's `__dict__`; empty where it has none, and for a lazy object or a dead proxy, which answer nothing."""
    try:
        state = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001  the user's own property
        return {}
    return state if type(state) is dict else {}


def _is_project(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    return name == "__main__" or _is_of_project_file(getattr(sys.modules.get(name), "__file__", None))


@lru_cache(maxsize=4096)
def _is_of_project_file(path: Any) -> bool:
    return isinstance(path, str) and is_project_path(path)


# What the library's text says of it


def _is_other(module: ModuleType, name: str, container: Any) -> bool:
    """Whether plain data is other than the text's, and the library has not made it so itself as it was imported."""
    said = literals_of(module, name)
    return said is not None and type(said) is type(container) and said != container


def literals_of(module: ModuleType, name: str) -> Any:
    """What a module's text gives a name, where that is written out; None where it is not."""
    file = getattr(module, "__file__", None)
    expression = _said(file, name) if isinstance(file, str) and file.endswith(".py") else None
    if expression is None:
        return None
    try:
        return ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError):
        return None


@lru_cache(maxsize=256)
def _said(file: str, name: str) -> ast.expr | None:
    from fanfold.source.assigned import changed_names

    try:
        source = parse(file, read(file))
    except (OSError, SyntaxError, UnicodeError):
        return None
    node = surely_bound(source).get(name)
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or name in changed_names(source.tree, at_once=True):
        return None
    return node.value


def as_now(known: Iterable[tuple[str, str]]) -> list[Filled]:
    """These containers as they are by now, those also that hold nothing of the user's any more."""
    found = []
    for module, name in sorted(known):
        held: Any = sys.modules.get(module)
        for part in name.split("."):
            held = getattr(held, part, None)
        if type(held) in KINDS:
            found.append(Filled(module, name, held, is_whole=True))
    return found


# In the worker


def fill(found: Collection[tuple[str, str, Any, bool]]) -> list[Callable[[], object]]:
    """Have libraries' containers hold this, and their classes these members; gives what puts each back."""
    import importlib

    before: list[Callable[[], object]] = []
    for module, name, held, is_whole in found:
        *above, last = name.split(".")
        owner: Any = importlib.import_module(module)
        try:
            for part in above:
                owner = getattr(owner, part)
        except AttributeError as error:
            raise _not_there(f"{module}.{'.'.join(above)}") from error
        now: Any = getattr(owner, last, None) if not issubclass(type(owner), type) else vars(owner).get(last)
        if type(now) in KINDS:
            before.append(partial(refill, [(now, now.copy())]))
            refill([(now, held if is_whole else {**now, **held} if isinstance(now, dict) else held)])
        elif not is_whole:
            before += [_put_item(now, key, value) for key, value in held.items()]
        else:
            before.append(partial(setattr, owner, last, now) if _has(owner, last) else partial(delattr, owner, last))
            setattr(owner, last, held)
    return before


def _has(owner: Any, name: str) -> bool:
    return name in state_of(owner) if not issubclass(type(owner), type) else name in vars(owner)


def _not_there(name: str) -> CaptureError:
    return CaptureError(
        f"{name} is set up where this was submitted, and the library has none where it runs.",
        next_step="have the same release of the library in both places (`packages=`), or set it up in the function.",
    )


def _put_item(container: Any, key: Any, value: Any) -> Callable[[], object]:
    """Put an item into a mapping of a library's own class; gives what puts back the one before."""
    try:
        before = partial(container.__setitem__, key, container[key])
    except LookupError:
        before = partial(container.__delitem__, key)
    container[key] = value
    return before
