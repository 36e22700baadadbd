"""How to make again what pickle does not take, or takes for less than it is: in what is sent and in what comes back.

A worker imports this with its first result: nothing costly.
"""

from __future__ import annotations

import copyreg
import sys
import weakref
from collections.abc import Callable
from contextlib import _GeneratorContextManager
from contextvars import Context, ContextVar
from enum import Enum
from functools import cached_property, lru_cache, partialmethod
from pickle import PicklingError
from types import (
    ClassMethodDescriptorType,
    CodeType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
)
from typing import Any, NewType

from fanfold.execution import parcel
from fanfold.source.views import OF_DICTS, shown, target_of


def reduced(obj: Any, kind: Any, is_importable: Callable[[str], bool]) -> tuple[Any, ...] | None:
    """How to make one; None for all that pickle and cloudpickle do well."""
    if (maker := _MAKERS.get(kind)) is not None:
        return maker(obj)
    if (named := _NAMED.get(kind)) is not None:
        return None if has_a_name(obj, is_importable) else named(obj)
    if kind is MethodType:
        return _reduced_class_method(obj, is_importable)
    if isinstance(obj, Enum):
        return None if has_a_name(kind, is_importable) else _reduced_member(obj, kind)
    if isinstance(obj, BaseException):
        return _reduced_exception(obj, kind)
    of_module = _OF_MODULES.get((kind.__module__, kind.__name__))
    return _reduced_extended(obj, kind) if of_module is None else of_module(obj)


