"""Classes and functions by name: where one comes from, how it is found again, and which of them a reader rebuilds.

A worker runs its submitter's own code, so it may look up and call what the arguments say. A reader of results may not:
its bytes were written by a UDF, perhaps a colleague's. It finds classes only where this process already has them or
in the packages listed here, makes them without calling their `__new__` or `__init__`, and calls nothing but what is on
the lists of this file. Bytes that could choose a callable could run anything.
"""

from __future__ import annotations

import copyreg
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType
from typing import Any, Literal
from weakref import ref

from fanfold import core

Origin = Literal["stdlib", "installed", "own"]

#: Packages of the field's vocabulary: reading a result may import these, and no others.
_IMPORTED_FOR_READING = frozenset(
    "affine attr attrs geopandas numpy pandas polars pyarrow pydantic pyproj rasterio scipy shapely sklearn "
    "xarray".split()
)

#: Standard classes and functions that only hold data. No other of the standard library is found for a reader.
_STANDARD = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple type "
    "memoryview abs len max min round sorted sum NoneType Ellipsis NotImplemented",
    "collections": "ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "enum": "Enum Flag IntEnum IntFlag StrEnum",
    "fractions": "Fraction",
    "functools": "partial",
    "ipaddress": "IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network",
    "pathlib": "PurePosixPath PureWindowsPath",
    "types": "GenericAlias MappingProxyType NoneType SimpleNamespace",
    "uuid": "UUID",
}
#: Functions of these only compute.
_COMPUTING = ("cmath", "math")
_STANDARD_NAMES = {(module, name) for module, names in _STANDARD.items() for name in names.split()}

#: What a reader calls: these make values of what they are given, and do nothing else.
_CALLED = {
    ("builtins", "bytearray"), ("builtins", "complex"), ("builtins", "frozenset"), ("builtins", "set"),
    ("builtins", "slice"), ("builtins", "range"),
    ("collections", "Counter"), ("collections", "OrderedDict"), ("collections", "defaultdict"),
    ("collections", "deque"), ("functools", "partial"),
    ("types", "SimpleNamespace"),
    ("numpy", "dtype"), ("numpy.random._pickle", "__generator_ctor"), ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._pickle", "__randomstate_ctor"), ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
}  # fmt: skip

#: Packages whose `__setstate__` only stores what it is given.
_SETS_STATE = ("numpy", "sklearn", "pydantic", "attr", "dataclasses")

#: Where the classes are of boto3's clients, resources and sessions.
OF_BOTO3 = frozenset({"botocore.client", "boto3.resources.factory", "boto3.session"})

#: Parts of a package that are programs or tests, which importing would start.
_PROGRAMS = ("test", "tests", "conftest", "setup")


class Definitions(ABC):
    """A job's own classes and functions, for a reader who trusts the job and has them no more."""

    @abstractmethod
    def find(self, module: str, qualname: str) -> Any:
        """What the job's code has at that name; None where it has nothing, or does not load here."""

    def __call__(self, tree: Any) -> Any:
        """Results name what is the user's own; only arguments refer to a part of the bundle by its number."""
        raise ValueError(f"a part of no bundle: {tree!r}")


#: Of what submissions of this process have captured, the classes that no name leads to, by the hash of the code.
_captured: dict[str, list[ref[type]]] = {}
_MOST_CAPTURED = 1_000


def is_bundled(made: type) -> bool:
    """Whether a class is the submitter's own, and none that a run has made."""
    return any(each is made for each in list(core.bundled.values()))


def local_name(made: type) -> str:
    """The name of a class within a function, and which it is where the submitter has several of that name.

    One that a run has made has none that its submitter knows.
    """
    same = [each for _, each in sorted(core.bundled.items()) if issubclass(type(each), type)]
    same = [each for each in dict.fromkeys(same) if _whole_name(each) == _whole_name(made)]
    if core.bundled and not any(each is made for each in same):
        return f"{made.__qualname__} of the run"
    return made.__qualname__ if len(same) <= 1 else f"{made.__qualname__} ({same.index(made) + 1})"


