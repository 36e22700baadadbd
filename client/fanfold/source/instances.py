"""Values: by the codec where it has them exactly, by name where a library has them, and else taken apart.

An object that is taken apart is its class and its state, part by part, as `__reduce_ex__` tells them.
"""

from __future__ import annotations

import copyreg
import functools
import itertools
import operator
import sys
import types
from _thread import _local
from typing import TYPE_CHECKING, Any

from fanfold.codec import encode_json
from fanfold.codec.classes import OF_BOTO3, can_be_made_new, is_code, without_init
from fanfold.codec.counters import stands_at
from fanfold.codec.forgotten import forgotten
from fanfold.codec.registry import knows
from fanfold.codec.values import PutBlob
from fanfold.core.processes import python_here
from fanfold.errors import CaptureError, CodecError, FanfoldError
from fanfold.source.functions import by_name
from fanfold.source.libraries.by_holder import holder_of, without_its_name
from fanfold.source.modules import held_by, is_library, own_name
from fanfold.source.reducers import says_nothing

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

_ATOMS = frozenset({str, int, float, bool, type(None), bytes, complex})
#: Plain data that is deeper goes part by part.
_DEEPEST = 60
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})
#: Streams of the process that runs it.
_STREAMS = ("stdin", "stdout", "stderr")
_DESCRIPTORS = (
    types.MethodDescriptorType, types.WrapperDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
)  # fmt: skip


def describe(graph: Graph, value: Any) -> Any:
    """The node of a value. Raises `CaptureError` where it cannot travel."""
    kind = type(value)
    if "sqlalchemy" in sys.modules:
        from fanfold.source.libraries import mapped

        if (node := mapped.describe(graph, value)) is not None:
            return node
    return _described(graph, value, kind)


def _described(graph: Graph, value: Any, kind: type) -> Any:
    if kind in _CONTAINERS:
        module = _module_with(value) if kind is dict else None
        return _container(graph, value, kind) if module is None else call(graph, vars, module)
    if (special := _SPECIAL.get(kind) or _of_a_module(kind)) is not None:
        return special(graph, value)
    if value is ... or value is NotImplemented:
        return by_name(graph, "builtins", "Ellipsis" if value is ... else "NotImplemented")
    if knows(kind) and (text := encoded(value, graph.put_blob)) is not None:
        graph.note_lane("value", graph.label(), f"a {kind.__qualname__}", len(text))
        _require_package(graph, kind)
        return ["value", text] if _is_writeable(value, kind) else _read_only(graph, text)
    if stream := next((name for name in _STREAMS if getattr(sys, name, None) is value), None):
        return by_name(graph, "sys", stream)
    special = (
        _exception
        if issubclass(kind, BaseException)
        else _member
        if hasattr(kind, "_member_map_")
        else _of_array_or_frame
    )
    if kind.__module__ in OF_THREADS or issubclass(kind, _local):
        special = _made_anew
    return special(graph, value, kind) or _taken_apart(graph, value)


def describe_secret(graph: Graph, value: Any) -> tuple[Any, Any]:
    """The node of a secret, sealed, and what it means for the hash: its name. Raises `CaptureError`."""
    if graph.sealing is None:
        raise graph.refuse(value, "a secret travels with a job alone")
    from fanfold.codec.sealed import sealed_by
    from fanfold.core.cache_key import key_text

    with sealed_by(graph.sealing):
        text = encoded(value)
    if text is None:
        raise graph.refuse(value, "a secret of a class that is not pydantic's own goes as an argument")
    graph.note_lane("value", graph.label(), f"a {type(value).__qualname__}, sealed", len(text))
    return ["value", text], ["value", key_text(text)]


def _require_package(graph: Graph, kind: type) -> None:
    """Reading a value needs the package that it is of."""
    package = kind.__module__.partition(".")[0]
    if package not in sys.stdlib_module_names:
        graph.project.imports.add(package)


def _is_writeable(value: Any, kind: type) -> bool:
    return (kind.__module__, kind.__name__) != ("numpy", "ndarray") or value.flags.writeable


