"""Named tuples that cost next to nothing on import.

`typing.NamedTuple` compiles a constructor's text and wraps each annotation as it makes a class: half a millisecond,
and a first run goes through sixty of them, in the caller and again in the worker. Here a constructor's code is compiled
once for each number of fields, and each class gets a copy with its own fields' names. To a reader, to mypy and to
whatever is given one, they are what `typing.NamedTuple` makes.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import repeat
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["NamedTuple", "made_of", "no_collection", "no_collection_of_imports"]

if TYPE_CHECKING:
    from types import CodeType
    from typing import NamedTuple
else:
    from _collections import _tuplegetter

    class _Record(tuple):
        """What all of them do alike."""

        __slots__ = ()

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, and was given {len(made)}")
            return made

        def _replace(self, /, **changes):
            made = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"{type(self).__name__} has no field {', '.join(changes)}")
            return made

        __replace__ = _replace

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def __getnewargs__(self):
            return tuple(self)

    class _MadeOfFields(type):
        """Makes a class whose body names fields, in the place of the class that the body would make."""

        def __new__(mcs, name, bases, body):
            if not bases:
                return super().__new__(mcs, name, bases, body)
            fields = tuple(body["__annotations__"])  # as text, on any Python: modules postpone annotations
            defaults = {field: body.pop(field) for field in fields if field in body}
            if fields[len(fields) - len(defaults) :] != tuple(defaults):
                raise TypeError(f"{name}: a field without a default follows one that has a default")
            for index, field in enumerate(fields):
                body[field] = _tuplegetter(index, f"Alias for field number {index}")
            body["__new__"] = _constructor(name, fields, tuple(defaults.values()))
            body.update(_fields=fields, _field_defaults=defaults, __match_args__=fields, __slots__=())
            return type(name, (_Record,), body)

    def _constructor(name, fields, defaults):
        code = _template(len(fields)).replace(co_varnames=("_cls", *fields), co_name="__new__")
        made = FunctionType(code, {"_tuple_new": tuple.__new__}, "__new__", defaults)
        made.__qualname__ = f"{name}.__new__"
        return made

    @cache
    def _template(count: int) -> CodeType:
        names = "".join(f"_{index}, " for index in range(count))
        return eval(f"lambda _cls, {names}: _tuple_new(_cls, ({names}))").__code__  # noqa: S307  numbers alone go in

    class NamedTuple(metaclass=_MadeOfFields):
        """The base to write: `class Point(NamedTuple)`, with annotated fields."""


_T = TypeVar("_T", bound=tuple[Any, ...])


def made_of(kind: type[_T], columns: Sequence[Iterable[Any]], count: int) -> list[_T]:
    """So many named tuples of a kind, from a column for each field: in a third of the time of its constructor."""
    made = list(map(tuple.__new__, repeat(kind), zip(*columns, strict=False)))  # some columns repeat without an end
    if len(made) != count or len(columns) != len(kind._fields):  # type: ignore[attr-defined]
        raise ValueError(f"{count} of {kind.__name__} cannot be made of {len(columns)} columns, which have {len(made)}")
    return made


@contextmanager
def no_collection() -> Iterator[None]:
    """Make thousands of tuples, none of which is garbage: Python's looking for some would take longer than that."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def no_collection_of_imports() -> Iterator[None]:
    """Import what stays for ever, and have Python count it as old at once: else it looks through it for garbage next.

    Nothing is done where no module has come, for what a program makes between two calls is to be looked through, nor
    where a program has frozen what it has (`gc.freeze`), which would be looked through again.
    """
    before = len(sys.modules)
    with no_collection():
        yield
        if len(sys.modules) > before and not gc.get_freeze_count():
            gc.freeze()  # all there is
            gc.unfreeze()  # to be the oldest generation