def _whole_name(made: Any) -> tuple[str, str]:
    return made.__module__, made.__qualname__


def remember_captured(code_hash: str, found: Iterable[Any]) -> None:
    """Have those who read this code's results in this process find the classes that no name leads to."""
    unnamed = [each for each in found if issubclass(type(each), type) and name_of(each) is None]
    if unnamed:
        while len(_captured) >= _MOST_CAPTURED:
            _captured.pop(next(iter(_captured)))
        _captured[code_hash] = [ref(each) for each in unnamed]


def captured(code_hash: str, module: str, qualname: str) -> type | None:
    """The class of that name that a submission of this code has captured here: see `local_name`."""
    name, _, which = qualname.partition(" (")
    held = [each() for each in _captured.get(code_hash, ())]
    found = [each for each in held if each is None or _whole_name(each) == (module, name)]
    if which:
        number = int(which.rstrip(")")) if which.rstrip(")").isdecimal() else 0
        return found[number - 1] if 0 < number <= len(found) and None not in found else None
    alive = [each for each in found if each is not None]
    return alive[0] if len(alive) == 1 else None


def origin(module: str) -> Origin:
    """Whether a module is the standard library's, an installed package's, or one of the user's own."""
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__"):
        return "own"
    if top in sys.stdlib_module_names:
        return "stdlib"
    if top == "fanfold":
        return "installed"
    found = sys.modules.get(module) or sys.modules.get(top)
    places = [getattr(found, "__file__", None) or "", *map(str, getattr(found, "__path__", ()))]
    return "installed" if any("site-packages" in place or "dist-packages" in place for place in places) else "own"


def lookup(module: str, qualname: str) -> Any:
    """What stands at that name in a module that is loaded, by its dictionaries alone, which runs no code; or None."""
    if qualname.endswith("]"):
        return _parametrised(lookup(module, qualname.partition("[")[0]), module, qualname)
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        try:
            found = vars(found).get(part)
        except TypeError:
            return None
    return found.__func__ if type(found) is staticmethod else found


def _parametrised(generic: Any, module: str, qualname: str) -> Any:
    """The class `Page[Item]`, where pydantic has made it of a generic one; else None."""
    below: list[type] = type.__subclasses__(generic) if isinstance(generic, type) else []
    found = [each for each in below if (each.__module__, each.__qualname__) == (module, qualname)]
    return found[0] if len(found) == 1 else None


#: Where all Pythons have what some of them have moved, or named anew.
OLDER_NAMES = {
    ("annotationlib", "ForwardRef"): ("typing", "ForwardRef"),
    ("enum", "EnumType"): ("enum", "EnumMeta"),
    ("re", "PatternError"): ("re", "error"),
    **{
        ("pathlib._local", f"{pure}{kind}Path"): ("pathlib", f"{pure}{kind}Path")
        for pure in ("", "Pure")
        for kind in ("", "Posix", "Windows")
    },
}


