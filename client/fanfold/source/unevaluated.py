"""Annotations that name what is not there, since Python 3.14: they are evaluated when they are asked for."""

from __future__ import annotations

from types import FunctionType
from typing import Any


def annotations_of(holder: Any) -> dict[str, Any]:
    """The annotations of a function or a class by now, those that name what is not there as texts."""
    try:
        return dict(holder.__annotations__)
    except Exception:  # noqa: BLE001 - they are evaluated now
        return annotations_as_far(holder)


def with_annotations(function: FunctionType) -> FunctionType:
    """A function like another, with what can be told of its annotations where asking for them raises an error."""
    try:
        function.__annotations__  # noqa: B018 - which evaluates them
    except Exception:  # noqa: BLE001 - see above
        code, names, defaults = function.__code__, function.__globals__, function.__defaults__
        made = FunctionType(code, names, function.__name__, defaults, function.__closure__)
        for name in ("__kwdefaults__", "__qualname__", "__module__", "__doc__", "__type_params__", "__dict__"):
            setattr(made, name, getattr(function, name))
        made.__annotations__ = annotations_as_far(function)
        return made
    return function


def annotations_as_far(holder: Any) -> dict[str, Any]:
    """The annotations of a function or a class, each as what it means, or as its text where it cannot be evaluated."""
    import annotationlib  # type: ignore[import-not-found]

    found = annotationlib.get_annotations(holder, format=annotationlib.Format.FORWARDREF)
    texts = annotationlib.get_annotations(holder, format=annotationlib.Format.STRING)
    return {name: texts[name] if _names_what_is_missing(each) else each for name, each in found.items()}


def _names_what_is_missing(annotation: Any) -> bool:
    if type(annotation).__name__ == "ForwardRef":
        return True
    if isinstance(annotation, dict):
        return any(map(_names_what_is_missing, [*annotation, *annotation.values()]))
    parts = annotation if isinstance(annotation, (list, tuple, set)) else _parts(annotation)
    return any(map(_names_what_is_missing, parts))


def _parts(annotation: Any) -> list[Any]:
    said = (getattr(annotation, name, None) for name in ("__args__", "__metadata__"))
    return [part for each in said if isinstance(each, tuple) for part in each]
