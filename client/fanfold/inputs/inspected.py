"""What a function says that it takes, read by `inspect`: with annotations of any kind, and parameters of any kind."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from os import PathLike
from types import UnionType
from typing import Any

from fanfold.inputs.signature import Coerce, Declared, Rejection, parsed


def declared(fn: Callable[..., Any]) -> Declared:
    """What `fn` says that it takes; `x` for what is written in C and does not say."""
    signature = signature_of(fn)
    by_name = signature.parameters.values()
    named = [parameter for parameter in by_name if parameter.kind is not parameter.VAR_KEYWORD]
    return Declared(
        text=str(_shown(signature)),
        parameters=tuple(parameter.name for parameter in named),
        defaults={one.name: one.default for one in named if one.default is not one.empty},
        annotations=dict(_annotations(fn, signature)),
        returns=_returned(fn, signature),
        several=next((each.name for each in by_name if each.kind is each.VAR_POSITIONAL), None),
        rest=next((parameter.name for parameter in by_name if parameter.kind is parameter.VAR_KEYWORD), None),
    )


def signature_of(fn: Callable[..., Any]) -> inspect.Signature:
    """The signature of `fn`; `x`, and perhaps more, for what is written in C and does not say."""
    try:
        return inspect.signature(fn, **_lenient())
    except ValueError:  # written in C, and does not say: `int`, `max`
        kinds = {"x": inspect.Parameter.POSITIONAL_ONLY, "more": inspect.Parameter.VAR_POSITIONAL}
        return inspect.Signature([inspect.Parameter(name, kind) for name, kind in kinds.items()])


class _Bare(str):
    """An annotation that is text, shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _shown(signature: Any) -> Any:
    """The signature less what it returns; annotations are all text where `from __future__ import annotations` is."""
    shown = [
        parameter.replace(annotation=_Bare(parameter.annotation)) if type(parameter.annotation) is str else parameter
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=shown, return_annotation=signature.empty)


def _lenient() -> dict[str, Any]:
    """For `inspect`: leave annotations that do not resolve as they are; from 3.14 on it would evaluate them."""
    from importlib import import_module

    try:
        return {"annotation_format": import_module("annotationlib").Format.FORWARDREF}
    except ModuleNotFoundError:
        return {}


def _annotations(fn: Callable[..., Any], signature: Any) -> Iterator[tuple[str, Any]]:
    """The parameters that have an annotation, and what it is; those left out in which a name is not to be found."""
    for parameter in signature.parameters.values():
        if parameter.annotation is not parameter.empty:
            yield from ((parameter.name, annotation) for annotation in _resolved(fn, parameter) or ())


def _returned(fn: Callable[..., Any], signature: Any) -> Any:
    if signature.return_annotation is signature.empty:
        return None
    return (_evaluated(fn, signature.return_annotation) or (None,))[0]


def _resolved(fn: Callable[..., Any], parameter: Any) -> tuple[Any] | None:
    """A parameter's annotation, which a default of None adds None to."""
    found = _evaluated(fn, parameter.annotation)
    return found if found is None or parameter.default is not None else (found[0] | None,)


def _evaluated(fn: Callable[..., Any], annotation: Any) -> tuple[Any] | None:
    """The annotation in a tuple of one, for it may be None itself; None where a name in it is not to be found."""

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    namespace = getattr(inspect.unwrap(fn), "__globals__", {})
    try:
        return (typing.get_type_hints(probe, globalns=namespace, include_extras=True)["it"],)
    except Exception:  # noqa: BLE001 - the user's annotation is evaluated here, and may do anything
        return None


def each_by(coerce: Coerce | None) -> Coerce:
    """What makes the values of an `*args` fit, which come as a list or a tuple, or as the only one."""

    def made(given: Any) -> Any:
        values = given if isinstance(given, (list, tuple)) else (given,)
        if coerce is None:
            return tuple(values)
        try:
            return tuple(map(coerce, values))
        except Rejection:
            listed = parsed(given) if isinstance(given, str) else None
            if not isinstance(listed, (list, tuple)):
                raise
            return tuple(map(coerce, listed))  # `args=[1, 2]` on a command line

    return made


def paths_in(found: Declared) -> tuple[tuple[str, ...], bool]:
    """The parameters that take a path or the text of one; and whether a path is what is returned, or among it."""
    either = tuple(name for name, annotation in found.annotations.items() if _takes_path_or_text(annotation))
    return either, _names_path(found.returns)


#: Classes within classes are looked into so far.
_DEPTH = 5


def _takes_path_or_text(annotation: Any, depth: int = _DEPTH) -> bool:
    """Whether text is taken for what an annotation says to be a path, or a text: `str | Path`, `list[str | Path]`.

    So it is where a field of a class is annotated like that.
    """
    members = _members(annotation)
    is_either = isinstance(annotation, typing.TypeVar) or typing.get_origin(annotation) in (typing.Union, UnionType)
    if is_either and str in members and any(map(_is_path, members)):
        return True
    return depth > 0 and any(_takes_path_or_text(one, depth - 1) for one in (*members, *_fields(annotation)))


def _fields(annotation: Any) -> list[Any]:
    """What the fields of a dataclass, a model, a typed dict or a named tuple are annotated with."""
    marks = ("__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__", "__total__", "_fields")
    if not isinstance(annotation, type) or not any(hasattr(annotation, name) for name in marks):
        return []
    try:
        return list(typing.get_type_hints(annotation, include_extras=True).values())
    except Exception:  # noqa: BLE001 - the user's annotations are evaluated here, and may do anything
        return []


def _names_path(annotation: Any) -> bool:
    """Whether a path is what an annotation says, or is among it."""
    return _is_path(annotation) or any(map(_names_path, _members(annotation)))


def _members(annotation: Any) -> tuple[Any, ...]:
    """What an annotation is made of; of `Annotated` the annotation."""
    annotation = getattr(annotation, "__value__", annotation)  # of `type Place = str | Path`
    if typing.get_origin(annotation) is typing.Literal:
        return ()
    if isinstance(annotation, typing.TypeVar):
        return annotation.__constraints__ or (() if annotation.__bound__ is None else (annotation.__bound__,))
    arguments = typing.get_args(annotation)
    return arguments[:1] if typing.get_origin(annotation) is typing.Annotated else arguments


def _is_path(annotation: Any) -> bool:
    kind = typing.get_origin(annotation) or annotation  # of `PathLike[str]`
    return isinstance(kind, type) and (kind is PathLike or issubclass(kind, PathLike))
