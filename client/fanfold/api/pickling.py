"""How an executor pickles its calls: as cloudpickle does, and what a worker could not find under its name by value."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from fanfold.execution import parcel


class Modules:
    """Pickles as cloudpickle does, and by value also what a worker could not import under its name."""

    def __init__(self) -> None:
        self._importable: dict[str, bool] = {}
        self._pickler: Any = None

    def dumps(self, value: Any, protocol: int = 5, buffer_callback: Any = None) -> bytes:
        """Pickle a value."""
        if self._pickler is None:
            self._pickler = _pickler_class()
        with io.BytesIO() as file:
            self._pickler(file, protocol, buffer_callback, self.goes_by_value).dump(value)
            return file.getvalue()

    def goes_by_value(self, name: Any) -> bool:
        """Whether a worker would not find the module of that name where this process has it from."""
        if not isinstance(name, str) or name in ("__main__", "builtins"):
            return False  # cloudpickle knows these
        known = self._importable.get(name)
        if known is None:
            known = self._importable[name] = _is_importable(name)
        return not known


def _pickler_class() -> Any:
    import cloudpickle
    from cloudpickle.cloudpickle import _code_reduce, _dynamic_class_reduce

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self, file: Any, protocol: int, buffer_callback: Any, by_value: Callable[[Any], bool]) -> None:
            super().__init__(file, protocol=protocol, buffer_callback=buffer_callback)
            self._by_value = by_value

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, FunctionType) and self._by_value(obj.__module__):
                return self._dynamic_function_reduce(obj)
            if isinstance(obj, type) and self._by_value(obj.__module__):
                return _dynamic_class_reduce(obj)
            if isinstance(obj, CodeType):  # cloudpickle leaves its file out, which a traceback shows
                return parcel.code_of, (obj.co_filename, *_code_reduce(obj))
            reduced = _reduced(obj, self._by_value)
            return super().reducer_override(obj) if reduced is None else reduced

    return Pickler


_REMEMBERING = type(lru_cache(lambda: None))


def _reduced(obj: Any, by_value: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    """How to make what cloudpickle would not send, or would send as something else; None for all that it does well."""
    kind = type(obj)
    if kind is _REMEMBERING and not _has_a_name(obj, by_value):
        return _reduced_memory(obj)
    if kind is WeakKeyDictionary or kind is WeakValueDictionary:  # as `singledispatch` keeps one
        return kind, (dict(obj),)
    if kind is MethodType and _is_class_method(obj):
        return getattr, (obj.__self__, obj.__name__)
    return None


def _is_importable(name: str) -> bool:
    """Whether importing that name in a worker finds the file that this process has it from."""
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType):
        return True
    spec = getattr(module, "__spec__", None)
    if spec is None or not spec.has_location:  # built in, frozen, or made by hand, which cloudpickle sees
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
    return getattr(sys.modules.get(module), wrapper.__qualname__, None) is wrapper


def _reduced_memory(wrapper: Any) -> tuple[Any, ...]:
    """A function that remembers: its wrapper is pickled as a name, which `__main__` has here alone."""
    attributes = {name: value for name, value in wrapper.__dict__.items() if name != "__wrapped__"}
    return parcel.remembering, (wrapper.__wrapped__, wrapper.cache_parameters(), attributes)
