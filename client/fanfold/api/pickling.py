"""How an executor pickles its calls: as cloudpickle does, and what a worker could not find under its name by value."""

from __future__ import annotations

import copyreg
import io
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from inspect import signature
from logging import Logger
from pathlib import Path
from pickle import PicklingError, whichmodule  # type: ignore[attr-defined]
from types import FunctionType, ModuleType
from typing import Any

from fanfold.codec.classes import OF_BOTO3
from fanfold.execution import anew, parcel
from fanfold.source.instances import OF_JINJA, OF_THREADS
from fanfold.source.libraries import jinja, local_proxies
from fanfold.source.libraries.by_holder import holder_of, without_its_name
from fanfold.source.modules import has_name, held_by


class Notes:
    """What a pickle refers to by name, and the functions and classes that are in it."""

    __slots__ = ("classes", "functions", "modules")

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.functions: list[FunctionType] = []
        self.classes: list[type] = []

    def note_module(self, obj: Any) -> None:
        """Note a module, and that of a logger; nothing else."""
        if type(obj) is ModuleType:
            self.modules.add(obj.__name__)
        elif type(obj) is Logger:
            self.modules.add("logging")

    def note(self, obj: Any, *, is_named: bool) -> None:
        """Note one function or class."""
        if is_named:
            self.modules.add(obj.__module__)
        elif isinstance(obj, type):
            self.classes.append(obj)
        else:
            self.functions.append(obj)


class Modules:
    """Pickles as cloudpickle does, and by value also what a worker could not import under its name."""

    def __init__(self) -> None:
        self._importable: dict[str, bool] = {}
        self._pickler: Any = None
        #: Modules whose files have another text by now than the one that was loaded.
        self.edited: set[str] = set()

    def dumps(
        self,
        value: Any,
        protocol: int = 5,
        buffer_callback: Any = None,
        *,
        notes: Notes | None = None,
        forced: frozenset[int] = frozenset(),
        new_locks: bool = False,
    ) -> bytes:
        """Pickle a value; `notes` notes what it refers to, `forced` are ids of functions that go by value.

        Its `models` are made by their statements; `bundled` says how, and what is beside them.

        With `new_locks` the reader has new locks and queues of the same kinds, as an imported module would.
        """
        if self._pickler is None:
            self._pickler = _pickler_class()
        try:
            return self._dumps(value, (protocol, buffer_callback), notes or Notes(), forced, new_locks=new_locks)
        except SystemExit as error:  # of the user's own __reduce__: this program is not to end for it
            raise PicklingError(f"cannot pickle {type(value).__qualname__!r} object: SystemExit: {error}") from error

    def _dumps(
        self, value: Any, way: tuple[int, Any], notes: Notes, forced: frozenset[int], *, new_locks: bool
    ) -> bytes:
        bundled: dict[int, tuple[Any, ...]] = {}
        while True:
            with io.BytesIO() as file:
                pickler = self._pickler(file, *way, self.goes_by_value)
                pickler.notes, pickler.forced, pickler.new_locks = Notes() if bundled else notes, forced, new_locks
                pickler.models, pickler.bundled = list[Any](), bundled
                pickler.dump(value)
                if bundled or not pickler.models:
                    return file.getvalue()
            bundled = _bundled(pickler.models, pickler.notes)  # once more, with what it refers to of a bundle

    def can_pickle(self, value: Any) -> bool:
        """Whether a value can be pickled."""
        try:
            self.dumps(value)
        except Exception:  # noqa: BLE001  the user's own __reduce__
            return False
        return True

    def goes_by_value(self, name: Any) -> bool:
        """Whether a worker would not find the module of that name where this process has it from."""
        if not isinstance(name, str) or name in ("__main__", "builtins"):
            return False  # cloudpickle knows these
        if name in self.edited:
            return True
        if name not in sys.modules:  # by now: one that is made by hand may be put there later
            return False
        known = self._importable.get(name)
        if known is None:
            known = self._importable[name] = _is_importable(name)
        return not known


