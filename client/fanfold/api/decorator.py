"""The decorator that makes a function a UDF."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from fanfold.core.options import Options
from fanfold.errors import InputError

if TYPE_CHECKING:
    from fanfold.job import Job

#: Options of `fanfold.run` that a call takes as well, beside the UDF's own arguments.
_OF_A_CALL = ("engine", "instance_type", "cache", "cache_max_age")

P = ParamSpec("P")
R = TypeVar("R")


class Udf:
    """A function that can be scaled out. Calling it runs it once, on its engine, and returns its value."""

    def __init__(self, fn: Callable[..., Any], options: Options) -> None:
        self.__fanfold_udf__ = fn
        self.options = options
        functools.update_wrapper(self, fn)

    @property
    def name(self) -> str:
        """What jobs of it are called."""
        return self.options.name or self.__fanfold_udf__.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it once and return its value. Within a run this is a plain call."""
        from fanfold.api.submit import call
        from fanfold.core.compat import takes
        from fanfold.submission.resolve import inside_run

        fn = self.__fanfold_udf__
        if inside_run():
            return fn(*args, **kwargs)
        options = {name: kwargs.pop(name) for name in _OF_A_CALL if name in kwargs and not takes(fn, name)}
        return call(self, named_arguments(fn, args, kwargs), **options)

    def map(self, inputs: Any = None, **options: Any) -> Job:
        """Run it once per input, in parallel; returns the job at once. Options are those of `fanfold.submit`."""
        from fanfold.api.submit import submit

        job: Any = submit(self, inputs, **{**options, "collect": False})
        return cast("Job", job)

    def with_options(self, **options: Any) -> Udf:
        """The same function, asking for something else, such as another `instance_type`."""
        return Udf(self.__fanfold_udf__, Options.checked(**{**self.options._asdict(), **options}))

    def __repr__(self) -> str:
        asked = self.options._asdict().items()
        told = ", ".join(f"{name}={value!r}" for name, value in asked if value not in (None, (), "auto"))
        return f"<Udf {self.name}{f' ({told})' if told else ''}>"


@overload
def udf(fn: Callable[P, R], /) -> Udf: ...


@overload
def udf(fn: None = None, /, **options: Any) -> Callable[[Callable[..., Any]], Udf]: ...


def udf(fn: Callable[..., Any] | None = None, /, **options: Any) -> Udf | Callable[[Callable[..., Any]], Udf]:
    """Make a function a UDF: `@udf`, or `@udf(instance_type="small", cache_max_age="7d")`.

    Options: `name`, `instance_type`, `engine`, `cache_max_age`, `max_retry`, `retry_on`, `timeout_s` (seconds),
    `memory_mib`, `disk_size_gb`, `serializer` ("auto" or "pickle"). Raises `InputError` for an unknown one.
    """
    if fn is None:
        Options.checked(**options)

        def decorate(decorated: Callable[..., Any]) -> Udf:
            return udf(decorated, **options)

        decorate.__fanfold_decorator__ = True  # type: ignore[attr-defined]  # kept under a name it is a decorator too
        return decorate
    if isinstance(fn, Udf):
        return fn.with_options(**options)
    if not callable(fn):
        raise InputError(
            f"@udf stands before a function, not before {type(fn).__name__}.",
            next_step="options are named: @udf(name=...).",
        )
    return Udf(fn, Options.checked(**options))


udf.__fanfold_decorator__ = True  # type: ignore[attr-defined]


def named_arguments(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of `fn`'s parameters. Raises `InputError` where they do not fit."""
    import inspect

    if not args:
        return kwargs
    try:
        given = inspect.signature(fn).bind(*args, **kwargs)
    except TypeError as error:
        from fanfold.inputs import Signature

        raise InputError(f"{fn.__name__}: {error}.", next_step=f"it is called as `{Signature.of(fn).text}`.") from error
    named = dict(given.arguments)
    for name, parameter in given.signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            named.update(named.pop(name, {}))
    return named
