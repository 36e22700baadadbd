"""Objects taken apart: what no tag knows, as its class and its state, part by part.

A value in which some object has to be taken apart is written as a graph, `{"$graph":[node,...]}`: node 0 is the value,
and a part that stands in several places, or within itself, is one node that others refer to, so that aliases and cycles
survive. Classes and functions go by name where a package defines them; of the user's own, `own` says how they travel.
What an object is made of is what it says of itself (`__reduce_ex__`), which works between versions of Python.
"""

from __future__ import annotations

import copyreg
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from types import BuiltinFunctionType, FunctionType, GenericAlias, MappingProxyType, MethodType, ModuleType
from typing import Any

from fanfold.codec.classes import (
    OF_BOTO3,
    can_be_made_new,
    fields_of,
    is_bundled,
    is_code,
    local_name,
    lookup,
    name_of,
    origin,
    version_of,
    without_init,
)
from fanfold.codec.counters import stands_at
from fanfold.codec.encoded import NEVER_ENCODED, cannot_take_apart, place_of, refuse
from fanfold.codec.forgotten import forgotten, object_again
from fanfold.codec.handles import noted_paths
from fanfold.codec.registry import is_secret
from fanfold.codec.values import Own, PutPart, Tagger, sort_key
from fanfold.errors import CodecError

#: A place within the value: the place around it and the step from there. None is the whole.
_Place = tuple[Any, Any] | None

_SCALARS = frozenset({str, int, float, bool, type(None)})
_CONTAINERS = frozenset({list, tuple, set, frozenset, dict})
#: Classes that a codec has, and of which what extends them is written as well.
_EXTENDED = ("numpy.ndarray", "pandas.DataFrame", "pandas.Series")
#: Whose class is of a package's that has an exact codec, but which are something else than that takes.
_NOT_APART = ("pandas.DataFrame", "pandas.Series", "pandas.Index", *NEVER_ENCODED)


def named(thing: Any) -> Any:
    """How the user's own classes and functions travel by default: by name, where the name really gives them."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if isinstance(module, str) and lookup(module, name) is thing:
        return ["own", module, name, fields_of(thing) if isinstance(thing, type) else None]
    return None


def named_loosely(thing: Any) -> Any:
    """The same for a result, whose reader looks for the name among its own and does without where it is not there."""
    if isinstance(thing, type) and isinstance(thing.__module__, str):
        name = local_name(thing) if "<locals>" in thing.__qualname__ else thing.__qualname__
        return ["own", thing.__module__, name, fields_of(thing)]
    return named(thing)


_NAMED = {"named": named, "loosely": named_loosely}


def write_graph(value: Any, put_part: PutPart, name: str, own: Own) -> Any:
    """The tree of a value in which some object has to be taken apart.

    Raises `CodecError` naming the part that cannot be, and where it is.
    """
    return _Graph(put_part, name, own).tree(value)


class _Graph:
    """Nodes in the making. They are described one after another, not one within another: depth costs no stack."""

    def __init__(self, put_part: PutPart, name: str, own: Own) -> None:
        self.name = name
        self.own = own
        self._put_part = put_part
        self._nodes: list[Any] = []
        self._numbers: dict[int, int] = {}
        #: What is taken apart stays alive, or its `id` might be given to another object.
        self._alive: list[Any] = []
        self._waiting: deque[tuple[int, Any, _Place]] = deque()

    def tree(self, value: Any) -> Any:
        root = self.ref(value, None)
        while self._waiting:
            number, part, place = self._waiting.popleft()
            self._nodes[number] = _describe(part, _Parts(self, place))
        # No other node leads to these: they are there to be seen (`codec.paths`).
        self._nodes += [["value", {"$path": path}] for path in noted_paths(self._alive, self._nodes)]
        return {"$graph": self._nodes or [["value", root]]}

    def ref(self, value: Any, place: _Place) -> Any:
        """What stands for a part: itself if it is a scalar, its tag if it is one value, else its node's number."""
        kind = type(value)
        if kind in _SCALARS:
            return self.leaf(value, place)
        if id(value) not in self._numbers and kind not in _CONTAINERS and not issubclass(kind, BaseException):
            tree = self._tag(value, place)
            if tree is not None:
                if not _is_shared(kind):
                    return tree
                self._alive.append(value)
                self._numbers[id(value)] = len(self._nodes)
                self._nodes.append(["value", tree])
        return {"$ref": self._number(value, place)}

    def leaf(self, value: Any, place: _Place) -> Any:
        return _LeafTagger(self, self._put_part, place).tree(value)

    def _tag(self, value: Any, place: _Place) -> Any:
        try:
            return self.leaf(value, place)
        except Untagged:
            return None

    def _number(self, value: Any, place: _Place) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._nodes)
            self._nodes.append(None)
            self._alive.append(value)
            self._waiting.append((number, value, place))
        return number

    def where(self, place: _Place) -> str:
        """A place as Python would write it."""
        steps = []
        while place is not None:
            place, step = place
            steps.append(step)
        return self.name + "".join(
            step.text if isinstance(step, _Attribute) else f"[{step!r}]".replace("'", '"') for step in reversed(steps)
        )

    def standalone(self, value: Any, place: _Place) -> str:
        """A member's own text, which orders the members of a set whatever order they came in."""
        return sort_key(_Graph(lambda encoded: encoded.codec, self.where(place), self.own).tree(value))