def _read_only(graph: Graph, text: str) -> list[Any]:
    """An array that nothing may be written to: the codec does not say so."""
    import numpy as np

    node = call(graph, np.asarray)
    node[1]["args"] = [graph.number(["value", text])]
    node[1]["calls"] = [["setflags", [[False]]]]
    return node


def encoded(value: Any, put_blob: PutBlob | None = None, name: str = "value") -> str | None:
    """The codec's text of a value; None where it knows none. Raises what `put_blob` does."""
    try:
        return encode_json(value, put_blob=put_blob, name=name, own=None)
    except CodecError:
        return None
    except (FanfoldError, OSError):  # of the last, `put_blob` is the only source
        raise
    except Exception:  # noqa: BLE001 - a proxy of the user's, which raises whatever it is asked
        return None


# Containers


def _module_with(namespace: dict[Any, Any]) -> Any:
    """The loaded module whose namespace a dict is: what of it is used travels by that."""
    name = namespace.get("__name__") if "__name__" in namespace else None
    module = sys.modules.get(name) if isinstance(name, str) else None
    return module if type(module) is types.ModuleType and vars(module) is namespace else None


def _container(graph: Graph, value: Any, kind: type) -> Any:
    parts: dict[int, tuple[Any, tuple[Any, ...]]] = {}
    if _is_plain(graph, value, (), parts):
        text = encoded(value, graph.put_blob)
        if text is not None:
            for part, steps in parts.values():
                if steps:
                    graph.remember_part(part, value, list(steps))
            graph.note_lane("value", graph.label(), f"a {kind.__qualname__}", len(text))
            return ["value", text]
    if kind is dict:
        items = list(value.items())
        return ["dict", [[graph.ref(k, "[a key]"), graph.ref(v, f"[{_short(k)}]")] for k, v in items]]
    if kind in (set, frozenset):
        return [kind.__name__, [graph.ref(each, " (a member)") for each in _ordered(value)]]
    return [kind.__name__, [graph.ref(each, f"[{n}]") for n, each in enumerate(value)]]


def _ordered(members: Any) -> list[Any]:
    """The members of a set in an order of their own, so that the code hash does not go by addresses."""

    def key(member: Any) -> tuple[str, str]:
        name = getattr(member, "__qualname__", None)
        return type(member).__qualname__, name if isinstance(name, str) else repr(member)

    try:
        return sorted(members, key=key)
    except Exception:  # noqa: BLE001 - the user's own `__repr__`
        return list(members)


def _short(key: Any) -> str:
    return repr(key) if type(key) in _ATOMS else f"a {type(key).__qualname__}"