def _pickler_class() -> Any:
    from cloudpickle import cloudpickle

    from fanfold.execution.definitions import pickler_class

    makers = cloudpickle, parcel  # what pickles call to make their objects: a function's has four of these

    class Pickler(pickler_class()):  # type: ignore[misc]
        def __init__(self, file: Any, protocol: int, buffer_callback: Any, by_value: Callable[[Any], bool]) -> None:
            super().__init__(file, protocol=protocol, buffer_callback=buffer_callback)
            self._by_value = by_value

        def is_importable(self, module: str) -> bool:
            return not self._by_value(module)

        def reducer_override(self, obj: Any) -> Any:
            kind = type(obj)
            if kind is FunctionType and _is_there(obj, makers) and not self._by_value(obj.__module__):
                self.notes.modules.add(obj.__module__)
                return NotImplemented
            if id(obj) in self.bundled or _root(obj, kind, self._by_value) is not None:
                self.models.append(obj)
                self.notes.modules.add(_library_of(kind))
                return self.bundled.get(id(obj), (len, ((),)))
            if kind is FunctionType or issubclass(kind, type):
                reduced = self._reduced_definition(obj)
                self.notes.note(obj, is_named=reduced is NotImplemented)
                return reduced
            self.notes.note_module(obj)
            reduced = _reduced(obj, self._by_value, new_locks=self.new_locks)
            return super().reducer_override(obj) if reduced is None else reduced

        def _reduced_definition(self, obj: Any) -> Any:
            """How to make a function or a class; `NotImplemented` where it goes by name."""
            if id(obj) in self.forced and obj.__closure__ is None:
                return _of_its_module(obj)
            if not self._by_value(obj.__module__) and id(obj) not in self.forced:
                return _reduced_class_in_c(obj) or super().reducer_override(obj)
            return _taken_apart(self, obj)

    return Pickler


def _of_its_module(function: Any) -> tuple[Any, ...]:
    """How to make a function that has its globals in a module which is imported where it arrives."""
    attributes = (function.__defaults__, function.__kwdefaults__, function.__dict__)
    parts = (function.__name__, function.__qualname__, *attributes)
    return parcel.function_of, (function.__code__, function.__module__, *parts)


def _taken_apart(pickler: Any, obj: Any) -> Any:
    """How to make a function or a class of its parts."""
    from cloudpickle.cloudpickle import _dynamic_class_reduce

    if isinstance(obj, type):
        return pickler.reduced_class(obj, _dynamic_class_reduce(obj))
    return pickler._dynamic_function_reduce(obj)


def _is_there(function: FunctionType, modules: Iterable[ModuleType]) -> bool:
    """Whether one of these modules has a function of its own under its name."""
    for module in modules:
        namespace = vars(module)
        if function.__globals__ is namespace:
            return namespace.get(function.__qualname__) is function and sys.modules.get(module.__name__) is module
    return False


def _root(obj: Any, kind: Any, by_value: Callable[[Any], bool]) -> Any:
    """The class by whose statement an object of a script's is made; None for what is made without one.

    That is what SQLAlchemy has mapped, or belongs to that, and a class of which a metaclass in C has read the body.
    """
    if issubclass(kind, type) and _needs_its_statement(kind) and not anew.has_a_name(obj, lambda n: not by_value(n)):
        return obj
    if "sqlalchemy" not in sys.modules:
        return None
    from fanfold.source.libraries import mapped

    return mapped.apart(obj)


@lru_cache(maxsize=256)
def _needs_its_statement(metaclass: Any) -> bool:
    """Whether classes of a metaclass are more than their members, as msgspec's structs: it is in C, and a library's.

    Of the standard library these are ctypes' structures and unions.
    """
    if metaclass.__module__ == "_ctypes":
        return metaclass.__name__ in ("PyCStructType", "UnionType")
    own = metaclass.__mro__[: metaclass.__mro__.index(type)]
    in_c = (each for each in own if "__new__" in vars(each) and type(vars(each)["__new__"]) is not staticmethod)
    return any(each.__module__.partition(".")[0] not in sys.stdlib_module_names for each in in_c)