class _Attribute:
    """The step to an attribute."""

    def __init__(self, name: str) -> None:
        self.text = f".{name}"


class Untagged(Exception):
    """No tag knows the value."""


class _LeafTagger(Tagger):
    """Writes one value that a codec knows; an object within it becomes a graph of its own."""

    __slots__ = ("_graph", "_place")

    def __init__(self, graph: _Graph, put_part: PutPart, place: _Place) -> None:
        super().__init__(put_part, "", careful=True)
        self._graph = graph
        self._place = place

    @property
    def where(self) -> str:
        return self._graph.where(self._place) + super().where

    def unknown(self, value: Any) -> Any:
        if not self._path:
            raise Untagged
        return write_graph(value, self.put_part, self.where, self._graph.own)


def _is_shared(kind: type) -> bool:
    """Whether two places that hold one such value see each other's changes."""
    from fanfold.codec.registry import is_bulk

    return is_bulk(kind) or kind is bytearray


class _Parts:
    """What a description needs of the graph, at its own place."""

    def __init__(self, graph: _Graph, place: _Place) -> None:
        self._graph = graph
        self._place = place

    def at(self, step: Any, value: Any) -> Any:
        return self._graph.ref(value, (self._place, step))

    def each(self, values: Any) -> list[Any]:
        return [self.at(index, value) for index, value in enumerate(values)]

    def pairs(self, items: Any) -> list[Any]:
        return [[self.at(key, key), self.at(key, item)] for key, item in items]

    def attribute(self, name: str, value: Any) -> Any:
        return self.at(_Attribute(name), value)

    def same(self, value: Any) -> Any:
        """A part that stands at the same place as the whole: a class, arguments."""
        return self._graph.ref(value, self._place)

    def members(self, values: Any) -> list[Any]:
        ordered = sorted(values, key=lambda member: self._graph.standalone(member, self._place))
        return [self.same(member) for member in ordered]

    @property
    def takes_source(self) -> bool:
        """Whether what has no name may travel with the UDF's own code: a lambda that a library has made."""
        return not isinstance(self._graph.own, str)

    def own(self, thing: Any) -> Any:
        own = self._graph.own
        return _NAMED[own](thing) if isinstance(own, str) else own(thing)

    @property
    def where(self) -> str:
        """The place in words; for errors only, as it takes time that grows with the depth."""
        return self._graph.where(self._place)


def _describe(value: Any, parts: _Parts) -> list[Any]:
    """One node: its kind, and what it is made of."""
    kind = type(value)
    describe = _BY_CLASS.get(kind)
    if describe is not None:
        return describe(value, parts)
    if issubclass(kind, type) or kind.__name__ == "ufunc":
        return _by_name(value, parts) if issubclass(kind, type) else _ufunc(value, parts)
    if isinstance(value, BaseException):
        return _exception(value, parts)
    if "enum" in sys.modules and isinstance(value, sys.modules["enum"].Enum):
        member = value._name_ if kind.__members__.get(value._name_) is value else None
        says = member if member and is_code(value._value_) else value._value_
        return ["enum", parts.same(kind), member, parts.attribute("value", says)]
    if is_secret(value):
        from fanfold.codec.sealed import tag_state

        return ["sealed", parts.same(kind), tag_state(value, parts.where)]
    return _reduced(value, kind, parts)


def _by_name(value: Any, parts: _Parts) -> list[Any]:
    of = getattr(value, "__self__", None)
    if isinstance(value, BuiltinFunctionType) and of is not None and not isinstance(of, ModuleType):
        return ["method", parts.attribute("__self__", of), value.__name__]
    found = name_of(value)
    module = found[0] if found else getattr(value, "__module__", None) or ""
    is_own = origin(module) == "own" or (found is None and isinstance(value, type) and is_bundled(value))
    if is_own or (found is None and parts.takes_source):
        tree = parts.own(value)
        if tree is None:
            raise cannot_take_apart(value, parts.where)
        if isinstance(tree, list) and tree[:1] == ["own"]:
            return tree
        return ["source", tree, module, getattr(value, "__qualname__", "")]  # the name is for those who have it too
    if found is None:
        raise cannot_take_apart(value, parts.where)
    return ["name", *found, version_of(module)]