def _is_plain(graph: Graph, value: Any, steps: tuple[Any, ...], parts: dict[int, Any]) -> bool:
    """Whether a container is nothing but plain data, each part of it held once; notes the parts that can be changed."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind not in _CONTAINERS or len(steps) > _DEEPEST:
        return False
    if kind in (list, dict, set):
        if id(value) in parts or (steps and graph.knows(value)):
            return False
        parts[id(value)] = (value, steps)
    if kind in (set, frozenset):
        return all(map(_is_frozen, value))
    items = value.items() if kind is dict else enumerate(value)
    if kind is dict and not all(type(k) in (str, int) for k in value):
        return all(_is_frozen(k) and _is_frozen(v) for k, v in items)
    return all(_is_plain(graph, v, (*steps, k), parts) for k, v in items if type(v) not in _ATOMS)


def _is_frozen(value: Any) -> bool:
    """Whether a value is plain data that cannot be changed."""
    kind = type(value)
    return kind in _ATOMS or (kind in (tuple, frozenset) and all(map(_is_frozen, value)))


# What Python itself makes


def call(graph: Graph, maker: Any, *args: Any, **kwargs: Any) -> list[Any]:
    """The node of what a call makes."""
    parts: dict[str, Any] = {"of": graph.ref(maker)}
    if args:
        parts["args"] = [graph.ref(each) for each in args]
    if kwargs:
        parts["kwargs"] = {name: graph.ref(each) for name, each in kwargs.items()}
    return ["call", parts]


def _builtin(graph: Graph, value: Any) -> Any:
    owner = getattr(value, "__self__", None)
    if known := own_name(value) or own_name(value, value.__name__):
        return by_name(graph, *known)
    if owner is None or isinstance(owner, types.ModuleType):
        module = value.__module__ or getattr(owner, "__name__", "builtins")
        return by_name(graph, module, held_by(value, module) or value.__qualname__)
    if name := held_by(value, type(owner).__module__):  # `random.random`, of an object that nobody sees
        return by_name(graph, type(owner).__module__, name)
    return call(graph, getattr, owner, value.__name__)


def _method(graph: Graph, value: types.MethodType) -> Any:
    if name := held_by(value, type(value.__self__).__module__):
        return by_name(graph, type(value.__self__).__module__, name)
    if isinstance(value.__self__, type) and (known := own_name(value)):
        return by_name(graph, *known)
    return call(graph, types.MethodType, value.__func__, value.__self__)


def _wrapped(graph: Graph, value: Any) -> Any:
    return call(graph, type(value), value.__func__)


def _property(graph: Graph, value: property) -> Any:
    return call(graph, property, value.fget, value.fset, value.fdel, value.__doc__)


def _extended_descriptor(graph: Graph, value: Any) -> Any:
    """What extends `property` or the like, with what it keeps beside the functions, without its own `__init__`."""
    from fanfold.codec.extended import descriptor_again

    base = next(each for each in (property, staticmethod, classmethod) if isinstance(value, each))
    given = (value.fget, value.fset, value.fdel, value.__doc__) if base is property else (value.__func__,)
    return call(graph, descriptor_again, type(value), base, given, dict(getattr(value, "__dict__", {})))


def _cached_property(graph: Graph, value: Any) -> Any:
    node = call(graph, functools.cached_property, value.func)
    node[1]["attributes"] = [["attrname", graph.ref(value.attrname)]]
    return node


def _partial_method(graph: Graph, value: Any) -> Any:
    return call(graph, functools.partialmethod, value.func, *value.args, **value.keywords)


def _descriptor(graph: Graph, value: Any) -> Any:
    return call(graph, getattr, value.__objclass__, value.__name__)


def _cached(graph: Graph, value: Any) -> Any:
    """A function behind `lru_cache`, with nothing in the cache yet."""
    if name := own_name(value):
        return by_name(graph, *name)
    given = value.cache_parameters()
    decorate = graph.number(call(graph, functools.lru_cache, **given))
    own = {k: v for k, v in vars(value).items() if k not in ("__wrapped__", "cache_parameters")}
    attributes = [[k, graph.ref(v, f".{k}")] for k, v in own.items()]
    return ["call", {"of": decorate, "args": [graph.ref(value.__wrapped__)], "attributes": attributes}]


def _context_variable(graph: Graph, value: Any) -> Any:
    if name := held_by(value, getattr(value, "__module__", "")):
        return by_name(graph, "contextvars", name)
    import contextvars

    unset = object()
    now = value.get(unset) if "default=" not in repr(value) else value.get()
    node = call(graph, contextvars.ContextVar, value.name)
    if "default=" in repr(value):
        node = call(graph, contextvars.ContextVar, value.name, default=contextvars.Context().run(value.get))
    if now is not unset:
        node[1]["calls"] = [["set", [graph.ref(now)]]]
    return node


def _counter(graph: Graph, value: Any) -> Any:
    """An `itertools.count`, where it stands."""
    given = stands_at(value)
    return _taken_apart(graph, value) if given is None else call(graph, itertools.count, *given)


def _code(graph: Graph, value: types.CodeType) -> Any:
    """What `compile` has made: only the same Python can run it."""
    import marshal

    graph.needs["Python", f"{graph.label() or value.co_filename} (compiled code)"] = python_here()
    return call(graph, marshal.loads, marshal.dumps(value))


#: Where the classes are of what threads of one process share.
OF_THREADS = frozenset({"_thread", "threading", "queue", "_queue", "concurrent.futures.thread"})


def _made_anew(graph: Graph, value: Any, kind: type) -> Any:
    """A lock, a queue or the like: a new one of the same kind. None for anything else."""
    from fanfold.source.locks import InUse, made_anew

    if held_by(value, kind.__module__):  # a library's own
        return None
    try:
        anew = made_anew(value)
    except InUse as error:
        raise graph.refuse(value, str(error)) from None
    if anew is None:
        return None
    graph.note_lane("object", graph.label(), f"a new {anew.module}.{anew.name}")
    is_own_class = issubclass(kind, _local) and kind is not _local
    maker = graph.ref(kind) if is_own_class else graph.number(by_name(graph, anew.module, anew.name))
    attributes = [[name, graph.ref(each, f".{name}")] for name, each in anew.attributes.items()]
    return ["call", {"of": maker, "args": [graph.ref(each) for each in anew.args], "attributes": attributes}]


def _special() -> dict[type, Any]:
    import contextvars

    from fanfold.source import views

    return {
        types.BuiltinFunctionType: _builtin, types.MethodType: _method, types.MethodWrapperType: _builtin_wrapper,
        staticmethod: _wrapped, classmethod: _wrapped, property: _property, functools.cached_property: _cached_property,
        **dict.fromkeys(_DESCRIPTORS, _descriptor), **views.MAKERS, functools.partialmethod: _partial_method,
        type(functools.lru_cache(len)): _cached, contextvars.ContextVar: _context_variable,
        types.CodeType: _code, itertools.count: _counter,
        super: lambda graph, value: call(graph, super, value.__thisclass__, value.__self__),
    }  # fmt: skip


def _of_boto3(graph: Graph, value: Any) -> Any:
    """A client, a resource or a session of boto3: made anew."""
    from fanfold.codec.aws_clients import NotAnew, made_anew, made_of

    try:
        parts = made_of(value)
    except NotAnew as error:
        raise graph.refuse(value, str(error)) from None
    graph.project.imports.add("boto3")
    graph.note_lane("object", graph.label(), f"a new {parts[0]} of boto3")
    return call(graph, made_anew, *parts)


def _manager(graph: Graph, value: Any) -> Any:
    """What a function under `contextmanager` gives, and decorates others with: made anew if nobody has entered it."""
    if not is_unentered(value):
        raise graph.refuse(value, "one that has been entered")
    return call(graph, type(value), value.func, value.args, value.kwds)


def is_unentered(manager: Any) -> bool:
    """Whether nothing of a context manager's generator has run yet."""
    from inspect import GEN_CREATED, getgeneratorstate

    return getgeneratorstate(manager.gen) == GEN_CREATED


