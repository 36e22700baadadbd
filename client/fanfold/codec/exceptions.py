"""The tag for Python's own exceptions, as values: one that a UDF caught and returned.

An exception is its class, its `args` and what else it says of itself, such as a file's name. Where it was raised is not
part of it, as for `copy` and `pickle`: neither its traceback, nor what it was raised from or with, nor `obj`, on which
an attribute was missing.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from fanfold.codec.encoded import Damaged
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

_OF_ITS_RAISING = frozenset(("obj",))
_NOTES = "__notes__"


def tag(value: BaseException, tagger: Tagger) -> Any:
    """The tag for an exception of Python's own; None for any other, and for one that its args do not make again."""
    kind = type(value)
    if getattr(builtins, kind.__qualname__, None) is not kind or value.__cause__ is not None:
        return None
    try:
        more = _beyond_args(value, kind(*value.args))
    except (TypeError, ValueError, AttributeError):  # its args, which anybody may set, are no longer those it takes
        return None
    if more is None:
        return None
    tree = [kind.__qualname__, tagger.at("args", list(value.args))]
    return {"$exception": [*tree, {name: tagger.at(name, item) for name, item in more.items()}] if more else tree}


def _beyond_args(value: BaseException, again: BaseException) -> dict[str, Any] | None:
    """What `value` says beyond what its args have made of `again`; None where `again` cannot be made to say it."""
    kind = type(value)
    if type(again) is not kind or not all(_is_name(name) and not hasattr(kind, name) for name in vars(value)):
        return None
    own, told = dict(own_fields(value)), dict(own_fields(again))
    more = {name: item for name, item in own.items() if not _same(item, told.get(name))} | vars(value)
    for name, item in more.items():
        setattr(again, name, item)
    told = dict(own_fields(again))
    alike = own.keys() == told.keys() and all(_same(item, told[name]) for name, item in own.items())
    return more if alike and _same_each(value.args, again.args) else None


def own_fields(value: BaseException) -> Iterator[tuple[str, Any]]:
    """What an exception's class has beside `args`, such as an `OSError`'s `filename`, as far as it is set."""
    for owner in type(value).__mro__[: type(value).__mro__.index(BaseException)]:
        for name, found in vars(owner).items():
            kept = isinstance(found, (GetSetDescriptorType, MemberDescriptorType)) and _is_name(name)
            if kept and name not in _OF_ITS_RAISING and hasattr(value, name):
                yield name, getattr(value, name)


def _same_each(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return len(some) == len(others) and all(map(_same, some, others))


def _same(one: Any, other: Any) -> bool:
    if type(one) is tuple and type(other) is tuple:
        return _same_each(one, other)
    return one is other or (type(one) is type(other) and type(one) in (int, str, bytes) and one == other)


def _is_name(name: str) -> bool:
    """Whether an exception may carry this: what Python itself is about begins with two underscores."""
    return name == _NOTES or not name.startswith("__")


def _read(payload: list[Any]) -> BaseException:
    name, args, *more = payload
    kind = getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, BaseException) or kind.__module__ != "builtins":
        raise CodecError(
            f"This Python has no exception {name}.",
            next_step="a newer Python wrote this value: read it with that, or return `str(error)`.",
        )
    value = kind(*args)
    for attribute, item in (more[0] if more else {}).items():
        if not _is_name(attribute):
            raise ValueError(f"an exception carries no {attribute}")
        try:
            setattr(value, attribute, item)
        except AttributeError as error:
            raise ValueError(f"{name}: {error}") from error
    return value


# Made again part by part, for one that is taken apart.


def new_exception(kind: Any, args: Any) -> BaseException:
    """An exception without the user's own `__new__` and `__init__`, which may take other arguments than `args` says."""
    made: BaseException = _base_of(kind).__new__(kind, *args)
    return made


def exception_of(kind: Any, args: Any, fields: dict[str, Any], made: BaseException | None = None) -> BaseException:
    """An exception of some arguments, without its class's `__init__`; `made` is one that is there already.

    A group is made of what `fields` says that it holds: its `args` are what somebody's own `__new__` was given.
    """
    if is_group(kind):
        held = (fields["message"], fields["exceptions"]) if {"message", "exceptions"} <= fields.keys() else args
        made = new_exception(kind, held)
        made.args = tuple(args)
        return made
    made = new_exception(kind, ()) if made is None else made
    set_args(made, args)
    return made


def set_state(made: BaseException, state: tuple[dict[str, Any], dict[str, Any], Any, bool]) -> None:
    """Give an exception what it says beside its `args`, and what it was raised from."""
    fields, attributes, cause, hides = state
    for name, item in fields.items():
        set_field(made, name, item)
    vars(made).update(attributes)
    made.__cause__, made.__suppress_context__ = cause, hides


def is_group(kind: Any) -> bool:
    """Whether only the `__new__` of a class takes what it holds."""
    return any(each.__name__ == "BaseExceptionGroup" for each in kind.__mro__)


def set_args(made: BaseException, args: Any) -> None:
    """Give an exception its `args`, and what Python's own class reads from them."""
    made.args = given = tuple(args)
    with suppress(TypeError):  # its args, which anybody may set, are no longer those it takes
        _base_of(type(made)).__init__(made, *given)
        made.args = given


def _base_of(kind: Any) -> Any:
    """Python's own exception that a class extends."""
    return next(each for each in kind.__mro__ if each.__module__ == "builtins")


def set_field(made: BaseException, name: Any, value: Any) -> None:
    """Set what the exception's C class keeps beside `args`."""
    if dict(own_fields(made)).get(name) is value:
        return
    place = next((vars(each)[name] for each in type(made).__mro__ if name in vars(each)), None)
    if place is None or not hasattr(place, "__set__") or isinstance(place, property):
        raise Damaged(f"an exception has no {name}")
    try:
        place.__set__(made, value)
    except AttributeError:  # kept from `args`, and read only
        return


def own_name(name: Any) -> str:
    """The name of an attribute that an exception carries. Raises `Damaged` for what Python itself is about."""
    if not isinstance(name, str) or (name.startswith("__") and name != "__notes__"):
        raise Damaged(f"an exception carries no {name}")
    return name


UNTAG: dict[str, Callable[[Any], Any]] = {"$exception": _read}
