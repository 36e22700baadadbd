"""A UDF's parameters, and how one input becomes its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fanfold.codec import encode_json
from fanfold.codec.registry import knows
from fanfold.errors import CodecError, InputError
from fanfold.inputs.coercion import Coerce, Rejection, coercer, unknown_name

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
    #: Whose annotations make what no codec knows: of these plain data is sent, and made into the value where it runs.
    remade: frozenset[str] = frozenset()

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
            remade=frozenset(name for name in coercers if is_remade(annotations[name])),
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
            raise unknown_name(unknown[0], constants[unknown[0]], self.parameters, constant=True)
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
                    raise self._missing(name, given)
            if len(arguments) != len(given) + len(fixed):
                arguments.update(self._others(given, fixed))
            return arguments

        return bind

    def _missing(self, name: str, given: dict[Any, Any]) -> Rejection:
        strangers = [key for key in given if key not in self.parameters]
        if strangers and not self.accepts_any:
            return unknown_name(strangers[0], given[strangers[0]], self.parameters)
        return Rejection("it is required and missing", parameter=name, value=given)

    def _others(self, given: dict[Any, Any], fixed: dict[str, Any]) -> dict[str, Any]:
        """The arguments beyond the named parameters."""
        for name, value in given.items():
            if name in fixed:
                reason = f"it is also a constant ({name}={short(fixed[name])}); give it once"
                raise Rejection(reason, parameter=name, value=value)
            if name not in self.parameters and not (self.accepts_any and isinstance(name, str)):
                raise unknown_name(name, value, self.parameters)
        extra = {**given, **fixed}
        return {name: self._coerced(name, value) for name, value in extra.items() if name not in self.parameters}


def short(value: Any, width: int = 40) -> str:
    """`repr(value)` in at most `width` characters."""
    import reprlib

    printer = reprlib.Repr()
    printer.maxstring = printer.maxother = printer.maxlong = width
    text = " ".join(printer.repr(value).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


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


def _resolved(fn: Callable[..., Any], parameter: Any) -> tuple[Any] | None:
    """The annotation in a tuple of one, for it may be None itself; None where a name in it is not to be found."""
    import inspect
    import typing

    def probe() -> None: ...

    probe.__annotations__ = {"it": parameter.annotation}
    namespace = getattr(inspect.unwrap(fn), "__globals__", {})
    try:
        annotation = typing.get_type_hints(probe, globalns=namespace, include_extras=True)["it"]
        return (annotation | None if parameter.default is None else annotation,)
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


# Arguments as what is sent of them: text, in which a value that no codec knows stands as the plain data it is
# made of.

PutBlob = Callable[[str, bytes], object]
Send = Callable[[Mapping[str, Any]], str]


def sender(signature: Signature, put_blob: PutBlob) -> Send:
    """What writes bound arguments as canonical text; it raises `Rejection` for a value that cannot be sent.

    Anything binary above 1 KB goes to `put_blob(sha256_hex, data)`.
    """

    def send(arguments: Mapping[str, Any]) -> str:
        if signature.remade:
            arguments = {name: _sent(signature, name, value) for name, value in arguments.items()}
        try:
            return encode_json(arguments, put_blob=put_blob, name="input")
        except CodecError:
            raise _unsendable(arguments, put_blob) from None

    return send


def _sent(signature: Signature, name: str, value: Any) -> Any:
    """The plain data that the annotation makes `value` of again, where it needs any and there is some."""
    if name not in signature.remade:
        return value
    try:
        data = plain(value)
        same = data is value or bool(signature.coercers[name](data) == value)
    except Exception:  # noqa: BLE001 - the user's own attributes and `__eq__`, or the annotation does not take the data
        same = False
    return data if same else value  # which is then refused by its name


def _unsendable(arguments: Mapping[str, Any], put_blob: PutBlob) -> Rejection:
    for name, value in arguments.items():
        try:
            encode_json(value, put_blob=put_blob, name=name)
        except CodecError as error:
            reason = f"{error.message.rstrip('.')}; {error.instead}" if error.instead else error.message.rstrip(".")
            return Rejection(reason, parameter=name, value=value)
    raise AssertionError("the whole has no codec, though each of its parts has one")


def is_remade(annotation: Any) -> bool:
    """Whether an annotation makes values that no codec knows, by the classes it is made of."""
    from typing import get_args, get_origin

    if get_origin(annotation) is not None:
        return any(map(is_remade, get_args(annotation)))
    if not isinstance(annotation, type) or annotation.__module__ in ("builtins", "collections.abc", "typing"):
        return False
    return not knows(annotation)


def plain(value: Any) -> Any:
    """The data that `value` is made of, as its annotation takes it; `value` itself where that is all there is to it."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        parts = [plain(part) for part in value]
        return value if all(a is b for a, b in zip(parts, value, strict=True)) else kind(parts)
    if kind is dict:
        items = {plain(key): plain(item) for key, item in value.items()}
        return value if all(items.get(key) is item for key, item in value.items()) else items
    if knows(kind):
        return value
    return _taken_apart(value, kind)


def _taken_apart(value: Any, kind: type) -> Any:
    if hasattr(kind, "__members__") and hasattr(value, "_value_"):  # an Enum
        return plain(value._value_)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return [plain(part) for part in value]
    fields = _fields(kind)
    return _printed(value, kind) if fields is None else {key: plain(getattr(value, name)) for name, key in fields}


def _fields(kind: Any) -> list[tuple[str, str]] | None:
    """The attributes of a dataclass or a pydantic model, and what each is called when one is made; None of others."""
    if hasattr(kind, "__dataclass_fields__"):
        return [(name, name) for name, field in kind.__dataclass_fields__.items() if field.init]
    if hasattr(kind, "__pydantic_fields__"):
        aliases = {name: field.validation_alias or field.alias for name, field in kind.__pydantic_fields__.items()}
        return [(name, alias if isinstance(alias, str) else name) for name, alias in aliases.items()]
    return None


def _printed(value: Any, kind: type) -> Any:
    """The text that some kinds are read from."""
    if hasattr(kind, "get_secret_value"):
        return value.get_secret_value()
    package = kind.__module__.partition(".")[0]
    if package == "re":
        return value.pattern
    return str(value) if package in ("pydantic", "pydantic_core", "ipaddress", "fractions") else value