#: Classes of Jinja that do not say to pickle what they are made of.
OF_JINJA = frozenset(
    "Template NativeTemplate Environment NativeEnvironment SandboxedEnvironment ImmutableSandboxedEnvironment".split()
)
#: Where decorators are of which pickle knows a name at most; wrapt's own module has another than it is found by.
_WRAPPING = {"_wrappers", "wrapt", "toolz", "cytoolz", "contextlib", "jinja2", "werkzeug"}


def _wrapper(graph: Graph, value: Any) -> Any:
    """A function under a decorator of wrapt or toolz: decorated anew."""
    kind = type(value)
    if known := _known_name(value, kind):
        return by_name(graph, *known)
    if kind.__name__ == "curry":
        return call(graph, kind, value.func, *value.args, **(value.keywords or {}))
    parts = (value.__wrapped__, value._self_wrapper, value._self_enabled)
    return ["call", {"of": graph.number(by_name(graph, "wrapt", kind.__name__)), "args": [*map(graph.ref, parts)]}]


def _local_proxy(graph: Graph, value: Any) -> Any:
    from fanfold.source.libraries import local_proxies

    return local_proxies.describe(graph, value)


def _of_jinja(graph: Graph, value: Any) -> Any:
    from fanfold.source.libraries import jinja

    return jinja.describe(graph, value)


_DECORATORS = {
    "FunctionWrapper": _wrapper, "curry": _wrapper, "_GeneratorContextManager": _manager, "LocalProxy": _local_proxy,
    **dict.fromkeys(OF_JINJA, _of_jinja),
}  # fmt: skip

