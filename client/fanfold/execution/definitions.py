"""How a script's classes and closures are pickled: cloudpickle makes them, and what it would lose or do again is here.

A variable that two functions share stays one; what a metaclass and `__init_subclass__` did with a class is not done
again; an Enum keeps its aliases and what its members are made with; and a result that has a class of its reader's with
it leaves that class as it is.
"""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import count
from pickle import PicklingError
from types import CellType
from typing import Any

from fanfold.execution import anew, parcel

#: What SQLAlchemy marks a class with that it has mapped, and a base of such.
_OF_SQLALCHEMY = frozenset({"_sa_registry", "_sa_class_manager"})
#: What a library keeps in a class of somebody's to find it faster, and makes anew.
_KEPT_FOR_SPEED = frozenset({"__msgspec_cache__"})
#: What an Enum itself says of a member.
_ENUMS_OWN = ("_value_", "_name_", "__objclass__", "_sort_order_")
#: Ids of classes that have been made here and have no members yet.
_unfilled: set[int] = set()


@lru_cache(maxsize=1)
def pickler_class() -> Any:
    """cloudpickle's pickler, with the classes and functions of this file."""
    import cloudpickle

    class DefinitionPickler(cloudpickle.Pickler):  # type: ignore[misc]
        #: What fills a class where it arrives.
        fill: Callable[[type, Any], None] = staticmethod(fill_class)

        def is_importable(self, module: str) -> bool:  # noqa: ARG002
            """Whether a reader finds the module of that name."""
            return True

        def reducer_override(self, obj: Any) -> Any:
            if (own := _reduced_part(obj, type(obj), self.is_importable)) is not None:
                return own
            reduced = super().reducer_override(obj)
            return self.reduced_class(obj, reduced) if isinstance(obj, type) else reduced

        def reduced_class(self, made: type, reduced: Any) -> Any:
            """How to make a class that cloudpickle has taken apart; anything else as it is."""
            if type(reduced) is not tuple or reduced[0].__module__ != "cloudpickle.cloudpickle" or len(reduced) < 3:
                return reduced
            _leave_out_kept(reduced[2][0])
            if own := _reduced_otherwise(made, reduced, self.fill):
                return own
            _evaluate_annotations(made, reduced[2][0])
            metaclass, name, bases, namespace, known_as = reduced[1][:5]
            named = {**namespace, "__qualname__": made.__qualname__}
            slots = vars(made).get("__slots__")  # without them the class would have a `__dict__` instead
            if slots is not None and "_fields" not in vars(made):  # a named tuple sets its own
                named["__slots__"] = slots
                _leave_out_slots(made, reduced[2][0])
            return bare_class, (metaclass, name, bases, named, known_as), reduced[2], None, None, self.fill

        def _function_getnewargs(self, func: Any) -> Any:
            return *super()._function_getnewargs(func)[:4], func.__closure__

        def _dynamic_function_reduce(self, func: Any) -> Any:
            return _with_parameters(func, super()._dynamic_function_reduce(_with_annotations(func)))

    return DefinitionPickler


def _reduced_otherwise(made: type, reduced: Any, fill: Any) -> tuple[Any, ...] | None:
    """How to make a class that cloudpickle cannot take apart, or takes for less than it is; None for others."""
    apart: Any = sys.modules.get("fanfold.source.libraries.mapped_apart")
    if apart is not None and (name := apart.name_of(made)) is not None:
        return apart.found_again, name
    if not _OF_SQLALCHEMY.isdisjoint(vars(made)):
        raise _no_name(made)
    return _reduced_enum(made, reduced[1], reduced[2], fill) if "_member_map_" in vars(made) else None


def _no_name(made: type) -> PicklingError:
    return PicklingError(
        f"cannot pickle class {made.__qualname__!r}, which SQLAlchemy has mapped, and to which no name at the top"
        f" of a script leads. Next: put {made.__qualname__!r} and what is mapped with it into a module of your project."
    )


@lru_cache(maxsize=1)
def result_pickler_class() -> Any:
    """The same for what goes back: to who may have sent its classes."""

    class ResultPickler(pickler_class()):  # type: ignore[misc]
        fill = staticmethod(fill_new_class)

    return ResultPickler


