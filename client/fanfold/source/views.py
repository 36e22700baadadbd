"""What shows another object: views, proxies and weak references, each of the very object that it shows.

What is written to one is seen in the other, where both travel.
"""

from __future__ import annotations

import gc
import operator
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

#: The views of a dict's parts, with the method that gives them.
OF_DICTS = {
    type(getattr(kind(), name)()): (kind, name) for kind in (dict, OrderedDict) for name in ("keys", "values", "items")
}


def _call(graph: Graph, maker: Any, *args: Any) -> list[Any]:
    from fanfold.source.instances import call  # which imports this

    return call(graph, maker, *args)


def shown(value: Any) -> Any:
    """The mapping that a view or a proxy keeps for itself."""
    return next(each for each in gc.get_referents(value) if each is not type(value))


def _view(graph: Graph, value: Any) -> Any:
    kind, name = OF_DICTS[type(value)]
    return _call(graph, getattr(kind, name), shown(value))


def _proxy(graph: Graph, value: Any) -> Any:
    return _call(graph, types.MappingProxyType, shown(value))


def _memory(graph: Graph, value: memoryview) -> Any:
    """Of the object itself where all of it is shown, as it is; else of a copy of what is shown."""
    whole = memoryview(value.obj)
    if all(getattr(value, name) == getattr(whole, name) for name in ("format", "shape", "strides", "readonly")):
        return _call(graph, memoryview, value.obj)
    if (part := _part_shown(value, whole)) is not None and (graph.knows(value.obj) or whole.nbytes <= _LARGE):
        node = _call(graph, operator.getitem, whole, part)
        return node if value.readonly == whole.readonly else _read_only(graph, node)
    items = value.tobytes()
    node = _call(graph, memoryview, items if value.readonly else bytearray(items))
    if value.format == "B" and value.ndim == 1:
        return node
    if len(value.format) > 1 or not items:
        raise graph.refuse(value, "a view of an odd format")
    cast = operator.methodcaller("cast", value.format, list(value.shape or ()))
    return ["call", {"of": graph.ref(cast), "args": [graph.number(node)]}]


#: Of a larger object, which nothing else has brought along, what is shown of it is copied.
_LARGE = 16 * 2**20


def _read_only(graph: Graph, node: list[Any]) -> Any:
    return ["call", {"of": graph.ref(operator.methodcaller("toreadonly")), "args": [graph.number(node)]}]


def _part_shown(value: memoryview, whole: memoryview) -> slice | None:
    """Which part of an object that can be written to a view shows; None where it shows it otherwise."""
    if whole.readonly or (value.format, value.ndim, whole.ndim) != (whole.format, 1, 1):
        return None
    if not len(value):
        return slice(0, 0)
    start = (_address(value) - _address(whole)) // value.itemsize
    step = (value.strides or (value.itemsize,))[0] // value.itemsize
    stop = start + step * len(value)
    return slice(start, None if stop < 0 else stop, step)


#: `PyBUF_FULL_RO`, and more room than a `Py_buffer` takes, in which the address comes first.
_ANY_BUFFER, _ROOM = 0x11C, 256


def _address(view: memoryview) -> int:
    import ctypes

    buffer = (ctypes.c_byte * _ROOM)()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), buffer, _ANY_BUFFER)
    try:
        return ctypes.c_void_p.from_buffer(buffer).value or 0
    finally:
        ctypes.pythonapi.PyBuffer_Release(buffer)


def _weak(graph: Graph, value: Any) -> Any:
    target = value()
    if target is None:
        raise graph.refuse(value, "a weak reference to what is gone")
    return _call(graph, type(value), target, *[each for each in [value.__callback__] if each is not None])


def _weak_method(graph: Graph, value: Any) -> Any:
    if value() is None:
        raise graph.refuse(value, "a weak reference to what is gone")
    return _call(graph, weakref.WeakMethod, value())


def _weak_proxy(graph: Graph, value: Any) -> Any:
    try:
        return _call(graph, weakref.proxy, target_of(value))
    except ReferenceError:
        raise graph.refuse(None, "a weak reference to what is gone") from None


def target_of(proxy: Any) -> Any:
    """What a weak proxy stands for: what any of its methods is bound to, for it has nothing of its own.

    Raises `ReferenceError` where that is gone.
    """
    return proxy.__mro__[0] if issubclass(proxy.__class__, type) else proxy.__reduce_ex__.__self__


def _weak_container(graph: Graph, value: Any) -> Any:
    return _call(graph, type(value), list(value) if "Set" in type(value).__name__ else dict(value))


#: How each kind travels.
MAKERS: dict[type, Callable[..., Any]] = {
    **dict.fromkeys(OF_DICTS, _view),
    types.MappingProxyType: _proxy,
    memoryview: _memory,
    weakref.ref: _weak,
    weakref.WeakMethod: _weak_method,
    **dict.fromkeys((weakref.ProxyType, weakref.CallableProxyType), _weak_proxy),
    **dict.fromkeys((weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary), _weak_container),
}