#: Where the classes are of variables and names of types.
OF_TYPES = frozenset({"typing", "typing_extensions", "annotationlib"})


def _of_a_module(kind: type) -> Any:
    """How a logger, its handler, a client of boto3, a name of types or a compiled function goes; None for all else."""
    if type(kind.__module__) is not str:  # Cython's functions have a slot of that name on Python 3.10
        return _builtin if kind.__module__ is not None else _taken_apart
    if kind.__module__ in OF_BOTO3 or issubclass(kind, (property, staticmethod, classmethod)):
        return _of_boto3 if kind.__module__ in OF_BOTO3 else _extended_descriptor
    if kind.__name__ in _DECORATORS and kind.__module__.partition(".")[0] in _WRAPPING:
        return _DECORATORS[kind.__name__]
    if kind.__module__ in OF_TYPES:
        from fanfold.source import type_parts

        return type_parts.maker_of(kind)
    if kind.__module__.startswith("msgspec.") and kind.__name__ in ("Decoder", "Encoder"):
        return _coder
    logging = sys.modules.get("logging")
    return _of_logging if logging is not None and kind in (logging.Logger, logging.StreamHandler) else None


def _of_logging(graph: Graph, value: Any) -> Any:
    from fanfold.source.libraries import loggers

    is_logger = type(value).__name__ == "Logger"
    return (loggers.describe_logger if is_logger else loggers.describe_handler)(graph, value)


def _coder(graph: Graph, value: Any) -> Any:
    """A decoder or an encoder of msgspec's, of what it says that it was made of."""
    from fanfold.source.libraries.structs import made_of

    return call(graph, type(value), **made_of(value))


def _builtin_wrapper(graph: Graph, value: Any) -> Any:
    return call(graph, getattr, value.__self__, value.__name__)


_SPECIAL = _special()


# Objects taken apart


def _taken_apart(graph: Graph, value: Any) -> Any:
    kind = type(value)
    if known := _known_name(value, kind):
        return by_name(graph, *known)
    made = _reduced(graph, value)
    is_name = isinstance(made, str)
    if is_name and (known := own_name(value, made)):
        return by_name(graph, *known)
    if is_name or _is_held(graph, value, made):
        made = without_its_name(value, kind)
    maker, args, state, items, pairs = (*_bare(kind, made), None, None, None)[:5]
    if maker is copyreg.__newobj__ and not can_be_made_new(args[0], args[1:], {}):  # type: ignore[attr-defined]
        raise graph.refuse(value)
    if kind.__module__ != "builtins":
        _note_object(graph, value, None if is_name else (args, state))
    graph.note_lane("object", graph.label(), f"a {kind.__module__}.{kind.__qualname__}")
    parts: dict[str, Any] = {"of": graph.ref(maker), "args": [graph.ref(each) for each in args]}
    if state is not None:
        graph.note_state(kind)
        parts |= {"state": _state(graph, value, state), **_shared(value, kind, state)}
    if left_out := forgotten(value, maker, state):
        parts["attributes"] = [[name, graph.ref(each, f".{name}")] for name, each in left_out.items()]
    if items is not None:
        parts["items"] = [graph.ref(each, f"[{n}]") for n, each in enumerate(items)]
    if pairs is not None:
        parts["pairs"] = [[graph.ref(k), graph.ref(v, f"[{_short(k)}]")] for k, v in pairs]
    return ["call", parts]


def _is_held(graph: Graph, value: Any, made: Any) -> bool:
    """Whether a value would be looked for in a class that travels with what it holds."""
    holder = holder_of(value, made)
    return holder is not None and graph.nodes[graph.ref(holder)][:1] != ["import"]


def _note_object(graph: Graph, value: Any, kept: Any) -> None:
    """Note the class of an object. Raises `CaptureError` where `kept` is what a library keeps behind a lock."""
    from fanfold.source.locks import keeps_a_lock

    graph.note_object(value)
    if kept is not None and keeps_a_lock(type(value), kept):
        raise graph.refuse(value)


def _member(graph: Graph, value: Any, kind: type) -> Any:
    """A member of an Enum whose value is code, by its name: of another object of that code there is none."""
    return call(graph, operator.getitem, kind, value._name_) if is_code(value._value_) else None