def has_a_name(obj: Any, is_importable: Callable[[str], bool]) -> bool:
    """Whether a reader finds it under its own name."""
    module = obj.__module__
    if module == "__main__" or not is_importable(module):
        return False
    found: Any = sys.modules.get(module)
    for name in str(getattr(obj, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found is obj


def _reduced_memory(wrapper: Any) -> tuple[Any, ...]:
    """A function that remembers: its wrapper is pickled as a name, which `__main__` has here alone."""
    attributes = {name: value for name, value in wrapper.__dict__.items() if name != "__wrapped__"}
    return parcel.remembering, (wrapper.__wrapped__, wrapper.cache_parameters(), attributes)


def _reduced_class_method(method: MethodType, is_importable: Callable[[str], bool]) -> tuple[Any, ...] | None:
    """By its class's name, for cloudpickle sends the function beneath, by value. None for any other method.

    A class that goes by value may hold its own method, and does not have it yet where that is made.
    """
    owner = method.__self__
    if not isinstance(owner, type) or not has_a_name(owner, is_importable):
        return None
    return (getattr, (owner, method.__name__)) if getattr(owner, method.__name__, None) == method else None


def _reduced_new_type(made: Any) -> tuple[Any, ...]:
    from fanfold.source import type_makers

    return type_makers.called_in, (made.__module__, NewType, (made.__qualname__, made.__supertype__), {})


def _reduced_member(member: Enum, kind: Any) -> tuple[Any, ...] | None:
    """A member by its name: by its value, a function or a NaN that has come along, its class would not find it."""
    is_python_s = getattr(kind.__reduce_ex__, "__module__", "") == "enum"
    is_one = is_python_s and kind._member_map_.get(member._name_) is member
    return (parcel.member_of, (kind, member._name_)) if is_one else None


def _reduced_exception(error: BaseException, kind: Any) -> tuple[Any, ...] | None:
    """An exception as it is, with its cause: its class's `__init__` may take something else than `args`, or change it.

    None where pickle makes it no differently, and where its class says how it is pickled.
    """
    if error.__cause__ is None and not error.__suppress_context__ and not _has_own_way(kind):
        return None
    owner = next(each for each in kind.__mro__ if {"__reduce__", "__reduce_ex__"} & vars(each).keys())
    if owner.__module__ != "builtins":
        return None
    from fanfold.codec.exceptions import exception_of, own_fields, set_state

    fields = {name: item for name, item in own_fields(error) if item is not None}
    state = (fields, dict(vars(error)), error.__cause__, error.__suppress_context__)
    of_group = {name: fields[name] for name in ("message", "exceptions") if name in fields}
    return exception_of, (kind, error.args, of_group), state, None, None, set_state


def _has_own_way(kind: Any) -> bool:
    """Whether a class of somebody's has a hand in how its exceptions are made."""
    own = kind.__mro__[: next(n for n, each in enumerate(kind.__mro__) if each.__module__ == "builtins")]
    return any("__init__" in vars(each) or "__new__" in vars(each) for each in own)


def _reduced_extended(obj: Any, kind: Any) -> tuple[Any, ...] | None:
    """How to make what extends a class of Python's own that leaves out what its objects have; None for others."""
    if kind.__reduce__ is object.__reduce__ and kind.__reduce_ex__ is object.__reduce_ex__:
        return None
    if not getattr(obj, "__dict__", None):
        return None
    from fanfold.codec.classes import without_init
    from fanfold.codec.forgotten import forgets, forgotten

    if not forgets(kind) or type(said := obj.__reduce_ex__(4)) is not tuple:
        return None
    maker, args, state, items, pairs = (*(made := without_init(kind, said)), None, None, None)[:5]
    if own := forgotten(obj, maker, state):
        return maker, args, (state, own), items, pairs, parcel.set_all
    return None if made is said else made


def _reduced_array(array: Any) -> tuple[Any, ...] | None:
    """An array that nothing may be written to: numpy itself says so of contiguous ones alone."""
    flags = array.flags
    return None if flags.writeable or flags.forc else (parcel.read_only, (array.copy(),))


def _reduced_view(view: Any) -> tuple[Any, ...]:
    """A view of a dict's keys, values or items, of that very dict."""
    kind, name = OF_DICTS[type(view)]
    return getattr(kind, name), (shown(view),)


def _reduced_proxy(proxy: Any) -> tuple[Any, ...]:
    """A view of a dict that cannot be written to, of that very dict; of a class's own it is a copy."""
    mapping = shown(proxy)
    is_plain = type(mapping) is dict and "__module__" not in mapping
    return MappingProxyType, (mapping if is_plain else dict(proxy),)


def _reduced_descriptor(descriptor: Any) -> tuple[Any, ...]:
    """A slot, or a method in C, as its class has it."""
    return parcel.descriptor_of, (descriptor.__objclass__, descriptor.__name__)


def _reduced_container(container: Any) -> tuple[Any, ...]:
    return type(container), (dict(container),)


def _reduced_weak_set(container: Any) -> tuple[Any, ...]:
    return type(container), (list(container),)


def _reduced_reference(reference: Any) -> tuple[Any, ...]:
    """A weak reference to the very object, or to one that is gone as well."""
    target, callback = reference(), () if reference.__callback__ is None else (reference.__callback__,)
    return parcel.reference_of, ((type(reference), target, *callback) if target is not None else ())


def _reduced_weak_method(reference: Any) -> tuple[Any, ...]:
    """By its name: a copy of its function, which nobody holds, would be gone at once."""
    target = reference()
    if target is None:
        return parcel.reference_of, ()
    return parcel.reference_of, (parcel.weak_method_of, target.__self__, target.__name__)


def _reduced_weak_proxy(proxy: Any) -> tuple[Any, ...]:
    try:
        return parcel.reference_of, (weakref.proxy, target_of(proxy))
    except ReferenceError:  # what it stands for is gone
        return parcel.gone_proxy, (type(proxy) is weakref.CallableProxyType,)


def _reduced_code(code: CodeType) -> tuple[Any, ...]:
    """Code with the name of its file, which a traceback shows and cloudpickle leaves out."""
    from cloudpickle.cloudpickle import _code_reduce

    return parcel.code_of, (code.co_filename, *_code_reduce(code))


def _reduced_variable(variable: ContextVar[Any]) -> tuple[Any, ...]:
    """A context variable with its default and what it holds here."""
    default: tuple[Any, ...] = ()
    if "default=" in repr(variable):
        default = (Context().run(variable.get),)
    try:
        return parcel.variable_of, (variable.name, default, (variable.get(),))
    except LookupError:
        return parcel.variable_of, (variable.name, default, ())


def _reduced_manager(manager: Any) -> tuple[Any, ...]:
    """What a function under `contextmanager` gives: made anew. Raises `PicklingError` for one that has been entered."""
    from fanfold.source.instances import is_unentered

    if not is_unentered(manager):
        raise PicklingError(f"cannot pickle {type(manager).__qualname__!r} object: it has been entered")
    return type(manager), (manager.func, manager.args, manager.kwds)


def _reduced_handler(handler: Any) -> tuple[Any, ...]:
    """A handler that prints, without its lock."""
    own = {name: value for name, value in vars(handler).items() if name in ("formatter", "level", "filters")}
    return parcel.handler_of, (handler.stream, own)


def _reduced_logger(logger: Any) -> tuple[Any, ...]:
    """A logger of that name, with its filters and the handlers that print."""
    from logging import StreamHandler

    printing = [h for h in logger.handlers if type(h) is StreamHandler and h.stream in (sys.stdout, sys.stderr)]
    return parcel.logger_of, (logger.name, logger.filters, printing)


def _reduced_validated(wrapper: Any) -> tuple[Any, ...] | None:
    """What `pydantic.validate_call` puts around a function, without all the names of its module, which it keeps.

    None for one that has not looked at its function yet.
    """
    kind = type(wrapper)
    if not wrapper.__pydantic_complete__:
        return None
    kept = {name: getattr(wrapper, name) for name in kind.__slots__ if name != "ns_resolver"}
    return getattr(copyreg, "__newobj__"), (kind,), (None, kept)  # noqa: B009 - mangled otherwise


def _reduced_config(config: Any) -> tuple[Any, ...]:
    """pydantic's settings of a function or a class: while one is empty it asks itself without end for what it has."""
    return type(config), (config.config_dict,)


def _reduced_type_of_c(made: Any) -> tuple[Any, ...] | None:
    """An array or a pointer of ctypes: the one class that it keeps for it."""
    from fanfold.source.libraries.types_of_c import made_of

    return made_of(made)


def _reduced_coder(coder: Any) -> tuple[Any, ...]:
    """A decoder or an encoder of msgspec's, which says what it was made of."""
    from fanfold.source.libraries.structs import made_of

    return parcel.call_with, (type(coder), (), made_of(coder))


def reduced_partial_method(method: Any) -> tuple[Any, ...]:
    """How to make a method with some arguments, which asks for more than its state since 3.14."""
    return parcel.call_with, (partialmethod, (method.func, *method.args), method.keywords)


#: How to make what pickle does not take.
_MAKERS: dict[Any, Callable[[Any], tuple[Any, ...]]] = {
    # As `singledispatch` keeps one.
    **dict.fromkeys((weakref.WeakKeyDictionary, weakref.WeakValueDictionary), _reduced_container),
    weakref.WeakSet: _reduced_weak_set,
    weakref.ref: _reduced_reference,
    weakref.WeakMethod: _reduced_weak_method,
    **dict.fromkeys((weakref.ProxyType, weakref.CallableProxyType), _reduced_weak_proxy),
    MappingProxyType: _reduced_proxy,
    **dict.fromkeys(OF_DICTS, _reduced_view),
    **dict.fromkeys((GetSetDescriptorType, MemberDescriptorType, ClassMethodDescriptorType), _reduced_descriptor),
    CodeType: _reduced_code,
    ContextVar: _reduced_variable,
    _GeneratorContextManager: _reduced_manager,
    super: lambda made: (super, (made.__thisclass__, made.__self__)),
    partialmethod: reduced_partial_method,
    # It holds a lock before Python 3.12.
    cached_property: lambda made: (cached_property, (made.func,), {"attrname": made.attrname}),
}
#: The same for what goes by its name where its reader has it.
_NAMED: dict[Any, Callable[[Any], tuple[Any, ...]]] = {
    type(lru_cache(lambda: None)): _reduced_memory,
    NewType: _reduced_new_type,  # typing pickles it as a name, which a script has here alone
}
#: The same for classes of modules that nobody may have imported.
_OF_MODULES: dict[tuple[str, str], Callable[[Any], tuple[Any, ...] | None]] = {
    **dict.fromkeys((("_ctypes", "PyCArrayType"), ("_ctypes", "PyCPointerType")), _reduced_type_of_c),
    **{(f"msgspec.{way}", name): _reduced_coder for way in ("json", "msgpack") for name in ("Decoder", "Encoder")},
    ("numpy", "ndarray"): _reduced_array,
    ("logging", "StreamHandler"): _reduced_handler,
    ("logging", "Logger"): _reduced_logger,
    ("pydantic._internal._config", "ConfigWrapper"): _reduced_config,
    ("pydantic._internal._validate_call", "ValidateCallWrapper"): _reduced_validated,
}
