"""A UDF's parameters, and how one input becomes its arguments."""

from __future__ import annotations

import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cached_property
from types import FunctionType
from typing import Any

from fanfold.codec.encoded import never_encoded
from fanfold.codec.registry import HIDDEN, is_by_reference, is_sealed, secret_kinds
from fanfold.contract.records import NamedTuple
from fanfold.core import EXACT_IN_FLOATS
from fanfold.core.models import NO_DATA
from fanfold.errors import InputError

# Why one input does not fit. A rejection never leaves this package: it becomes a line of an `InputError`.


class Rejection(Exception):
    """One input's offence: which parameter, what it was given, and why that will not do."""

    def __init__(self, reason: str, *, parameter: str = "", value: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.parameter = parameter
        self.value = value


def unknown_name(name: Any, value: Any, known: Iterable[str], *, whole: str | None = None) -> Rejection:
    """The rejection of a name that is no parameter, with the one that was perhaps meant.

    `whole` is the parameter that may have been meant to take the whole dict.
    """
    import difflib

    known = tuple(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        hint = f"did you mean {close[0]!r}?"
    elif whole is not None:
        hint = f'it takes {", ".join(known)}; to pass a dict whole, write {{"{whole}": {{...}}}}'
    elif known:
        hint = f"it takes {', '.join(known)}"
    else:
        hint = "it takes none"
    return Rejection(f"there is no such parameter; {hint}", parameter=str(name), value=value)


# Values made to fit an annotation, or rejected with the reason.

Coerce = Callable[[Any], Any]
_Fits = Callable[[Any], bool]

_CONTAINERS = (list, dict, tuple, set, frozenset, Sequence, Mapping, AbstractSet)


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
        if type(value) is int and -EXACT_IN_FLOATS <= value <= EXACT_IN_FLOATS:
            return float(value)
        return lax(value)

    return coerce


def _with_fast_path(fits: _Fits | None, lax: Coerce) -> Coerce:
    if fits is None:
        return lax

    def coerce(value: Any) -> Any:
        return value if fits(value) else lax(value)

    coerce.fits = fits  # type: ignore[attr-defined] # for who wants to know it beforehand
    return coerce


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


_A_PATH = "is a path; annotate it `str | Path`, or give its text"


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
        if _has_references(value):
            from fanfold.codec.stored import resolve

            value = resolve(value)
            if _has_references(value):
                return value  # a run's result, which is not looked at before that run
        if isinstance(value, str):
            value = _literal_of(self._annotation, value)
        if self._reads_json and isinstance(value, str):
            value = parsed(value)
        try:
            fitted = self._adapter.validate_python(value)
        except ValidationError as error:
            return self._otherwise(value, error)
        except Exception as error:  # a validator of the user's own
            raise Rejection(f"its annotation raised {type(error).__name__}: {error}") from error
        from fanfold.inputs.fitted import check_addresses, with_own_zones

        check_addresses(fitted)
        return with_own_zones(fitted) if "datetime" in repr(self._annotation) else fitted

    def _otherwise(self, value: Any, error: Any) -> Any:
        """What a value that does not fit as it is may stand for. Raises `Rejection`."""
        if is_sealed(value):  # it did fit in the job that it was read from
            return value
        if isinstance(value, str) and (choice := _choice(self._annotation, value)):
            return choice[0]
        if isinstance(value, str) and _has_fields(self._annotation) and (found := parsed(value)) is not value:
            return self(found)
        is_path = self._annotation is str and hasattr(type(value), "__fspath__")
        reason = _A_PATH if is_path else _reason(error.errors(include_url=False, include_input=False))
        instead = never_encoded(type(value))
        raise Rejection(f"{reason}; pass {instead}" if instead else reason) from None

    @cached_property
    def _adapter(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what an annotation is to pydantic, which its author has not asked
            return _adapter_of(_readable(self._annotation))


def _adapter_of(annotation: Any) -> Any:
    """What pydantic reads values of an annotation with; None where it cannot read it."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter

    try:
        try:
            return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # a model or a dataclass brings its own configuration
            return TypeAdapter(annotation)
    except Exception:  # noqa: BLE001 - an annotation may be any object at all; what pydantic cannot read says nothing
        return None


def _has_references(value: Any) -> bool:
    """Whether a value is a run of a job, or a container with one among its values."""
    if isinstance(value, dict):
        return any(map(is_by_reference, value.values()))
    return any(map(is_by_reference, value)) if isinstance(value, (list, tuple)) else is_by_reference(value)


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


def _has_fields(annotation: Any) -> bool:
    """Whether it is a class of named fields, or may be one: a dataclass, a model, a typed dict, a named tuple."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return any(map(_has_fields, arguments[: 1 if origin is typing.Annotated else None]))
    return any(hasattr(annotation, names) for names in ("__dataclass_fields__", "model_fields", "__total__", "_fields"))


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


def parsed(text: str) -> Any:
    """The list, dict, tuple, set or None that a text writes, in JSON or as Python does; else the text."""
    import ast
    import json

    for read in (json.loads, ast.literal_eval) if text.lstrip().startswith(("[", "(", "{")) else (json.loads,):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            read_as = read(text.strip())
            return read_as if isinstance(read_as, (list, dict, tuple, set)) or read_as is None else text
    return text


def _reason(errors: Sequence[Any]) -> str:
    first, *others = errors
    message = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    place = "".join(f"[{step!r}]" for step in first["loc"])
    more = f" (and {len(others)} more like it)" if others else ""
    return f"{place}: {message}{more}" if place else f"{message}{more}"


Bind = Callable[[Any], dict[str, Any]]


#: Of which a default is short, and says what it is.
_PLAIN = (bool, int, float, str)
#: `inspect.CO_VARARGS | inspect.CO_VARKEYWORDS`
_TAKES_MORE = 4 | 8


class Declared(NamedTuple):
    """What a function says that it takes."""

    #: As a reader would write it, such as `(day: str, n: int = 1)`.
    text: str
    #: All but `rest`, in order.
    parameters: tuple[str, ...]
    defaults: Mapping[str, Any]
    #: What they are annotated with, less those in which a name is not to be found.
    annotations: Mapping[str, Any]
    returns: Any = None
    #: Its `*args`.
    several: str | None = None
    #: Its `**kwargs`.
    rest: str | None = None


def _plain(fn: Any) -> Declared | None:
    """What most UDFs say, read from the function itself; None for one that says more than the plainest."""
    if type(fn) is not FunctionType or fn.__dict__:
        return None
    try:
        code, given, annotations = fn.__code__, fn.__defaults__ or (), fn.__annotations__
    except Exception:  # noqa: BLE001  from 3.14 on they are evaluated here: the user's own code
        return None
    parameters = code.co_varnames[: code.co_argcount]
    says_more = code.co_posonlyargcount or code.co_kwonlyargcount or code.co_flags & _TAKES_MORE
    if says_more or not all(any(each is one for one in _PLAIN) for each in (*annotations.values(), *map(type, given))):
        return None
    defaults = dict(zip(parameters[len(parameters) - len(given) :], given, strict=True))
    texts = (_declared(one, annotations, defaults) for one in parameters)
    returns = annotations.get("return")
    return Declared(
        f"({', '.join(texts)})", parameters, defaults, {k: v for k, v in annotations.items() if k != "return"}, returns
    )


def _declared(name: str, annotations: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    if name not in annotations:
        return f"{name}={defaults[name]!r}" if name in defaults else name
    text = f"{name}: {annotations[name].__name__}"
    return f"{text} = {defaults[name]!r}" if name in defaults else text


class Signature(NamedTuple):
    """What a UDF takes: its parameters in order, which of them are required, and what makes values fit each."""

    name: str
    #: As a reader would write it, such as `delays(day: str, n: int = 1)`.
    text: str
    parameters: tuple[str, ...]
    required: frozenset[str]
    #: True where `**kwargs` takes names beyond `parameters`.
    accepts_any: bool = False
    coercers: Mapping[str, Coerce] = NO_DATA
    #: What makes the values of `**kwargs` fit.
    any_coercer: Coerce | None = None

    #: What its parameters are annotated with.
    annotations: tuple[Any, ...] = ()
    #: What it says that it returns; None where it does not say.
    returns: Any = None
    defaults: Mapping[str, Any] = NO_DATA
    #: The parameters that take a path or the text of one, and whether a path is among what is returned.
    paths: tuple[tuple[str, ...], bool] = ((), False)

    @classmethod
    def of(cls, fn: Callable[..., Any]) -> Signature:
        """The signature of `fn`; an `*args` is a parameter that takes a list."""
        found = _plain(fn)
        paths: tuple[tuple[str, ...], bool] = ((), False)
        if found is None:
            from fanfold.inputs.inspected import declared, paths_in  # and `inspect`, which takes 4 ms to import

            found = declared(fn)
            paths = paths_in(found)
        name = getattr(fn, "__name__", type(fn).__name__)
        coercers = {one: made for one, annotation in found.annotations.items() if (made := coercer(annotation))}
        if found.several is not None:
            from fanfold.inputs.inspected import each_by

            coercers[found.several] = each_by(coercers.get(found.several))
        return cls(
            name=name,
            text=f"{name}{found.text}",
            parameters=found.parameters,
            required=frozenset(found.parameters).difference(found.defaults, (found.several,)),
            accepts_any=found.rest is not None,
            any_coercer=None if found.rest is None else coercers.pop(found.rest, None),
            coercers=coercers,
            annotations=tuple(found.annotations.values()),
            returns=found.returns,
            defaults=found.defaults,
            paths=paths,
        )

    def check_returns(self) -> None:
        """Raises `InputError` where the return annotation says that no result could be stored."""
        instead = None if self.returns is None else never_encoded(self.returns, of_result=True)
        if instead is not None:
            shown = self.returns if typing.get_args(self.returns) else getattr(self.returns, "__name__", self.returns)
            raise InputError(
                f"{self.name}() returns {shown}, which has no codec.",
                next_step=f"return {instead}, and say so in its annotation. Nothing was started.",
            )

    @property
    def plain_defaults(self) -> dict[str, Any]:
        """Defaults that are numbers, texts or truth values."""
        return {one: default for one, default in self.defaults.items() if type(default) in _PLAIN}

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
            return lambda given: bind_names(given if isinstance(given, dict) else self._named(given, fixed))
        coerce = self.coercers.get(first)

        def bind(given: Any) -> dict[str, Any]:
            if isinstance(given, dict):
                return bind_names(given)
            if coerce is not None:
                try:
                    given = _coerced(coerce, first, given)
                except Rejection as rejection:
                    raise self._as_a_dict(rejection, given, fixed) from None
            return {first: given, **fixed}

        return bind

    def error(self, rejection: Rejection) -> InputError:
        """The error for one rejected input."""
        subject = f"{rejection.parameter}={self.shown(rejection.value)}: " if rejection.parameter else ""
        return InputError(f"{subject}{rejection.reason}.", next_step=f"it is called as `{self.text}`.")

    def shown(self, value: Any) -> str:
        """A value in an error. Of a UDF that takes secrets none is shown: what does not fit may be one."""
        from fanfold.core.shown import short

        return HIDDEN if any(map(_takes_secret, self.annotations)) else short(value)

    def _named(self, given: Any, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """An input by name where the first parameter alone will not do: a tuple goes to them all, in order."""
        free = [name for name in self.parameters if name not in fixed]
        if not isinstance(given, tuple) or len(self.required - set(fixed)) < 2:
            return {self._first(given): given}
        if len(given) > len(free):
            reason = f"a tuple goes to {', '.join(free)} in order, and this one has {len(given)} values"
            raise Rejection(reason, value=given)
        return dict(zip(free, given, strict=False))

    def _as_a_dict(self, rejection: Rejection, given: Any, fixed: Mapping[str, Any]) -> Rejection:
        """The same for a tuple, which went to one parameter and may have been meant for several: says what to write."""
        free = [name for name in self.parameters if name not in fixed]
        if isinstance(given, tuple) and 2 <= len(given) <= len(free):
            from fanfold.core.shown import short

            example = ", ".join(f'"{name}": {short(value)}' for name, value in zip(free, given, strict=False))
            rejection.reason += f"; for several parameters, of which some have defaults, write {{{example}}}"
        return rejection

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
        is_row = isinstance(several, (tuple, list)) or (type(several).__name__ == "ndarray" and several.ndim)
        if is_row and len(several) > 1:
            names = [name for name in self.parameters if name not in fixed][: len(several)]
            example = ", ".join(f'"{name}": ...' for name in names)
            reason = f"it is required and missing: the {type(several).__name__} is one value, for {self.first}; to give"
            return Rejection(
                f"{reason} several parameters write tuples, or {{{example}}}", parameter=name, value=several
            )
        return Rejection("it is required and missing", parameter=name, value=given)

    def _stranger(self, name: Any, given: Mapping[Any, Any], fixed: Mapping[str, Any]) -> Rejection:
        """The rejection of a name that is no parameter; a dict of such names may be meant for the only free one."""
        free = [name for name in self.parameters if name not in fixed]
        needed = [name for name in free if name in self.required] or free
        whole = None
        if len(needed) == 1 and not any(key in self.parameters for key in given):
            with suppress(Rejection):  # an `int` takes no dict
                self._coerced(needed[0], given)
                whole = needed[0]
        return unknown_name(name, given[name], self.parameters, whole=whole)

    def _others(self, given: dict[Any, Any], fixed: dict[str, Any]) -> dict[str, Any]:
        """The arguments beyond the named parameters."""
        for name, value in given.items():
            if name in fixed:
                from fanfold.core.shown import short

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


def _takes_secret(annotation: Any, depth: int = 5) -> bool:
    """Whether an annotation names a secret: as it is, within another, or as a field of a model."""
    if depth == 0:
        return False
    if isinstance(annotation, type) and issubclass(annotation, secret_kinds()):
        return True
    fields = getattr(annotation, "__pydantic_fields__", None) or {}
    inner = [each.annotation for each in fields.values()] if isinstance(fields, dict) else []
    return any(_takes_secret(each, depth - 1) for each in (*typing.get_args(annotation), *inner))