def _exception(graph: Graph, value: BaseException, kind: type) -> Any:
    """An exception without its `__init__`, which may take other arguments than `args` says; None where it knows how."""
    owner = next(each for each in kind.__mro__ if {"__reduce__", "__reduce_ex__"} & vars(each).keys())
    if owner.__module__ != "builtins":
        return None
    from fanfold.codec.exceptions import own_fields
    from fanfold.codec.rebuild import exception_again

    fields = {name: item for name, item in own_fields(value) if item is not None}
    more = (fields, dict(vars(value)), value.__cause__, value.__suppress_context__)
    return call(graph, exception_again, kind, value.args, *more)


def _of_array_or_frame(graph: Graph, value: Any, kind: type) -> Any:
    """What extends an array or a frame, or a ufunc that `numpy.frompyfunc` has made; None for anything else."""
    if "numpy" not in sys.modules:
        return None
    from fanfold.codec.extended import frompyfunc, function_of, put_on, taken_apart

    if (apart := taken_apart(value, kind)) is not None:
        graph.note_lane("object", graph.label(), f"a {kind.__module__}.{kind.__qualname__}")
        return call(graph, put_on, kind, *apart)
    if kind.__name__ != "ufunc":
        return None
    given = None if own_name(value, value.__name__) else function_of(value)
    if given is None:
        return None
    *arguments, identity = given
    return call(graph, frompyfunc(), *arguments, **({} if identity is None else {"identity": identity}))


def _known_name(value: Any, kind: type) -> tuple[str, str] | None:
    """Module and name under which a library holds one of its own objects."""
    if is_library(kind.__module__):
        for where in dict.fromkeys((str(_asked(value, "__module__") or ""), kind.__module__)):
            if name := held_by(value, where):
                return where, name
    return None


def _bare(kind: type, made: tuple[Any, ...]) -> tuple[Any, ...]:
    """How an object is made: one of the user's bare, without its `__new__`, which has done its work here.

    A class that has one object would look for it, and another count one more.
    """
    makers = [each for each in kind.__mro__[:-1] if "__new__" in vars(each)]
    if not makers or made[:2] != (getattr(copyreg, "__newobj__"), (kind,)):  # noqa: B009 - mangled otherwise
        return made
    if any(is_library(str(each.__module__)) for each in makers):
        return made
    return (object.__new__, *made[1:])


def _shared(value: Any, kind: type, state: Any) -> dict[str, bool]:
    """That an object's attributes are a dict which something else may hold, as objects that share one state do."""
    is_its_own = type(state) is dict and state is getattr(value, "__dict__", None)
    return {"shared": True} if is_its_own and not is_library(str(kind.__module__)) else {}


def _state(graph: Graph, value: Any, state: Any) -> Any:
    if type(state) is dict:
        for name, each in state.items():
            graph.ref(each, f".{name}")
    ref = graph.ref(state)
    if is_library(str(type(value).__module__)):
        from fanfold.source.libraries.kept_hashes import leave_out

        leave_out(graph, value, state)
    return ref


def _asked(value: Any, attribute: str) -> Any:
    """An attribute of a value of the user's, None where it has none: a proxy may raise anything."""
    try:
        return getattr(value, attribute, None)
    except Exception:  # noqa: BLE001 - see above
        return None


def _reduced(graph: Graph, value: Any) -> Any:
    """What makes an object again, as its class says it to pickle and copy."""
    reducer = copyreg.dispatch_table.get(type(value))
    try:
        made = reducer(value) if reducer else value.__reduce_ex__(4)
    except CaptureError:
        raise
    except Exception as error:
        if sys.version_info < (3, 11) and type(error) is not RecursionError and says_nothing(type(value)):
            return without_its_name(value, type(value))  # whose `__getattr__` 3.10 has asked for a `__getstate__`
        error.with_traceback(None)  # our own lines, in a notebook
        raise graph.refuse(value) from error
    if not isinstance(made, (str, tuple)) or (isinstance(made, tuple) and len(made) < 2):
        raise graph.refuse(value)
    return without_init(type(value), made)