def _ufunc(value: Any, parts: _Parts) -> list[Any]:
    from fanfold.codec.extended import frompyfunc, function_of

    given = None if name_of(value) else function_of(value)
    if given is None:
        return _by_name(value, parts)
    *arguments, identity = given
    made: Any = frompyfunc() if identity is None else partial(frompyfunc(), identity=identity)
    return ["call", parts.same(made), parts.each(arguments)]


def _module(value: ModuleType, parts: _Parts) -> list[Any]:
    if sys.modules.get(value.__name__) is not value or origin(value.__name__) == "own":
        raise refuse(value, parts.where)
    return ["module", value.__name__]


def _exception(value: BaseException, parts: _Parts) -> list[Any]:
    """An exception: its class, arguments, attributes, what it was raised from, and whether its context is hidden."""
    from fanfold.codec.exceptions import own_fields

    if any(name.startswith("__") and name != "__notes__" for name in vars(value)):
        raise refuse(value, parts.where)
    fields = {name: item for name, item in own_fields(value) if item is not None}
    return [
        "exception",
        parts.same(type(value)),
        [parts.at(_Attribute(f"args[{number}]"), item) for number, item in enumerate(value.args)],
        [[name, parts.attribute(name, item)] for name, item in fields.items()],
        [[name, parts.attribute(name, item)] for name, item in vars(value).items()],
        parts.attribute("__cause__", value.__cause__),
        value.__suppress_context__,
    ]


def _reduced(value: Any, kind: type, parts: _Parts) -> list[Any]:
    """An object by what it says of itself: how it is made, its state, and what it contains."""
    if extended := _extended(value, kind, parts):
        return extended
    if kind.__module__ in OF_BOTO3:
        return _of_boto3(value, parts)
    if kind is object or any(place_of(each) in _NOT_APART for each in kind.__mro__):
        raise refuse(value, parts.where)
    value = _as_a_plan(value, kind, parts)
    made = _reduce(value, kind, parts)
    if isinstance(made, str):
        module = getattr(value, "__module__", None) or kind.__module__
        if lookup(module, made) is not value:
            raise refuse(value, parts.where)
        return ["name" if origin(module) != "own" else "own", module, made, None]
    called, arguments, state, items, pairs = (*made, None, None, None)[:5]
    left_out = forgotten(value, called, state)
    if left_out and state is not None and items is None and pairs is None and arguments == (kind,):
        return ["call", parts.same(object_again), parts.each((kind, state, left_out)), None, None, None]
    added = left_out if state is None and not hasattr(kind, "__setstate__") else None
    tail = [
        _state(added, parts) if added else _marked(state, kind, parts),
        None if items is None else parts.each(items),
        None if pairs is None else parts.pairs(pairs),
    ]
    name = getattr(called, "__name__", "")
    if called in (getattr(copyreg, "__newobj__"), getattr(copyreg, "__newobj_ex__")):  # noqa: B009 - mangled otherwise
        given, keywords = (arguments[1], arguments[2]) if name == "__newobj_ex__" else (arguments[1:], {})
        if not can_be_made_new(arguments[0], given, keywords):
            raise refuse(value, parts.where)
        return ["object", parts.same(arguments[0]), parts.each(given), parts.pairs(keywords.items()), *tail]
    return ["call", parts.same(called), parts.each(arguments), *tail]


def _of_boto3(value: Any, parts: _Parts) -> list[Any]:
    """A client, a resource or a session of boto3, made anew in the run. Raises `CodecError` for one within a result."""
    from fanfold.codec.aws_clients import NotAnew, made_anew, made_of

    if not parts.takes_source:
        raise refuse(value, parts.where)
    try:
        return ["call", parts.same(made_anew), parts.each(made_of(value)), None, None, None]
    except NotAnew as error:
        raise CodecError(
            f"{parts.where} is a {place_of(type(value))} {error}; it cannot travel.",
            next_step="make it inside the function.",
            instead="make it inside the function",
        ) from None