def dump_result(value: Any, protocol: int = 5, buffer_callback: Any = None) -> bytes:
    """Pickle what a call gave, as `pickle.dumps` does."""
    import io

    with io.BytesIO() as file:
        result_pickler_class()(file, protocol, buffer_callback).dump(value)
        return file.getvalue()


def _with_annotations(function: Any) -> Any:
    """The function, or one like it where asking for its annotations would raise an error."""
    if not hasattr(function, "__annotate__"):  # before 3.14
        return function
    from fanfold.source.unevaluated import with_annotations

    return with_annotations(function)


def _with_parameters(function: Any, reduced: Any) -> Any:
    """How to make a function, with its type parameters, which cloudpickle leaves out."""
    if parameters := getattr(function, "__type_params__", ()):
        reduced[2][1]["__type_params__"] = parameters
    return reduced


#: Type variables and aliases, which may contain themselves.
_OF_TYPES = ("TypeVar", "TypeVarTuple", "ParamSpec", "TypeAliasType")


def _reduced_part(obj: Any, kind: Any, is_importable: Callable[[str], bool]) -> Any:
    """How to make a closure's variable, a type's variable, name or alias, or a ufunc; None for all else."""
    if kind in _REDUCED:
        return _REDUCED[kind](obj)
    if (reduced := anew.reduced(obj, kind, is_importable)) is not None:
        return reduced
    if kind.__name__ == "ufunc":
        return _reduced_ufunc(obj)
    if kind.__name__ == "ForwardRef" and kind.__module__ == "annotationlib":
        said = {"module": obj.__forward_module__, "is_class": obj.__forward_is_class__}
        return parcel.call_with, (kind, (obj.__forward_arg__,), said), (None, {"__owner__": obj.__owner__})
    if kind.__module__ != "typing" or kind.__name__ not in _OF_TYPES:
        return None
    from cloudpickle.cloudpickle import _lookup_module_and_qualname

    from fanfold.source import type_parts

    found = _lookup_module_and_qualname(obj, name=obj.__name__)
    return type_parts.reduced(obj, kind, is_named=found is not None and is_importable(found[0].__name__))


def _reduced_ufunc(ufunc: Any) -> tuple[Any, ...] | None:
    """How to make what `numpy.frompyfunc` has made, which numpy pickles as a name; None for one of a package's."""
    from fanfold.codec.classes import name_of
    from fanfold.codec.extended import frompyfunc, function_of

    given = None if name_of(ufunc) else function_of(ufunc)
    if given is None:
        return None
    *arguments, identity = given
    made: Any = frompyfunc()
    return made if identity is None else partial(made, identity=identity), tuple(arguments)


def _evaluate_annotations(made: type, members: dict[str, Any]) -> None:
    """Put a class's annotations among its members: what Python would evaluate later stays where the class is."""
    if sys.version_info >= (3, 14) and "__annotate_func__" in vars(made):
        from fanfold.source.unevaluated import annotations_of

        members.pop("__annotations_cache__", None)
        members["__annotations__"] = annotations_of(made)


def _leave_out_kept(members: dict[str, Any]) -> None:
    """Take out of a class's members what is made anew when it is asked for."""
    for name in _KEPT_FOR_SPEED & members.keys():
        del members[name]


def _leave_out_slots(made: type, members: dict[str, Any]) -> None:
    """Take the descriptors of a class's slots out of its members: the class makes them anew."""
    for name, each in list(members.items()):
        if type(each) is types.MemberDescriptorType and each.__objclass__ is made:
            del members[name]


def _reduced_cell(cell: CellType) -> tuple[Any, ...]:
    """A closure's variable: itself first, for what it holds may hold it."""
    try:
        held: Any = (cell.cell_contents,)
    except ValueError:  # nothing in it yet
        held = None
    return empty_cell, (), held, None, None, fill_cell


def _reduced_counter(counter: Any) -> tuple[Any, ...] | None:
    """An `itertools.count`, where it stands, which it does not say to pickle since 3.14; None for one that does not."""
    from fanfold.codec.counters import stands_at

    given = stands_at(counter)
    return None if given is None else (count, given)


_REDUCED: dict[Any, Callable[[Any], tuple[Any, ...] | None]] = {
    CellType: _reduced_cell,
    count: _reduced_counter,
}


