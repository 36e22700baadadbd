"""Values made to fit an annotation, or rejected with the reason.

A value that already is what a simple annotation says passes without pydantic, whose import costs more than most small
jobs take. Anything else goes to pydantic in its lax mode: "5" becomes 5 for an `int`, "0" becomes False for a `bool`.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Any

from fanfold.inputs.rejection import Rejection

Coerce = Callable[[Any], Any]
_Fits = Callable[[Any], bool]

_CONTAINERS = (list, dict, tuple, set, frozenset, Sequence, Mapping, AbstractSet)
_SAFE_FLOAT_INT = 2**53


def coercer(annotation: Any) -> Coerce | None:
    """What makes values fit `annotation`, or None where anything will do.

    The function returned raises `Rejection` for a value that does not fit.
    """
    if annotation in (Any, object) or isinstance(annotation, (str, typing.TypeVar)):
        return None
    if annotation is float:
        return _float_coercer()
    return _with_fast_path(_fits(annotation), _Lax(annotation))


def _float_coercer() -> Coerce:
    lax = _Lax(float)

    def coerce(value: Any) -> Any:
        if type(value) is float:
            return value
        if type(value) is int and -_SAFE_FLOAT_INT <= value <= _SAFE_FLOAT_INT:
            return float(value)
        return lax(value)

    return coerce


def _with_fast_path(fits: _Fits | None, lax: Coerce) -> Coerce:
    if fits is None:
        return lax
    return lambda value: value if fits(value) else lax(value)


def _fits(annotation: Any) -> _Fits | None:
    """A cheap and certain test that a value needs no coercion, where there is one."""
    if annotation is None or annotation is type(None):
        return lambda value: value is None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return (lambda value: type(value) is annotation) if isinstance(annotation, type) else None
    if origin in (typing.Union, types.UnionType):
        return _fits_any([_fits(member) for member in arguments])
    if origin is typing.Literal:
        return lambda value: any(type(value) is type(choice) and value == choice for choice in arguments)
    return _fits_container(origin, arguments)


def _fits_container(origin: Any, arguments: tuple[Any, ...]) -> _Fits | None:
    if origin is list and _are_classes(arguments):
        return _fits_items(list, frozenset(arguments))
    if origin is tuple and len(arguments) == 2 and arguments[1] is ... and _are_classes(arguments[:1]):
        return _fits_items(tuple, frozenset(arguments[:1]))
    if origin is dict and _are_classes(arguments):
        return _fits_dict(*(frozenset({kind}) for kind in arguments))
    return None


def _fits_any(tests: list[_Fits | None]) -> _Fits:
    known = [test for test in tests if test is not None]
    return lambda value: any(test(value) for test in known)


def _fits_items(kind: Any, items: frozenset[type]) -> _Fits:
    return lambda value: type(value) is kind and items.issuperset(map(type, value))


def _fits_dict(keys: frozenset[type], items: frozenset[type]) -> _Fits:
    return lambda value: (
        type(value) is dict and keys.issuperset(map(type, value)) and items.issuperset(map(type, value.values()))
    )


def _are_classes(arguments: tuple[Any, ...]) -> bool:
    return all(isinstance(argument, type) and typing.get_origin(argument) is None for argument in arguments)


class _Lax:
    """Coercion by pydantic, which is imported when the first value needs it."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._reads_json = _reads_json(annotation)

    def __call__(self, value: Any) -> Any:
        if self._adapter is None:
            return value
        from pydantic import ValidationError

        value = _python_scalar(value)
        if isinstance(value, str):
            value = _literal_of(self._annotation, value)
        if self._reads_json and isinstance(value, str):
            value = _parsed(value)
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            if isinstance(value, str) and (choice := _choice(self._annotation, value)):
                return choice[0]
            raise Rejection(_reason(error.errors(include_url=False, include_input=False))) from None
        except Exception as error:  # a validator of the user's own
            raise Rejection(f"its annotation raised {type(error).__name__}: {error}") from error

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import ConfigDict, PydanticUserError, TypeAdapter

        annotation = _readable(self._annotation)
        try:
            return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # a model or a dataclass brings its own configuration
            pass
        except Exception:  # noqa: BLE001 - an annotation may be any object at all; what pydantic cannot read says nothing
            return None
        try:
            return TypeAdapter(annotation)
        except Exception:  # noqa: BLE001 - as above
            return None


def _readable(annotation: Any) -> Any:
    """The annotation as pydantic reads it: before Python 3.12 it takes a TypedDict of `typing_extensions` alone."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(annotation):
        return annotation
    import typing_extensions as extensions

    fields = {}
    for name, kind in typing.get_type_hints(annotation, include_extras=True).items():
        marked = typing.get_origin(kind) in (extensions.Required, extensions.NotRequired)
        field = _readable(typing.get_args(kind)[0] if marked else kind)
        fields[name] = field if name in annotation.__required_keys__ else extensions.NotRequired[field]
    make: Any = extensions.TypedDict
    return make(annotation.__name__, fields)


def _literal_of(annotation: Any, text: str) -> Any:
    """The value of a `Literal` that a text names, as a command line or a CSV file does; else the text."""
    origin, choices = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if str in choices:
            return text
        return next((found for one in choices if (found := _literal_of(one, text)) is not text), text)
    if origin is not typing.Literal or text in choices:
        return text
    named = [choice for choice in choices if str(choice).lower() == text.lower() and not isinstance(choice, str)]
    return named[0] if len(named) == 1 else text


def _python_scalar(value: Any) -> Any:
    """Python's own value for a numpy scalar: pydantic takes a datetime64 for no date."""
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
    return value.item() if is_scalar else value


def _reads_json(annotation: Any) -> bool:
    """Whether text may stand for a list or a dict; where text itself is wanted too, it has fitted before this asks."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _reads_json(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return any(_reads_json(member) for member in typing.get_args(annotation))
    return (origin or annotation) in _CONTAINERS


#: How people write that there is nothing, on a command line or in a form.
_NOTHING = ("none", "null", "")


def _choice(annotation: Any, text: str) -> tuple[Any] | None:
    """The value that `text` stands for among an annotation's literals, or None of an Optional, in a tuple of one."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _choice(arguments[0], text)
    if annotation is type(None) and text.strip().lower() in _NOTHING:
        return (None,)
    if origin in (typing.Union, types.UnionType):
        return next(filter(None, (_choice(member, text) for member in arguments)), None)
    if origin is not typing.Literal:
        return None
    return next(((choice,) for choice in arguments if text.strip().lower() in _spellings(choice)), None)


def _spellings(choice: Any) -> tuple[str, ...]:
    """What a literal may be written as, in small letters."""
    if choice is None:
        return _NOTHING
    if isinstance(choice, str):  # text is what it is
        return ()
    name = getattr(choice, "name", None)
    return (str(choice).lower(), *((name.lower(),) if isinstance(name, str) else ()))


def _parsed(text: str) -> Any:
    import json

    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    return parsed if isinstance(parsed, (list, dict)) or parsed is None else text


def _reason(errors: Sequence[Any]) -> str:
    first, *others = errors
    message = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    place = "".join(f"[{step!r}]" for step in first["loc"])
    more = f" (and {len(others)} more like it)" if others else ""
    return f"{place}: {message}{more}" if place else f"{message}{more}"