def _as_a_plan(value: Any, kind: type, parts: _Parts) -> Any:
    """Of a collection of dask's as much of the graph as it needs itself: a block's is that of the whole array.

    A plan travels towards a run only, which computes it. Raises `CodecError` for one within a result. What has dask's
    methods may hold numbers (pint's), and is no plan then; anything else is as it was.
    """
    is_lazy_frame = place_of(kind) == "polars.LazyFrame"
    graph = value.__dask_graph__() if hasattr(kind, "__dask_graph__") else None
    if (is_lazy_frame or graph is not None) and not parts.takes_source:
        method = "collect" if is_lazy_frame else "compute"
        raise CodecError(
            f"{parts.where} is a {place_of(kind)} that has not been computed.",
            next_step=f"compute it in the UDF: return `value.{method}()`.",
            instead=f"compute it first: `value.{method}()`",
        )
    if graph is None or not hasattr(graph, "cull"):
        return value
    flatten: Any = sys.modules["dask.core"].flatten
    again, more = value.__dask_postpersist__()
    return again(graph.cull(list(flatten(value.__dask_keys__()))).to_dict(), *more)


def _counter(value: Any, parts: _Parts) -> list[Any]:
    given = stands_at(value)
    return _reduced(value, count, parts) if given is None else ["call", parts.same(count), parts.each(given)]


def _extended(value: Any, kind: type, parts: _Parts) -> list[Any] | None:
    """An object that extends an array or a frame; None for any other."""
    if not any(place_of(each) in _EXTENDED for each in kind.__mro__):
        return None
    from fanfold.codec.extended import taken_apart

    found = taken_apart(value, kind)
    if found is None:
        return None
    plain, attributes = found
    named_parts = [[name, parts.attribute(name, item)] for name, item in attributes.items()]
    return ["extended", parts.same(kind), parts.same(plain), named_parts]


def _reduce(value: Any, kind: type, parts: _Parts) -> Any:
    try:
        reduce = copyreg.dispatch_table.get(kind)
        if reduce is not None:
            made = reduce(value)
        elif (by_protocol := getattr(value, "__reduce_ex__", None)) is not None:
            made = by_protocol(4)
        else:  # a file system of fsspec's that caches another one has only this, as pickle asks
            made = value.__reduce__()
    except CodecError:
        raise
    except Exception as error:
        raise refuse(value, parts.where) from error
    if isinstance(made, str) or (isinstance(made, tuple) and 2 <= len(made) <= 5):
        return without_init(kind, made)
    raise refuse(value, parts.where)


def _in_order(state: Any, kind: type) -> Any:
    """Attributes in the order of the class's fields, so that equal objects give equal text however they were made."""
    fields = fields_of(kind)
    if not fields or type(state) is not dict:
        return state
    return {name: state[name] for name in fields if name in state} | state


def _state(state: Any, parts: _Parts) -> Any:
    """The state as its class takes it, its attributes named where they stand."""
    if type(state) is dict and all(type(key) is str for key in state):
        return ["attributes", [[key, parts.attribute(key, item)] for key, item in state.items()]]
    if type(state) is tuple and len(state) == 2 and {type(state[0]), type(state[1])} <= {dict, type(None)}:
        return ["both", *(None if half is None else _state(half, parts) for half in state)]
    return ["state", parts.same(state)]


def _marked(state: Any, kind: type, parts: _Parts) -> list[Any] | None:
    """A state, with what the Python here keeps in an object of the standard library's."""
    if state is None:
        return None
    from fanfold.codec.state_shapes import mark

    tree = _state(_in_order(state, kind), parts)
    written = mark(kind)
    return [*tree, written] if written else tree


def _method(value: MethodType, parts: _Parts) -> list[Any]:
    """A method by its name, where its object has that very method by it."""
    of, function = value.__self__, value.__func__
    name = getattr(function, "__name__", "")
    found = getattr(of, name, None)
    if found is value or getattr(found, "__func__", None) is function:
        return ["method", parts.attribute("__self__", of), name]
    if not parts.takes_source:
        raise refuse(value, parts.where)
    return ["call", parts.same(MethodType), [parts.attribute("__func__", function), parts.attribute("__self__", of)]]


#: What has a node of its own; everything else says itself what it is made of.
_BY_CLASS: dict[type, Callable[[Any, _Parts], list[Any]]] = {
    list: lambda value, parts: ["list", parts.each(value)],
    tuple: lambda value, parts: ["tuple", parts.each(value)],
    dict: lambda value, parts: ["dict", parts.pairs(value.items())],
    set: lambda value, parts: ["set", parts.members(value)],
    frozenset: lambda value, parts: ["frozenset", parts.members(value)],
    GenericAlias: lambda value, parts: [
        "call",
        parts.same(GenericAlias),
        [parts.same(value.__origin__), parts.same(value.__args__)],
    ],
    MappingProxyType: lambda value, parts: ["call", parts.same(MappingProxyType), [parts.same(dict(value))]],
    MethodType: _method,
    FunctionType: _by_name,
    BuiltinFunctionType: _by_name,
    ModuleType: _module,
    count: _counter,
}