def name_of(thing: Any) -> tuple[str, str] | None:
    """The module and the name at which a class or function is found again; None where that gives something else."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    for module in (_home_of(thing), "builtins", "types", *_UFUNC_MODULES):
        if isinstance(module, str) and isinstance(name, str) and lookup(module, name) is thing:
            return OLDER_NAMES.get((module, name), (module, name))
    if isinstance(thing, type):  # a kind that goes by another name, as `mappingproxy` does
        return next((("types", alias) for alias, found in vars(types).items() if found is thing), None)
    return None


def _home_of(thing: Any) -> Any:
    """The module that a thing says it is of; the losses of sklearn 1.7 say only the last part of its name."""
    module = getattr(thing, "__module__", None)
    whole = "sklearn._loss._loss"
    return whole if module == "_loss" and lookup(whole, getattr(thing, "__qualname__", "")) is thing else module


#: ufuncs do not say which module they belong to.
_UFUNC_MODULES = ("numpy", "scipy.special")


def version_of(module: str) -> str | None:
    """The release of the package that a module belongs to, without its patch number; None where it does not say."""
    version = getattr(sys.modules.get(module.partition(".")[0]), "__version__", None)
    return ".".join(version.split(".")[:2]) if isinstance(version, str) else None


def can_be_made_new(kind: Any, args: Any, keywords: Any) -> bool:
    """Whether a class makes an object of these arguments: many want more than they say to pickle."""
    new = kind.__new__
    if not isinstance(new, FunctionType):
        return True
    from inspect import signature

    try:
        signature(new).bind(kind, *args, **keywords)
    except TypeError:
        return False
    return True


def is_code(value: Any) -> bool:
    """Whether the value of a member of an Enum is a function or a class, of which another copy is not equal to it."""
    return isinstance(value, type) or hasattr(value, "__get__")


def without_init(kind: type, made: Any) -> Any:
    """What makes a time zone or random numbers of the user's own bare: pickle would call a class that may want more."""
    says = {name: getattr(sys.modules.get(module), name, None) for module, name in _SAY_NOTHING}
    base = next((each for each in says.values() if each is not None and issubclass(kind, each)), None)
    is_one = base is not None and kind.__reduce__ is base.__reduce__
    if is_one and made[:2] == (kind, ()) and origin(kind.__module__) == "own":
        return (getattr(copyreg, "__newobj__"), (kind,), *made[2:])  # noqa: B009 - mangled otherwise
    return made


#: Classes of the standard library that say to pickle nothing of what an object was made of.
_SAY_NOTHING = (("datetime", "tzinfo"), ("random", "Random"))


def fields_of(kind: type) -> list[str] | None:
    """The names of the fields that a class declares, by which two classes of one name are told apart."""
    found: Any = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "_fields", None)
    if found is None:
        found = getattr(kind, "__pydantic_fields__", None)
    if found is None and isinstance(getattr(kind, "__attrs_attrs__", None), tuple):
        found = [attribute.name for attribute in kind.__attrs_attrs__]  # type: ignore[attr-defined]
    return list(found) if isinstance(found, (dict, tuple, list)) else None


def takes(kind: Any, args: list[Any], state: Any) -> bool:
    """Whether a class takes what an object of that name is made of: a dataclass is no pydantic model."""
    if not isinstance(kind, type):
        return False
    fields = fields_of(kind)
    if fields is not None and hasattr(kind, "_fields") and issubclass(kind, tuple):
        return len(args) == len(fields)
    new: Any = kind.__new__
    if args and new is object.__new__:
        return False
    attributes, slots = state[1:3] if state and state[0] == "both" else (state, None)
    names, of_slots = _names_of_state(attributes), _names_of_state(slots)
    if (
        fields is not None
        and ("__pydantic_fields_set__" in names) != hasattr(kind, "__pydantic_fields_set__")
        and names
    ):
        return False
    if hasattr(kind, "__setstate__"):
        return True
    has_room = kind.__dictoffset__ != 0 or not names
    return has_room and all(any(name in vars(each) for each in kind.__mro__) for name in of_slots)


def _names_of_state(state: Any) -> list[str]:
    return [name for name, _ in state[1]] if state and state[0] == "attributes" else []


def found_by_worker(module: str, qualname: str) -> Any:
    """What a worker has at that name, imported where need be. Raises `LookupError` saying what is missing."""
    from importlib import import_module

    try:
        found: Any = import_module(module)
        if qualname.endswith("]") and (made := lookup(module, qualname)) is not None:
            return made
        for part in qualname.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise LookupError(f"{error.name or module} is not installed where this runs") from error
    except AttributeError:
        raise LookupError(f"the module {module} has no {qualname} where this runs") from None
    return found


