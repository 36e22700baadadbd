"""How an executor pickles its calls: as cloudpickle does, and what a worker could not find under its name by value."""

from __future__ import annotations

import copyreg
import io
import sys
from collections.abc import Callable
from contextlib import _GeneratorContextManager
from contextvars import Context, ContextVar
from functools import cached_property, lru_cache, partialmethod
from inspect import signature
from logging import Logger, StreamHandler
from pathlib import Path
from pickle import PicklingError, whichmodule  # type: ignore[attr-defined]
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NewType
from weakref import WeakKeyDictionary, WeakValueDictionary

from fanfold.codec.classes import OF_BOTO3
from fanfold.codec.forgotten import forgets, forgotten
from fanfold.execution import parcel
from fanfold.execution.definitions import reduced_partial_method
from fanfold.source import type_makers
from fanfold.source.instances import OF_JINJA, OF_THREADS, is_unentered
from fanfold.source.libraries import jinja
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
        """Note a module; nothing else."""
        if type(obj) is ModuleType:
            self.modules.add(obj.__name__)

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

        Its `models` are what SQLAlchemy has mapped; `bundled` says how these are made, and what is beside them.

        With `new_locks` the reader has new locks and queues of the same kinds, as an imported module would.
        """
        if self._pickler is None:
            self._pickler = _pickler_class()
        with io.BytesIO() as file:
            pickler = self._pickler(file, protocol, buffer_callback, self.goes_by_value)
            pickler.notes, pickler.forced, pickler.new_locks = notes or Notes(), forced, new_locks
            pickler.models, pickler.bundled = list[Any](), {}
            pickler.dump(value)
            if not pickler.models:
                return file.getvalue()
        with io.BytesIO() as file:  # once more, with what it refers to of a bundle
            again = self._pickler(file, protocol, buffer_callback, self.goes_by_value)
            again.notes, again.forced, again.new_locks = Notes(), forced, new_locks
            again.models, again.bundled = [], _bundled(pickler.models, pickler.notes)
            again.dump(value)
            return file.getvalue()

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
    from cloudpickle.cloudpickle import _dynamic_class_reduce

    from fanfold.execution.definitions import pickler_class

    class Pickler(pickler_class()):  # type: ignore[misc]
        def __init__(self, file: Any, protocol: int, buffer_callback: Any, by_value: Callable[[Any], bool]) -> None:
            super().__init__(file, protocol=protocol, buffer_callback=buffer_callback)
            self._by_value = by_value

        def is_importable(self, module: str) -> bool:
            return not self._by_value(module)

        def reducer_override(self, obj: Any) -> Any:
            kind = type(obj)
            if id(obj) in self.bundled or _is_model(obj):
                self.models.append(obj)
                self.notes.modules.add("sqlalchemy")
                return self.bundled.get(id(obj), (len, ((),)))
            if kind is FunctionType or issubclass(kind, type):
                reduced = self._reduced_definition(obj)
                self.notes.note(obj, is_named=reduced is NotImplemented)
                return reduced
            if (reduced := _reduced(obj, self._by_value, new_locks=self.new_locks)) is not None:
                return reduced
            self.notes.note_module(obj)
            return super().reducer_override(obj)

        def _reduced_definition(self, obj: Any) -> Any:
            """How to make a function or a class; `NotImplemented` where it goes by name."""
            if id(obj) in self.forced and obj.__closure__ is None:
                parts = (obj.__name__, obj.__qualname__, obj.__defaults__, obj.__kwdefaults__, obj.__dict__)
                return parcel.function_of, (obj.__code__, obj.__module__, *parts)
            if not self._by_value(obj.__module__) and id(obj) not in self.forced:
                return _reduced_class_in_c(obj) or super().reducer_override(obj)
            is_class = isinstance(obj, type)
            return (
                self.reduced_class(obj, _dynamic_class_reduce(obj)) if is_class else self._dynamic_function_reduce(obj)
            )

    return Pickler


def _is_model(obj: Any) -> bool:
    """Whether SQLAlchemy has mapped something in a script, or it belongs to that."""
    if "sqlalchemy" not in sys.modules:
        return False
    from fanfold.source.libraries import mapped

    return mapped.apart(obj) is not None


def _bundled(models: list[Any], notes: Notes) -> dict[int, tuple[Any, ...]]:
    """How to make what SQLAlchemy has mapped, and the script's functions and classes beside it, by their ids.

    All of it is in one bundle, so that what they share is one and the same. Raises `CaptureError`.
    """
    from fanfold.source.capture import Captured
    from fanfold.source.libraries import mapped, mapped_apart

    captured = Captured(mapped.apart(models[0]))
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


_REMEMBERING = type(lru_cache(lambda: None))


def _reduced(obj: Any, by_value: Callable[[Any], bool], *, new_locks: bool) -> tuple[Any, ...] | None:
    """How to make what cloudpickle would not send, or would send as something else; None for all that it does well."""
    kind = type(obj)
    return _reduced_by_kind(obj, kind, by_value) or (_reduced_lock(obj, kind) if new_locks else None)


def _reduced_by_kind(obj: Any, kind: Any, by_value: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    if kind in _MAKERS:
        return _MAKERS[kind](obj)
    if (reduced := _reduced_by_base(obj, kind, by_value)) is not None:
        return reduced
    if kind is _REMEMBERING and not _has_a_name(obj, by_value):
        return _reduced_memory(obj)
    if kind is MethodType and _is_class_method(obj):
        return getattr, (obj.__self__, obj.__name__)
    if kind is NewType and not _has_a_name(obj, by_value):  # typing pickles it as a name, which a script has here alone
        return type_makers.called_in, (obj.__module__, kind, (obj.__qualname__, obj.__supertype__), {})
    _refuse_unmakeable(obj, kind)
    return None


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
    """How to make what numpy or a base in C sends without what it is marked with, and what is known by a name."""
    if kind.__module__ in OF_BOTO3:
        return _reduced_client(obj)
    if kind.__name__ in OF_JINJA and kind.__module__.startswith("jinja2."):
        return jinja.reduced(obj)
    if (kind.__module__, kind.__name__) == ("numpy", "ndarray") and not (obj.flags.writeable or obj.flags.forc):
        return parcel.read_only, (obj.copy(),)  # numpy itself says so of contiguous ones alone
    if forgets(kind) and obj.__dict__:
        made = obj.__reduce_ex__(4)
        maker, args, state, items, pairs = (*made, None, None, None)[:5] if type(made) is tuple else (None,) * 5
        if own := forgotten(obj, maker, state):
            return maker, args, (state, own), items, pairs, parcel.set_all
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
    return None if holder is None or _has_a_name(holder, by_value) else without_its_name(obj, kind)


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


def _reduced_variable(variable: ContextVar[Any]) -> tuple[Any, ...]:
    """A context variable with its default and what it holds here."""
    default: tuple[Any, ...] = ()
    if "default=" in repr(variable):
        default = (Context().run(variable.get),)
    try:
        return parcel.variable_of, (variable.name, default, (variable.get(),))
    except LookupError:
        return parcel.variable_of, (variable.name, default, ())


def _reduced_code(code: CodeType) -> tuple[Any, ...]:
    """Code with the name of its file, which a traceback shows and cloudpickle leaves out."""
    from cloudpickle.cloudpickle import _code_reduce

    return parcel.code_of, (code.co_filename, *_code_reduce(code))


def _reduced_client(client: Any) -> tuple[Any, ...]:
    """A client, a resource or a session of boto3: made anew. Raises `PicklingError` where it cannot be."""
    from fanfold.codec.aws_clients import NotAnew, made_anew, made_of

    try:
        return made_anew, made_of(client)
    except NotAnew as error:
        raise PicklingError(f"cannot pickle {type(client).__qualname__!r} object: it is one {error}") from None


def _reduced_container(container: Any) -> tuple[Any, ...]:
    return type(container), (dict(container),)


def _reduced_manager(manager: Any) -> tuple[Any, ...]:
    """What a function under `contextmanager` gives: made anew. Raises `PicklingError` for one that has been entered."""
    if not is_unentered(manager):
        raise PicklingError(f"cannot pickle {type(manager).__qualname__!r} object: it has been entered")
    return type(manager), (manager.func, manager.args, manager.kwds)


def _reduced_handler(handler: Any) -> tuple[Any, ...]:
    """A handler that prints, without its lock."""
    own = {name: value for name, value in vars(handler).items() if name in ("formatter", "level", "filters")}
    return parcel.handler_of, (handler.stream, own)


def _reduced_logger(logger: Any) -> tuple[Any, ...]:
    """A logger of that name, with its filters and the handlers that print."""
    printing = [h for h in logger.handlers if type(h) is StreamHandler and h.stream in (sys.stdout, sys.stderr)]
    return parcel.logger_of, (logger.name, logger.filters, printing)


#: How to make what pickle does not take.
_MAKERS: dict[Any, Callable[[Any], tuple[Any, ...]]] = {
    **dict.fromkeys((WeakKeyDictionary, WeakValueDictionary), _reduced_container),  # as `singledispatch` keeps one
    MappingProxyType: _reduced_container,
    CodeType: _reduced_code,
    ContextVar: _reduced_variable,
    StreamHandler: _reduced_handler,
    Logger: _reduced_logger,
    _GeneratorContextManager: _reduced_manager,
    partialmethod: reduced_partial_method,
    # It holds a lock before Python 3.12.
    cached_property: lambda made: (cached_property, (made.func,), {"attrname": made.attrname}),
}


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


def _is_class_method(method: MethodType) -> bool:
    """Whether it goes by its class's name: cloudpickle sends the function beneath, by value."""
    owner = method.__self__
    return isinstance(owner, type) and getattr(owner, method.__name__, None) == method


def _has_a_name(wrapper: Any, by_value: Callable[[Any], bool]) -> bool:
    """Whether a worker finds it under its own name."""
    module = wrapper.__module__
    if module == "__main__" or by_value(module):
        return False
    return getattr(sys.modules.get(module), getattr(wrapper, "__qualname__", ""), None) is wrapper


def _reduced_memory(wrapper: Any) -> tuple[Any, ...]:
    """A function that remembers: its wrapper is pickled as a name, which `__main__` has here alone."""
    attributes = {name: value for name, value in wrapper.__dict__.items() if name != "__wrapped__"}
    return parcel.remembering, (wrapper.__wrapped__, wrapper.cache_parameters(), attributes)
