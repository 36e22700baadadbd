"""The decorator that makes a function a UDF."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from fanfold.core.options import Options
from fanfold.errors import InputError
from fanfold.settings import WithoutOwnFrames

if TYPE_CHECKING:
    from datetime import timedelta

    from fanfold.api.schedules import Schedule
    from fanfold.core.options import Retry, RetryOn
    from fanfold.job import Job

#: Options of `fanfold.run` that a call takes as well, beside the UDF's own arguments.
_OF_A_CALL = ("engine", "instance_type", "cache", "cache_max_age")

P = ParamSpec("P")
R = TypeVar("R")


class Udf(Generic[P, R]):
    """A function that can be scaled out. Calling it runs it once, on its engine, and returns its value."""

    def __init__(self, fn: Callable[P, R], options: Options) -> None:
        self.__fanfold_udf__ = fn
        self.options = options
        if options.setup is not None:
            vars(fn)["__fanfold_setup__"] = options.setup  # travels with the function, as all its attributes do
        functools.update_wrapper(self, fn)

    @property
    def name(self) -> str:
        """What jobs of it are called."""
        return self.options.name or self.__fanfold_udf__.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it once and return its value. What it prints is shown. Within a run this is a plain call."""
        from fanfold.api.submit import call
        from fanfold.core.compat import refuse_misspelt, takes
        from fanfold.submission.prepare import inside_run

        fn = self.__fanfold_udf__
        if inside_run():
            return fn(*args, **kwargs)
        options: dict[str, Any] = {
            name: kwargs.pop(name) for name in _OF_A_CALL if name in kwargs and not takes(fn, name)
        }
        with WithoutOwnFrames():
            refuse_misspelt(fn, kwargs, _OF_A_CALL)
            return cast("R", call(self, named_arguments(fn, args, kwargs), **options))

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function in this process: no engine, no job, no cache, no limits."""
        return self.__fanfold_udf__(*args, **kwargs)

    def map(self, inputs: Any = None, *others: Any, **options: Any) -> Job:
        """Run it once per input, in parallel; returns the job at once. Options are those of `fanfold.submit`."""
        from fanfold.api.submit import submit

        if others:
            raise InputError(
                f"map() takes one iterable of inputs, not {1 + len(others)}.",
                next_step="put them together: udf.map(zip(xs, ys)), or udf.starmap(zip(xs, ys)).",
            )
        with WithoutOwnFrames():
            job: Any = submit(self, inputs, **{**options, "collect": False})
        return cast("Job", job)

    def starmap(self, inputs: Iterable[Sequence[Any]], **options: Any) -> Job:
        """`map` of tuples, each of which goes to the parameters in order, also to those that have defaults."""
        import inspect

        free = [name for name in inspect.signature(self.__fanfold_udf__).parameters if name not in options]

        def named() -> Iterator[dict[str, Any]]:
            for index, given in enumerate(inputs):
                if len(given) > len(free):
                    reason = f"Input {index} has {len(given)} values; {self.name}() takes {', '.join(free)}."
                    raise InputError(reason, next_step="give a value for each parameter, in order.")
                yield dict(zip(free, given, strict=False))

        return self.map(named(), **options)

    def schedule(
        self, cron: str, inputs: Any = None, *, name: str | None = None, timezone: str = "UTC", **options: Any
    ) -> Schedule:
        """Have a deployment run it over these inputs by itself, at the times of a line of cron ("0 6 * * *").

        The code and the inputs are those of now (None: one run without any); the same `name` replaces a schedule.
        `timezone`, such as "Europe/Berlin", is the zone of these times. Options are those of `fanfold.submit`, but for
        those about waiting. Each time starts a job like others, which computes afresh. Raises `InputError`, and
        `ConfigurationError` where there is no deployment.
        """
        from fanfold.api.schedules import make_schedule

        with WithoutOwnFrames():
            return make_schedule(self, cron, inputs, name=name, timezone=timezone, **options)

    def map_async(self, inputs: Any = None, **options: Any) -> Job:
        """The older spelling of `map`, which returns at once as well."""
        return self.map(inputs, **options)

    def run_local(self, **arguments: Any) -> R:
        """The older spelling of `local`."""
        return self.__fanfold_udf__(**arguments)  # type: ignore[call-arg]

    @property
    def code(self) -> str:
        """The text of its function. Raises `OSError` where Python has kept none."""
        import inspect

        return inspect.getsource(self.__fanfold_udf__)

    @property
    def entrypoint(self) -> str:
        """The name of its function."""
        return self.__fanfold_udf__.__name__

    @property
    def cache_max_age(self) -> int | None:
        """How old a result may be that is used again, in seconds; None for the default."""
        from fanfold.core.cache_key import parse_age

        asked = self.options.cache_max_age
        return None if asked is None else int(parse_age(asked))

    def set_parameters(self, parameters: dict[str, Any]) -> Udf[P, R]:
        """The same function with other defaults. Raises `InputError` where they do not fit its parameters."""
        return Udf(_with_defaults(self.__fanfold_udf__, parameters), self.options)

    def with_options(self, **options: Any) -> Udf[P, R]:
        """The same function, asking for something else, such as another `instance_type`."""
        return Udf(self.__fanfold_udf__, Options.checked(**{**self.options._asdict(), **options}))

    if not TYPE_CHECKING:  # type checkers are to know each name

        def __getattr__(self, name: str) -> Any:
            from fanfold.core.elsewhere import OF_UDF, attribute_hint

            said = attribute_hint(name, OF_UDF)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{said}", name=name, obj=self)

    def __repr__(self) -> str:
        given = self.options._asdict().items()
        options = ", ".join(
            f"{name}={value!r}" for name, value in given if value is not False and value not in (None, (), "auto")
        )
        return f"<Udf {self.name}{f' ({options})' if options else ''}>"


@overload
def udf(fn: Udf[P, R], /, **options: Any) -> Udf[P, R]: ...


@overload
def udf(fn: Callable[P, R], /, **options: Any) -> Udf[P, R]: ...


@overload
def udf(
    fn: None = None,
    /,
    *,
    name: str | None = None,
    instance_type: str | None = None,
    engine: str | None = None,
    cache_max_age: str | float | timedelta | None = None,
    max_retry: int | None = None,
    retry_on: RetryOn = (),
    retry: Retry | None = None,
    rate: str | float | None = None,
    timeout_s: float | None = None,
    memory_mib: int | None = None,
    disk_size_gb: int | None = None,
    serializer: str = "auto",
    fresh: bool = False,
    idempotent: bool = False,
    setup: Callable[[], object] | None = None,
    packages: str | Sequence[str] | None = None,
    image: str | None = None,
    secrets: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[[Callable[P, R]], Udf[P, R]]: ...


def udf(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a UDF: `@udf`, or `@udf(instance_type="small", cache_max_age="7d")`.

    Options: `name`, `instance_type`, `engine`, `cache_max_age`, `max_retry`, `retry_on`,
    `retry` (a `fanfold.Retry`, which has pauses), `rate` ("20/s": how many of a job's runs may begin in a time),
    `timeout_s` (seconds),
    `memory_mib`, `disk_size_gb`, `serializer` ("auto" or "pickle"), `fresh` (each run in a process of its own),
    `idempotent` (a run may be performed twice, as with `submit(hedge=True)`), `setup`
    (a function that is called once in each worker before its first run), `packages` (a list of requirements, "auto",
    or a requirements file: what it needs beside what is where it runs), `image` (the name of one of the deployment's
    images),
    `secrets` (names, see `fanfold secret`) and `env` (values by name: what its runs have in their environment),
    `depends_on` (paths, functions and names of parameters that hold paths: a result is used again only while they are
    what they were), `check_paths` (True: texts in results are paths as well, and a result is used again only while they
    lead to what the run left there). Raises `InputError` for an unknown one.
    """
    options.pop("headers", None)  # the older spelling: modules that a UDF imports travel with it
    defaults = options.pop("default_parameters", None)
    if fn is not None and defaults:
        return udf(fn, **options).set_parameters(defaults)
    if fn is None:
        Options.checked(**options)

        def decorate(function: Callable[..., Any]) -> Udf[..., Any]:
            return udf(function, **options, default_parameters=defaults)

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


