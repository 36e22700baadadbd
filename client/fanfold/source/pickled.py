"""The last lane: classes that none of the others takes, as cloudpickle writes them, towards the worker only.

Functions, classes and modules that it is made of travel by the other lanes and are referred to, so that each stays one.
It needs the Python, and the versions of the packages, that wrote it: a bundle says so before it is loaded.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterator
from hashlib import sha256
from pickletools import genops
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from fanfold.codec.values import encode_json
from fanfold.core.processes import python_here
from fanfold.errors import CaptureError
from fanfold.source.modules import is_library

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

#: What cloudpickle would send as something similar: an open file as a copy in memory, a view as bytes.
_SIMILAR = (io.IOBase, memoryview)


def describe(graph: Graph, value: type, why: str = "") -> Any:
    """The node of a class that only pickle takes. Raises `CaptureError` where that takes it no more than the others."""
    parts: list[Any] = []
    sink = io.BytesIO()
    try:
        _pickler(graph, value, parts, sink).dump(value)
    except CaptureError:
        raise
    except RecursionError:
        raise
    except Exception as error:  # pickling runs the value's own code, which may raise anything
        error.with_traceback(None)  # our own lines, in a notebook
        raise graph.refuse(value, why) from error
    label = graph.label() or value.__qualname__
    graph.needs["Python", f"{label} (a class, pickled)"] = python_here()
    for each in (*value.__mro__[1:], type(value)):
        graph.note_version(each)
    graph.note_lane("pickle", label, f"a {type(value).__module__}.{type(value).__qualname__}", sink.tell())
    data = sink.getvalue()
    written = graph.number(
        ["value", encode_json(data, put_blob=graph.put_blob)], ["pickled", meaning(data, _addresses(value))]
    )
    return ["call", {"of": graph.ref(unpickled), "args": [written, graph.number(["list", parts])]}]


def _addresses(made: type) -> list[str]:
    return [str(id(each)) for each in made.__mro__]


def meaning(data: bytes, addresses: list[str]) -> str:
    """A hash of a pickle that the next process gives as well: pydantic writes addresses of classes into its schemas.

    These have 14 digits or 15, and so what stands before them, the lengths of texts and frames, is left out.
    """
    digest = sha256()
    for operation, argument, _ in genops(data):
        if operation.name == "FRAME":
            continue
        text = hex(argument) if type(argument) is int else repr(argument)
        for address in addresses:
            text = text.replace(address, "")
        kind = "a text" if isinstance(argument, str) else operation.name
        digest.update(f"{kind} {text}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def unpickled(data: bytes, parts: list[Any]) -> Any:
    """The value again, where the run is."""

    class ClassUnpickler(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            return parts[pid]

    # What a base does with each new class has been done already.
    hooks = [(c, name, vars(c)[name]) for c in _made_classes(parts) for name in _HOOKS if name in vars(c)]
    try:
        for made, name, _ in hooks:
            type.__setattr__(made, name, classmethod(_do_nothing))
        return ClassUnpickler(io.BytesIO(data)).load()  # towards the worker only: its submitter's own code
    finally:
        for made, name, hook in hooks:
            type.__setattr__(made, name, hook)


_HOOKS = ("__init_subclass__", "__pydantic_init_subclass__")


def _made_classes(parts: list[Any]) -> Iterator[type]:
    """The classes of the bundle among some, and above them."""
    for each in dict.fromkeys(c for part in parts if isinstance(part, type) for c in part.__mro__):
        loader = getattr(sys.modules.get(each.__module__), "__loader__", None)
        if type(loader).__module__ == "fanfold.source.load":
            yield each


def _do_nothing(_cls: type, /, **_: Any) -> None:
    """In the place of a hook that has done its work already."""


def _pickler(graph: Graph, root: type, parts: list[Any], sink: io.BytesIO) -> Any:
    import cloudpickle
    from cloudpickle.cloudpickle import _dynamic_class_reduce

    numbers: dict[int, int] = {}

    class ClassPickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> int | None:
            if isinstance(obj, _SIMILAR):
                raise graph.refuse(obj)
            if obj is root or not _is_referred_to(graph, obj):
                return None
            if id(obj) not in numbers:
                numbers[id(obj)] = len(parts)
                parts.append(graph.ref(obj))
            return numbers[id(obj)]

        def reducer_override(self, obj: Any) -> Any:
            if obj is not root:
                return super().reducer_override(obj)
            maker, (kind, name, bases, given, _, extra), *rest = _dynamic_class_reduce(obj)
            # Without a number of its own by which this process would know it again: the bytes are to stay the same.
            return (maker, (kind, name, bases, given, None, extra), *rest)

    return ClassPickler(sink, protocol=5)


def _is_referred_to(graph: Graph, obj: Any) -> bool:
    """Whether a part travels by another lane: what the graph has already, and code that is the user's."""
    kind = type(obj)
    if kind in (FunctionType, ModuleType) or isinstance(obj, type):
        name = obj.__name__ if kind is ModuleType else str(obj.__module__)
        return not (is_library(name) and isinstance(obj, type)) or graph.knows(obj)
    return kind not in (str, int, float, bool, bytes, tuple, type(None)) and graph.knows(obj)
