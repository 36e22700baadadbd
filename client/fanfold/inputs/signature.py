"""A UDF's parameters, and how one input becomes its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fanfold.codec.refusals import never_encoded
from fanfold.errors import InputError
from fanfold.inputs.coercion import Coerce, coercer
from fanfold.inputs.rejection import Rejection, short, unknown_name

Bind = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Signature:
    """What a UDF takes: its parameters in order, which of them are required, and what makes values fit each."""

    name: str
    #: As a reader would write it, such as `delays(day: str, n: int = 1)`.
    text: str
    parameters: tuple[str, ...]
    required: frozenset[str]
    #: True where `**kwargs` takes names beyond `parameters`.
    accepts_any: bool = False
    coercers: Mapping[str, Coerce] = field(default_factory=dict, repr=False, compare=False)
    #: What makes the values of `**kwargs` fit.
    any_coercer: Coerce | None = field(default=None, repr=False, compare=False)

    #: What it says that it returns; None where it does not say.
    returns: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, fn: Callable[..., Any]) -> Signature:
        """The signature of `fn`. Raises `InputError` where it has parameters that no input can reach."""
        import inspect

        signature = inspect.signature(fn, **_lenient())
        name = getattr(fn, "__name__", type(fn).__name__)
        by_name = signature.parameters.values()
        for parameter in by_name:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise _unreachable(name, parameter)
        named = [parameter for parameter in by_name if parameter.kind is not parameter.VAR_KEYWORD]
        annotations = dict(_annotations(fn, signature))
        coercers = {name: made for name, annotation in annotations.items() if (made := coercer(annotation))}
        rest = next((parameter.name for parameter in by_name if parameter.kind is parameter.VAR_KEYWORD), None)
        return cls(
            name=name,
            text=f"{name}{_readable(signature)}",
            parameters=tuple(parameter.name for parameter in named),
            required=frozenset(parameter.name for parameter in named if parameter.default is parameter.empty),
            accepts_any=rest is not None,
            any_coercer=None if rest is None else coercers.pop(rest, None),
            coercers=coercers,
            returns=_returned(fn, signature),
        )

    def check_returns(self) -> None:
        """Raises `InputError` where the return annotation says that no result could be stored."""
        instead = never_encoded(self.returns)
        if instead is not None:
            raise InputError(
                f"{self.name}() returns {getattr(self.returns, '__name__', self.returns)}, which has no codec.",
                next_step=f"Return {instead}, and say so in its annotation. Nothing was started.",
            )

    @property
    def first(self) -> str | None:
        """The parameter that inputs go to which are not dicts; None where there is none."""
        return self.parameters[0] if self.parameters else None

    def bind(self, one_input: Any, constants: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The arguments for one input, coerced, in the order of the signature; defaults are left to the UDF.

        A dict is keyword arguments, anything else goes to the first parameter. Raises `InputError`.
        """
        bind = self.binder(constants or {})
        try:
            return bind(one_input)
        except Rejection as rejection:
            raise self.error(rejection) from None

    def binder(self, constants: Mapping[str, Any]) -> Bind:
        """What binds any number of inputs; it raises `Rejection`. The constants are checked here, with `InputError`."""
        try:
            fixed = self._fixed(constants)
        except Rejection as rejection:
            raise self.error(rejection) from None
        bind_names = self._names_binder(fixed)
        first = self.first
        if first is None or first in fixed or not self.required <= {first, *fixed}:
            return lambda given: bind_names(given if isinstance(given, dict) else {self._first(given): given})
        coerce = self.coercers.get(first)

        def bind(given: Any) -> dict[str, Any]:
            if isinstance(given, dict):
                return bind_names(given)
            if coerce is not None:
                given = _coerced(coerce, first, given)
            return {first: given, **fixed}

        return bind

    def error(self, rejection: Rejection) -> InputError:
        """The error for one rejected input."""
        subject = f"{rejection.parameter}={short(rejection.value)}: " if rejection.parameter else ""
        return InputError(f"{subject}{rejection.reason}.", next_step=f"It is called as `{self.text}`.")

    def _first(self, given: Any) -> str:
        if self.first is None:
            raise Rejection(f"{self.name}() has no parameter for it; pass a dict", value=given)
        return self.first

    def _fixed(self, constants: Mapping[str, Any]) -> dict[str, Any]:
        unknown = [name for name in constants if name not in self.parameters]
        if unknown and not self.accepts_any:
            raise unknown_name(unknown[0], constants[unknown[0]], self.parameters)
        order = [name for name in self.parameters if name in constants] + unknown
        return {name: self._coerced(name, constants[name]) for name in order}

    def _coerced(self, name: str, value: Any) -> Any:
        coerce = self.coercers.get(name) if name in self.parameters else self.any_coercer
        return value if coerce is None else _coerced(coerce, name, value)

    def _names_binder(self, fixed: dict[str, Any]) -> Bind:
        def bind(given: Any) -> dict[str, Any]:
            arguments = {}
            for name in self.parameters:
                if name in given:
                    arguments[name] = self._coerced(name, given[name])
                elif name in fixed:
                    arguments[name] = fixed[name]
                elif name in self.required:
                    raise self._missing(name, given, fixed)
            if len(arguments) != len(given) + len(fixed):
                arguments.update(self._others(given, fixed))
            return arguments

        return bind

    def _missing(self, name: str, given: dict[Any, Any], fixed: Mapping[str, Any]) -> Rejection:
        strangers = [key for key in given if key not in self.parameters]
        if strangers and not self.accepts_any:
            return self._stranger(strangers[0], given, fixed)
        several: Any = given.get(self.first) if list(given) == [self.first] else None
        if type(several) in (tuple, list) and len(several) > 1:
            names = [name for name in self.parameters if name not in fixed][: len(several)]
            example = ", ".join(f'"{name}": ...' for name in names)
            reason = f"it is required and missing: a {type(several).__name__} is one value, for {self.first}; to give"
            return Rejection(f"{reason} several parameters write {{{example}}}", parameter=name, value=several)
        return Rejection("it is required and missing", parameter=name, value=given)

    def _stranger(self, name: Any, given: Mapping[Any, Any], fixed: Mapping[str, Any]) -> Rejection:
        """The rejection of a name that is no parameter; a dict of such names may be meant for the only free one."""
        free = [name for name in self.parameters if name not in fixed]
        needed = [name for name in free if name in self.required] or free
        whole = needed[0] if len(needed) == 1 and not any(key in self.parameters for key in given) else None
        return unknown_name(name, given[name], self.parameters, whole=whole)

    def _others(self, given: dict[Any, Any], fixed: dict[str, Any]) -> dict[str, Any]:
        """The arguments beyond the named parameters."""
        for name, value in given.items():
            if name in fixed:
                reason = f"it is also a constant ({name}={short(fixed[name])}); give it once"
                raise Rejection(reason, parameter=name, value=value)
            if name not in self.parameters and not (self.accepts_any and isinstance(name, str)):
                raise self._stranger(name, given, fixed)
        extra = {**given, **fixed}
        return {name: self._coerced(name, value) for name, value in extra.items() if name not in self.parameters}


def _coerced(coerce: Coerce, name: str, value: Any) -> Any:
    try:
        return coerce(value)
    except Rejection as rejection:
        rejection.parameter, rejection.value = name, value
        raise


class _Bare(str):
    """An annotation that is text, shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _readable(signature: Any) -> Any:
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
    import inspect
    import typing

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    namespace = getattr(inspect.unwrap(fn), "__globals__", {})
    try:
        return (typing.get_type_hints(probe, globalns=namespace, include_extras=True)["it"],)
    except Exception:  # noqa: BLE001 - the user's annotation is evaluated here, and may do anything
        return None


def _unreachable(name: str, parameter: Any) -> InputError:
    if parameter.kind is parameter.VAR_POSITIONAL:
        step = f"Give it names: replace `*{parameter.name}` by parameters, or by one that takes a list."
        return InputError(f"{name}() takes `*{parameter.name}`, but inputs are passed by keyword.", next_step=step)
    return InputError(
        f"{name}() takes {parameter.name!r} by position only, but inputs are passed by keyword.",
        next_step="Take the `/` out of its parameters.",
    )