def _library_of(kind: Any) -> str:
    """The library by which a class is made that goes by its statement."""
    owner = kind.__module__.partition(".")[0]
    return owner if issubclass(kind, type) and _needs_its_statement(kind) else "sqlalchemy"


def _bundled(models: list[Any], notes: Notes) -> dict[int, tuple[Any, ...]]:
    """How to make what goes by its statement, and the script's functions and classes beside it, by their ids.

    All of it is in one bundle, so that what they share is one and the same. Raises `CaptureError`.
    """
    from fanfold.source.capture import Captured
    from fanfold.source.libraries import mapped_apart

    captured = Captured(_root(models[0], type(models[0]), lambda _: True))
    main = vars(sys.modules["__main__"])
    beside = [each for each in notes.functions if each.__globals__ is main]
    beside_too = [each for each in notes.classes if each.__module__ == "__main__"]
    numbers: dict[int, int] = {}
    for each in [*models, *beside, *beside_too]:
        number = captured.reference(each)
        numbers[id(each)] = number if type(number) is int else number[0]
    data = captured.bundle.to_bytes()
    return {key: (mapped_apart.part_of, (data, number)) for key, number in numbers.items()}


def _reduced_class_in_c(obj: Any) -> tuple[Any, ...] | None:
    """A class in C in whose place somebody has put another, `datetime.date`: as `_datetime` has it. None for others."""
    if not isinstance(obj, type) or has_name(obj, obj.__module__, obj.__qualname__):
        return None
    module = f"_{obj.__module__}"
    name = held_by(obj, module)
    return None if name is None else (getattr, (sys.modules[module], name))


def _reduced(obj: Any, by_value: Callable[[Any], bool], *, new_locks: bool) -> tuple[Any, ...] | None:
    """How to make what cloudpickle would not send, or would send as something else; None for all that it does well."""
    kind = type(obj)
    if kind.__name__ == "LocalProxy" and kind.__module__ == "werkzeug.local":
        return _reduced_local_proxy(obj)
    return _reduced_by_kind(obj, kind, by_value) or (_reduced_lock(obj, kind) if new_locks else None)