def _reduced_enum(made: Any, args: Any, state: Any, fill: Any) -> tuple[Any, ...]:
    aliases = {name: each.name for name, each in made._member_map_.items() if name != each.name}
    # Without aliases, and with what a flag has of several others: it has no part in a class's members.
    members = {name: each._value_ for name, each in made._member_map_.items() if name not in aliases}
    for name in made._member_map_:
        state[0].pop(name, None)
    own = {each.name: {k: v for k, v in vars(each).items() if k not in _ENUMS_OWN} for each in made}
    # Functions and classes are members where they were said to be, since 3.11.
    marked = [name for name, each in members.items() if hasattr(each, "__get__") or isinstance(each, type)]
    return enum_class, ((*args[:3], members, *args[4:]), aliases, marked), (state, own, fill), None, None, fill_enum


# What a pickle calls to make them.


def empty_cell() -> CellType:
    """A closure's variable, with nothing in it."""
    return CellType()


def fill_cell(cell: CellType, held: tuple[Any]) -> None:
    """Put into it what it holds."""
    cell.cell_contents = held[0]


def bare_class(metaclass: Any, name: str, bases: Any, namespace: dict[str, Any], known_as: str) -> Any:
    """The class that this process knows by that id, or a new one without members."""
    from cloudpickle import cloudpickle

    known = _known(known_as)
    if known is not None:
        return known
    resolved = types.resolve_bases(bases)
    if resolved is not bases:
        namespace["__orig_bases__"] = bases
    # Of a metaclass that has come along only what Python itself does, for the rest has been done.
    maker = next(each for each in metaclass.__mro__ if not _has_come(each))
    with _silenced(resolved):
        is_ready = maker is metaclass
        made = maker(name, resolved, namespace) if is_ready else maker.__new__(metaclass, name, resolved, namespace)
    _unfilled.add(id(made))
    return cloudpickle._lookup_class_or_track(known_as, made)


def _known(known_as: str) -> Any:
    from cloudpickle import cloudpickle

    return cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(known_as)


def _has_come(made: type) -> bool:
    """Whether a class came as a pickle, and is no module's."""
    from cloudpickle import cloudpickle

    return made in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS


@contextmanager
def _silenced(bases: tuple[type, ...]) -> Iterator[None]:
    """Without the hooks that bases which have come along have for new classes."""
    above = {c: vars(c)["__init_subclass__"] for b in bases for c in b.__mro__ if "__init_subclass__" in vars(c)}
    hooks = {c: hook for c, hook in above.items() if c is not object and _has_come(c)}
    for owner in hooks:
        type.__setattr__(owner, "__init_subclass__", classmethod(_do_nothing))
    try:
        yield
    finally:
        for owner, hook in hooks.items():
            type.__setattr__(owner, "__init_subclass__", hook)


def _do_nothing(_cls: type, /, **_: Any) -> None:
    """In the place of a hook that has done its work already."""


def fill_class(made: type, state: Any) -> None:
    """Give a class its members, as they are where it comes from by now."""
    from cloudpickle import cloudpickle

    _unfilled.discard(id(made))
    cloudpickle._class_setstate(made, state)


def fill_new_class(made: type, state: Any) -> None:
    """The same for a class that was not here before: one that was is the reader's own."""
    if id(made) in _unfilled:
        fill_class(made, state)


def enum_class(args: tuple[Any, ...], aliases: dict[str, str], marked: list[str]) -> Any:
    """The Enum that this process knows by its id, or a new one with its members and nothing else."""
    from cloudpickle import cloudpickle

    known = _known(args[5])
    if known is not None:
        return known
    for name in marked:
        args[3][name] = enum.member(args[3][name])  # type: ignore[attr-defined,unused-ignore]
    made = cloudpickle._make_skeleton_enum(*args)
    for alias, name in aliases.items():
        made._member_map_[alias] = made._member_map_[name]
        type.__setattr__(made, alias, made._member_map_[name])
    _unfilled.add(id(made))
    return made


def fill_enum(made: Any, parts: tuple[Any, dict[str, dict[str, Any]], Callable[[type, Any], None]]) -> None:
    """Give an Enum its methods, and its members what `__init__` has given them."""
    state, own, fill = parts
    is_new = id(made) in _unfilled
    fill(made, state)
    for name, attributes in own.items() if is_new else ():
        made._member_map_[name].__dict__.update(attributes)
