"""Variables and names of types, as whatever made them has them: `TypeVar`, `ParamSpec`, `NewType`, `type A = ...`."""

from __future__ import annotations

import sys
from types import CellType
from typing import TYPE_CHECKING, Any

from fanfold.codec import encode_json
from fanfold.source import type_makers
from fanfold.source.functions import by_name
from fanfold.source.instances import call
from fanfold.source.modules import own_name

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

#: What stands before the name of a type parameter, by its class.
_MARKS = {"TypeVar": "", "TypeVarTuple": "*", "ParamSpec": "**"}


def maker_of(kind: type) -> Any:
    """What gives the node of a variable or a name of types; None for anything else of `typing`."""
    make = _MAKERS.get(kind.__name__)
    if make is None:
        return None

    def describe(graph: Graph, value: Any) -> Any:
        known = own_name(value, getattr(value, "__name__", None))
        return by_name(graph, *known) if known else make(graph, value, kind)

    return describe


def _variable(graph: Graph, value: Any, kind: Any) -> Any:
    if value.__module__ == "typing":  # of `def f[T]`, `class C[T]` or `type A[T]`: a call would say whose it was
        return call(graph, type_makers.type_variable, _MARKS[kind.__name__], value.__name__, *_says(value))
    return _called(graph, value, *_given_to(value, kind))


def _given_to(value: Any, kind: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """What a call has made a type variable with: what it calls, its arguments and those by name."""
    has_default = getattr(value, "has_default", bool)()
    named = {name: getattr(value, f"__{name}__", None) for name in ("covariant", "contravariant", "infer_variance")}
    named |= {"bound": getattr(value, "__bound__", None), "default": value.__default__ if has_default else None}
    named = {name: each for name, each in named.items() if each or (each is not None and name in ("bound", "default"))}
    maker = kind
    if has_default and sys.version_info < (3, 13):  # made by `typing_extensions`, of an object of Python's
        maker = getattr(sys.modules["typing_extensions"], kind.__name__)
    return maker, (value.__name__, *getattr(value, "__constraints__", ())), named


def _has_choice(value: Any) -> bool:
    try:
        return bool(getattr(value, "__constraints__", ()))
    except Exception:  # noqa: BLE001 - they are evaluated now
        return True


def reduced(obj: Any, kind: Any, *, is_named: bool) -> Any:
    """How a pickle makes what may contain itself: itself first. None for all else, and for what goes by its name."""
    if kind.__name__ == "TypeAliasType":
        if is_named or kind.__module__ != "typing":
            return None
        value = _lazily(obj, "__value__")
        makes = type_makers.empty_alias, (obj.__module__, obj.__name__, obj.__type_params__)
        return *makes, (value and value.cell_contents, None), None, None, type_makers.fill
    if own_name(obj, obj.__name__) or (obj.__module__ != "typing" and is_named):
        return None
    from cloudpickle.cloudpickle import _get_or_create_tracker_id

    if obj.__module__ != "typing":
        return type_makers.called_variable, (_get_or_create_tracker_id(obj), obj.__module__, *_given_to(obj, kind))
    bound, is_choice, default = _says(obj)
    known_as, mark = _get_or_create_tracker_id(obj), _MARKS[kind.__name__]
    args = (known_as, mark, obj.__name__, bound is not None, is_choice, default is not None)
    says = bound and bound.cell_contents, default and default.cell_contents
    return type_makers.empty_variable, args, says, None, None, type_makers.fill


def _says(value: Any) -> tuple[CellType | None, bool, CellType | None]:
    """What bounds a type variable, whether that is a choice, and its default."""
    is_choice = _has_choice(value)
    has_default = getattr(value, "has_default", bool)()
    bound = _lazily(value, "__constraints__" if is_choice else "__bound__")
    return bound, is_choice, _lazily(value, "__default__") if has_default else None


def _lazily(value: Any, attribute: str) -> CellType | None:
    """What a type says when it is asked, in a cell, for it may be part of itself; None where it says nothing."""
    try:
        found = getattr(value, attribute, None)
    except Exception as error:  # noqa: BLE001 - it is evaluated now, and may name what is not there
        found = type_makers.Unsaid(error.with_traceback(None))
    return None if found is None else CellType(found)


def _called(graph: Graph, value: Any, maker: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return _made_in(graph, value, type_makers.called_in, maker, args, named)


def _made_in(graph: Graph, value: Any, *made_of: Any) -> Any:
    """The node of a call that is given the name of the module first, which is no part of what the code means."""
    node = call(graph, *made_of)
    name = graph.number(["value", encode_json(value.__module__, own=None)], meaning=["a module"])
    node[1]["args"].insert(0, name)
    return node


def _parameters_part(graph: Graph, value: Any, kind: Any) -> Any:
    """`P.args` or `P.kwargs`."""
    return call(graph, getattr, value.__origin__, kind.__name__.removeprefix("ParamSpec").lower())


def _new_type(graph: Graph, value: Any, kind: Any) -> Any:
    return _called(graph, value, kind, (value.__qualname__, value.__supertype__), {})


def _alias(graph: Graph, value: Any, kind: Any) -> Any:
    """What `type Pair[T] = tuple[T, T]` has made."""
    if kind.__module__ != "typing":  # of `typing_extensions`, where Python has none or an older one: made by a call
        return _called(graph, value, kind, (value.__name__, value.__value__), {"type_params": value.__type_params__})
    cell = _lazily(value, "__value__")
    return _made_in(graph, value, type_makers.type_alias, value.__name__, value.__type_params__, cell)


def _forward(graph: Graph, value: Any, kind: Any) -> Any:
    """A type that is named as text, in the place where it was named."""
    said = {name: getattr(value, f"__forward_{name}__", None) for name in ("is_argument", "module", "is_class")}
    usual = {"is_argument": True, "module": None, "is_class": False}
    return call(graph, kind, value.__forward_arg__, **{k: v for k, v in said.items() if v not in (usual[k], None)})


_MAKERS: dict[str, Any] = {
    **dict.fromkeys(_MARKS, _variable),
    **dict.fromkeys(("ParamSpecArgs", "ParamSpecKwargs"), _parameters_part),
    "NewType": _new_type,
    "TypeAliasType": _alias,
    "ForwardRef": _forward,
}