def _reduced_by_kind(obj: Any, kind: Any, by_value: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    if (reduced := anew.reduced(obj, kind, lambda name: not by_value(name))) is not None:
        return (parcel.held_reference_of, *reduced[1:]) if reduced[0] is parcel.reference_of else reduced
    if (reduced := _reduced_by_base(obj, kind, by_value)) is not None:
        return reduced
    _refuse_unmakeable(obj, kind)
    return None


def _reduced_local_proxy(proxy: Any) -> tuple[Any, ...]:
    """Flask's `request` by its name. Raises `PicklingError` for one that no library holds."""
    if (known := local_proxies.name_of(proxy)) is None:
        raise PicklingError("cannot pickle 'LocalProxy' object: it stands for what is there where it is asked")
    return getattr, (sys.modules[known[0]], known[1])


def _reduced_module(module: ModuleType) -> tuple[Any, ...]:
    """A module that was made by hand: no file has it."""
    from cloudpickle.cloudpickle import dynamic_subimport

    return dynamic_subimport, (module.__name__, {k: v for k, v in vars(module).items() if k != "__builtins__"})


def _reduced_lock(obj: Any, kind: Any) -> tuple[Any, ...] | None:
    """How to make a new lock or queue of the same kind; None for anything else. Raises `PicklingError` for one in use.

    Raises it as well for what a library keeps behind a lock: that goes on in this process.
    """
    from fanfold.source.locks import InUse, keeps_a_lock, made_anew

    try:
        anew = made_anew(obj)
    except InUse as error:
        raise PicklingError(f"cannot pickle {kind.__qualname__!r} object: it is {error}") from None
    if anew is not None:
        maker = getattr(sys.modules[anew.module], anew.name) if kind.__module__ in OF_THREADS else kind
        return maker, anew.args, anew.attributes or None
    if keeps_a_lock(kind, getattr(obj, "__dict__", None)):
        raise PicklingError(f"cannot pickle {kind.__qualname__!r} object: what it does goes on in this process")
    return None


def _reduced_by_base(obj: Any, kind: Any, by_value: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    """How to make what boto3 or Jinja does not say how to make, what was made by hand, and what is known by a name."""
    if kind.__module__ in OF_BOTO3:
        return _reduced_client(obj)
    if kind.__name__ in OF_JINJA and kind.__module__.startswith("jinja2."):
        return jinja.reduced(obj)
    if kind is ModuleType and getattr(obj, "__spec__", None) is None and by_value(obj.__name__):
        return _reduced_module(obj)
    by_name = type(kind.__reduce__) is FunctionType and kind.__module__ != "typing"  # whose variables are made anew
    return _reduced_by_name(obj, kind, by_value) if by_name else None


def _reduced_by_name(obj: Any, kind: Any, by_value: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    """How to make what says a name that its reader would not find; None for all else."""
    made = obj.__reduce__()
    if type(made) is str:
        module = _home_of(obj, made)
        is_found = module != "__main__" and not by_value(module) and has_name(obj, module, made)
        return None if is_found else without_its_name(obj, kind)
    holder = holder_of(obj, made)
    return (
        None
        if holder is None or anew.has_a_name(holder, lambda name: not by_value(name))
        else without_its_name(obj, kind)
    )


def _home_of(obj: Any, name: str) -> str:
    """The module that pickle looks in for what says that name."""
    try:
        return str(whichmodule(obj, name))
    except PicklingError:  # since 3.14, where the module does not have it
        return "__main__"


def _refuse_unmakeable(obj: Any, kind: Any) -> None:
    """Raises `PicklingError` for what only its reader would find out about."""
    if kind.__module__ == "unittest.mock" and hasattr(obj, "mock_calls"):
        raise PicklingError(f"cannot pickle {kind.__qualname__!r} object: what it has noted would stay where it runs")
    if _cannot_be_made(kind):
        raise PicklingError(f"cannot pickle {kind.__qualname__!r} object: it does not say what it is made of")


def _reduced_client(client: Any) -> tuple[Any, ...]:
    """A client, a resource or a session of boto3: made anew. Raises `PicklingError` where it cannot be."""
    from fanfold.codec.aws_clients import NotAnew, made_anew, made_of

    try:
        return made_anew, made_of(client)
    except NotAnew as error:
        raise PicklingError(f"cannot pickle {type(client).__qualname__!r} object: it is one {error}") from None


@lru_cache(maxsize=1024)
def _cannot_be_made(kind: Any) -> bool:
    """Whether unpickling would call a class without what its `__new__` asks for: the worker would find out."""
    new = kind.__new__
    says = ("__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
    if not isinstance(new, FunctionType) or kind in copyreg.dispatch_table:
        return False
    if any(name in vars(base) for base in kind.__mro__ if base is not object for name in says):
        return False
    try:
        signature(new).bind(kind)
    except (TypeError, ValueError):
        return True
    return False


def _is_importable(name: str) -> bool:
    """Whether importing that name in a worker finds the file that this process has it from."""
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType):
        return True
    spec = getattr(module, "__spec__", None)
    if spec is None:  # the interpreter's own, or made by hand and put among the modules
        return name in sys.stdlib_module_names or name in ("__main__", "__mp_main__") or _found_file(name) is not None
    if not spec.has_location:  # built in, frozen
        return True
    file = getattr(module, "__file__", None)
    found = _found_file(name)
    return file is None or (found is not None and Path(found).resolve() == Path(file).resolve())


def _found_file(name: str) -> str | None:
    """The file that `import name` would execute in a new process with this one's path."""
    parent, _, _ = name.rpartition(".")
    if parent and not _is_importable(parent):
        return None
    above = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    for finder in sys.meta_path:  # also those of editable installs, which a worker has as well
        try:
            spec = finder.find_spec(name, above)
        except (ImportError, ValueError, AttributeError):
            continue
        if spec is not None:
            return spec.origin
    return None