def found_by_reader(module: str, qualname: str) -> Any:
    """What a reader of results may use at that name. Raises `LookupError` saying why not."""
    _import_for_reading(module)
    found = lookup(module, qualname)
    if found is None:
        raise LookupError("this process has not imported it")
    where = origin(module)
    if where == "stdlib":
        if (module, qualname) in _STANDARD_NAMES or module in _COMPUTING or _is_plain_exception(found):
            return found
        raise LookupError("a reader rebuilds no such part of the standard library")
    if isinstance(found, type):
        # By its real module: what a module has merely imported is judged where it comes from.
        if (_home_of(found), found.__qualname__) != (module, qualname):
            raise LookupError("the name belongs to another class in this process")
        if hasattr(found, "__del__"):
            raise LookupError("its class has a `__del__`, which would run code when the value goes")
        return found
    return _function_for_reader(found, module, where)


def _function_for_reader(found: Any, module: str, where: Origin) -> Any:
    if type(found).__name__ == "ufunc" and type(found).__module__ == "numpy":
        return found
    if where == "own" and isinstance(found, FunctionType) and found.__module__ == module:
        return found
    if isinstance(found, (FunctionType, BuiltinFunctionType)) or callable(found):
        name = getattr(found, "__name__", "")
        if (module, name) in _CALLED or (module.startswith("sklearn.") and name == "newObj"):
            return found
    raise LookupError("a reader takes functions of its own modules only")


def _import_for_reading(module: str) -> None:
    if module in sys.modules or module.partition(".")[0] not in _IMPORTED_FOR_READING:
        return
    if any(part.startswith("__") or part in _PROGRAMS for part in module.split(".")):
        return
    from contextlib import suppress
    from importlib import import_module

    with suppress(ImportError):
        import_module(module)


def _is_plain_exception(found: Any) -> bool:
    """Whether a class is an exception made of nothing but exceptions."""
    return isinstance(found, type) and all(
        issubclass(ancestor, BaseException) for ancestor in found.__mro__ if ancestor is not object
    )


def may_call(called: Any, args: list[Any]) -> bool:
    """Whether a reader calls this with what the bytes say."""
    module, name = _home_of(called) or "", getattr(called, "__qualname__", "")
    if any(isinstance(each, range) for each in args) or (called is bytearray and type(args[0]) is not bytes):
        return False  # which would be gone through for ever, or fill the memory
    if called in (types.MappingProxyType, types.GenericAlias):
        return True
    if (module, name) in (("functools", "partial"), ("collections", "defaultdict")):
        return may_be_called_later(args[0] if args else None)
    if (module, name) in _CALLED:
        return not module.startswith("numpy.random") or all(map(_is_of_numpy_random, args))
    # The compiled parts of estimators, such as trees, whose constructors take sizes and arrays.
    if not module.startswith("sklearn."):
        return False
    return _is_compiled(called) or (name == "newObj" and all(_is_of_sklearn(each) for each in args))


def may_be_called_later(called: Any) -> bool:
    """Whether a value that a reader gets may hold this to call: nothing whose call would do more than compute."""
    return not isinstance(called, type) or origin(called.__module__) != "installed"


def _is_of_numpy_random(argument: Any) -> bool:
    kind = argument if isinstance(argument, type) else type(argument)
    return kind in (str, int, type(None), tuple) or kind.__module__.startswith("numpy.random.")


def _is_of_sklearn(argument: Any) -> bool:
    return isinstance(argument, type) and str(_home_of(argument)).startswith("sklearn.")


def _is_compiled(called: Any) -> bool:
    """Whether a class is one of sklearn's own that are written in C."""
    return _is_of_sklearn(called) and "__dict__" not in vars(called) and "__module__" not in vars(called)


def may_set_state(kind: type) -> bool:
    """Whether a reader lets the class's own `__setstate__` take what the bytes say."""
    if (kind.__module__, kind.__qualname__) in _CALLED:
        return True
    if origin(kind.__module__) == "own":
        return True
    owner = next((each for each in kind.__mro__ if "__setstate__" in vars(each)), None)
    if owner is None:
        return True
    made_by = getattr(vars(owner)["__setstate__"], "__globals__", {}).get("__name__", owner.__module__)
    return str(made_by).partition(".")[0] in _SETS_STATE
