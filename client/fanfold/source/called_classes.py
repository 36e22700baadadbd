"""Enums and TypedDicts of which there is no statement: a call has made them, or Python has kept no text of theirs.

They are made anew of their members, and what they have beyond these is put on them: methods, what an `__init__` or a
`__new__` of their own gave each member, which keys are required.
"""

from __future__ import annotations

import enum
import sys
import typing
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from fanfold.source.classes import PYTHONS_OWN, annotations_of, is_enum, note_home
from fanfold.source.modules import is_library, unwrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.source.graph import Graph


def describe_called(graph: Graph, made: Any) -> Any:
    """The node of an Enum or a TypedDict. Raises `CaptureError` for an Enum that would come out as another."""
    parts = _enum(graph, made) if is_enum(made) else _typed_dict(graph, made)
    note_home(graph, made)
    return ["call", parts]


#: What Python keeps in an Enum for itself, and in each of its members.
_OF_ENUMS = frozenset(
    {
        "_new_member_", "__new_member__", "_use_args_", "_member_names_", "_member_map_", "_value2member_map_",
        "_unhashable_values_", "_unhashable_values_map_", "_hashable_values_", "_member_type_", "_value_repr_",
        "_boundary_", "_flag_mask_", "_singles_mask_", "_all_bits_", "_inverted_", "__new__", "__reduce_ex__",
        "__doc__",
    }
)  # fmt: skip
_OF_MEMBERS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})


def _enum(graph: Graph, made: Any) -> dict[str, Any]:
    members = [(name, each._value_) for name, each in made._member_map_.items()]
    if not all(map(_is_made_of_its_value, made._member_map_.values())):
        why = "an Enum whose `__new__` makes something else than its value, and of which Python has not kept the text"
        raise graph.refuse(made, why)
    own = {n: {k: v for k, v in vars(m).items() if k not in _OF_MEMBERS} for n, m in made._member_map_.items()}
    given = {"__module__": made.__module__, "__qualname__": made.__qualname__, "__doc__": made.__doc__}
    boundary = vars(made).get("_boundary_")
    arguments = (type(made), made.__name__, made.__bases__, members, own, given, boundary)
    parts: dict[str, Any] = {"of": graph.ref(enum_again), "args": [graph.ref(each) for each in arguments]}
    parts["attributes"] = [[name, graph.ref(value, f".{name}")] for name, value in _put_on(made)]
    return parts


def _is_made_of_its_value(member: Any) -> bool:
    """Whether a member of a class that extends text, a number or a tuple is what that makes of its value."""
    kind = type(member)._member_type_
    if kind is object:
        return True
    value = member._value_
    arguments = (value,) if kind is tuple or not isinstance(value, tuple) else value
    try:
        return bool(kind.__eq__(kind(*arguments), member))
    except Exception:  # noqa: BLE001 - the user's own class
        return False


def _put_on(made: Any) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(made).items()):
        if name in PYTHONS_OWN or name in _OF_ENUMS or name in made._member_map_:
            continue
        function = unwrapped(getattr(value, "__func__", value))
        of_enum = isinstance(function, FunctionType) and is_library(str(function.__module__))
        of_enum = of_enum and function is unwrapped(_inherited(made, name))
        if not of_enum and not isinstance(value, (MemberDescriptorType, GetSetDescriptorType)):
            yield name, value


def _inherited(made: Any, name: str) -> Any:
    """What a class would have under a name without its own."""
    held = next((vars(base)[name] for base in made.__mro__[1:] if name in vars(base)), None)
    return getattr(held, "__func__", held)


def enum_again(
    kind: Any,
    name: str,
    bases: tuple[type, ...],
    members: list[tuple[str, Any]],
    own: dict[str, dict[str, Any]],
    given: dict[str, Any],
    boundary: Any,
) -> Any:
    """An Enum of these members with their own attributes; its methods are yet to be put on it."""
    body = kind.__prepare__(name, bases)
    for each, value in given.items():
        body[each] = value
    for each, value in members:
        body[each] = enum.member(value) if hasattr(value, "__get__") else value
    made = kind.__new__(kind, name, bases, body, **({} if boundary is None else {"boundary": boundary}))
    for each, state in own.items():
        vars(made[each]).update(state)
    return made


def _typed_dict(graph: Graph, made: Any) -> dict[str, Any]:
    maker = sys.modules.get(type(made).__module__, typing)  # that of `typing_extensions` knows more
    parts: dict[str, Any] = {
        "of": graph.ref(maker.TypedDict),
        "args": [[made.__name__], graph.ref(annotations_of(made))],
    }
    parts["kwargs"] = {"total": [made.__total__]}
    parts["attributes"] = [["__module__", [made.__module__]], ["__qualname__", [made.__qualname__]]]
    kept = ("__required_keys__", "__optional_keys__", "__readonly_keys__", "__mutable_keys__")
    parts["attributes"] += [[name, graph.ref(getattr(made, name))] for name in kept if hasattr(made, name)]
    return parts