def _with_defaults(fn: Callable[..., Any], given: dict[str, Any]) -> Callable[..., Any]:
    """A copy of a function whose parameters have these defaults. Raises `InputError` where it cannot have them."""
    import inspect
    from types import FunctionType

    known = inspect.signature(fn).parameters
    unknown = [name for name in given if name not in known]
    if unknown or not isinstance(fn, FunctionType):
        raise InputError(
            f"{fn.__name__}() has no parameter {', '.join(map(repr, unknown))}.",
            next_step=f"it has {', '.join(known)}.",
        )
    positional = [each for each in known.values() if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    defaults = [given.get(each.name, each.default) for each in positional]
    first = next((n for n, value in enumerate(defaults) if value is not inspect.Parameter.empty), len(defaults))
    if inspect.Parameter.empty in defaults[first:]:
        raise InputError(
            f"{fn.__name__}(): a parameter without a default follows one that has it.",
            next_step="give the later ones a default as well, or pass them as constants of submit.",
        )
    made = FunctionType(fn.__code__, fn.__globals__, fn.__name__, tuple(defaults[first:]), fn.__closure__)
    made.__kwdefaults__ = {
        **(fn.__kwdefaults__ or {}),
        **{k: v for k, v in given.items() if known[k].kind is known[k].KEYWORD_ONLY},
    }
    functools.update_wrapper(made, fn)
    del made.__wrapped__  # type: ignore[attr-defined]  # its own defaults count, not the other's
    return made


def named_arguments(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of `fn`'s parameters. Raises `InputError` where they do not fit."""
    from fanfold.inputs.inspected import signature_of

    if not args:
        return kwargs
    try:
        given = signature_of(fn).bind(*args, **kwargs)
    except TypeError as error:
        from fanfold.inputs import Signature

        raise InputError(f"{fn.__name__}: {error}.", next_step=f"it is called as `{Signature.of(fn).text}`.") from error
    named = dict(given.arguments)
    for name, parameter in given.signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            named.update(named.pop(name, {}))
    return named
