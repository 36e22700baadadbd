"""What a UDF or a call may ask for, and what holds when both have spoken."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta  # a field says it, and SQLite brings it along anyway
from pathlib import PurePath
from typing import Any

from fanfold.contract.instances import INSTANCE_TYPES, InstanceType
from fanfold.contract.layout import DEFAULT_MAX_RETRY, LARGEST_BATCH, REALTIME_TIMEOUT_S
from fanfold.contract.records import NamedTuple
from fanfold.core.cache_key import parse_age
from fanfold.core.models import GOES_ON, JobHeader, RunError, RunStatus
from fanfold.errors import InputError, UnknownInstanceType
from fanfold.settings import current

#: What `retry_on` may call a status besides the error's own names. A limit ends a run from outside, which raises
#: nothing itself; every error of the user's own is an Exception, whatever bases are recorded; a lost run raised none.
_RAISED_AS = {
    RunStatus.FAILED: ("Exception", "BaseException"),
    RunStatus.TIMED_OUT: ("TimeoutError",),
    RunStatus.OUT_OF_MEMORY: ("MemoryError",),
}


def should_retry(
    header: JobHeader, status: RunStatus, error: RunError | None, attempt: int, first_attempt: int = 0
) -> bool:
    """Whether the run is to be tried again after `attempt` ended with `status`.

    One whose infrastructure failed (`error.infrastructure`: a killed worker, a lost machine) is, within
    `header.max_retry` attempts after `first_attempt`; what the UDF did itself (an error, its time, its memory) only
    where `header.retry_on` names it; a cancelled run never. One that goes on from its last step always.
    """
    if status.good or not status.final or status is RunStatus.CANCELLED:
        return False
    if goes_on_later(error):
        return True
    if attempt - first_attempt >= header.max_retry:
        return False
    if status in (RunStatus.FAILED, RunStatus.LOST) and error is not None and error.infrastructure:
        return True
    return bool(header.retry_on) and _is_named(header.retry_on, status, error)


def goes_on_later(error: RunError | None) -> bool:
    """Whether an attempt has ended between two steps, near its time limit: the next begins with a whole budget."""
    return error is not None and error.type == GOES_ON


def _is_named(retry_on: tuple[str, ...], status: RunStatus, error: RunError | None) -> bool:
    """Whether one of these is the failure's name; "HTTPError 429" also wants "429" as a word of the message."""
    names = set(_names_of_the_failure(status, error))
    if not names.isdisjoint(retry_on):
        return True
    with_words = (one.split(None, 1) for one in retry_on if " " in one)
    message = "" if error is None else error.message
    return any(name in names and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", message) for name, words in with_words)


def pause_s(header: JobHeader, index: int, attempt: int, first_attempt: int = 0) -> float:
    """Seconds from the end of `attempt` until the run is due again: the same for every process that asks.

    It doubles from attempt to attempt. Jitter takes up to half of it off, by the run's number, so that runs that were
    refused together do not come back together.
    """
    if not header.backoff_s:
        return 0.0
    least, most = header.backoff_s
    whole_s = min(most, least * 2.0 ** min(attempt - first_attempt, 60))
    if not header.jitter:
        return whole_s
    import zlib  # only here

    return whole_s * (1 - zlib.crc32(f"{header.id}/{index}/{attempt}".encode()) / 2**33)


def _names_of_the_failure(status: RunStatus, error: RunError | None) -> Iterator[str]:
    """Every name that the error goes by, also in packages that pass a class on: `requests.Timeout`."""
    yield from _RAISED_AS.get(status, ())
    if error is not None:
        for full in (error.type, *error.types):
            *modules, name = full.split(".")
            yield from (".".join([*modules[:depth], name]) for depth in range(len(modules) + 1))


# When no more runs of a job are started because of how its first ones have failed.

#: What `stop_on_error` may be.
SAME, FIRST, NEVER = "same", "first", "never"
STOP_ON_ERROR = (SAME, FIRST, NEVER)

#: So many runs that fail the same way, and none that succeeds, are a fault of the code, not of an input.
_FIRST_RUNS = 10
_FAILED = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.OUT_OF_MEMORY)


class FailureWatch:
    """Watches how a job's runs end, one after the other, and says why no more of them are to be started."""

    def __init__(self, rule: str, *, escalates: bool = False) -> None:
        """`escalates`: what meets a limit goes to larger machines, and has not failed yet."""
        self._rule = rule
        self._kinds = _FAILED[:1] if escalates else _FAILED
        self._first: tuple[str, list[str]] | None = None
        self._count = 0

    def note(self, status: RunStatus, error: RunError | None) -> str:
        """Take a run's end into account, after which it is not tried again. The reason to stop, or ""."""
        if self._rule == FIRST and not status.good and status is not RunStatus.CANCELLED:
            self._rule = NEVER
            return 'a run failed, and stop_on_error is "first"'
        if self._rule != SAME:
            return ""
        failure = _failure(status, error) if status in self._kinds and error is not None else None
        if failure is not None and not failure[1]:
            return ""  # ended before it was anywhere: it says nothing of the code
        if failure is None or self._first not in (None, failure):
            self._rule = NEVER
            return ""
        self._first = failure
        self._count += 1
        if self._count < _FIRST_RUNS:
            return ""
        self._rule = NEVER
        kind, (*_, where) = failure
        return f"the first {_FIRST_RUNS} runs all failed with {kind}{f' at {where}' if where else ''}"


def _failure(status: RunStatus, error: RunError) -> tuple[str, list[str]]:
    """What an exception is and where it was raised; its message may name the input, and is another for each run.

    Of a run that was ended at a limit it is where each of its calls stood: one that hangs stands there, one that
    computes is elsewhere each time. Of any other it is the line of the user's own code: a library may raise the same
    at many of its lines, and at one of them for many reasons. Nowhere: a run that met its limit before the UDF began.
    """
    from fanfold.core.raising import frames_in, is_own, raising_line

    if status is RunStatus.FAILED:
        line = raising_line(error.traceback)
        return error.type, [f"{line.file}:{line.number}" if line else ""]
    frames = frames_in(error.traceback)
    if error.traceback and not any(map(is_own, frames)):
        return error.type, []
    return error.type, [f"{frame.file}:{frame.number}" for frame in frames] or [""]


RetryOn = Iterable[type[BaseException] | str]


class Retry(NamedTuple):
    """How runs are tried again: up to `times`, after errors `on` (or a lost worker), with pauses in between.

    `on` holds exception classes or names; a name may be followed by words of the message: "HTTPError 429". The pauses
    double from the first of `backoff_s` seconds to the second; `jitter` takes up to half off, run by run another part.
    """

    times: int = DEFAULT_MAX_RETRY
    on: RetryOn = ()
    backoff_s: tuple[float, float] | float = (1.0, 60.0)
    jitter: bool = True

    @property
    def bounds_s(self) -> tuple[float, float]:
        """The shortest and the longest pause. Raises `InputError` for what is no such pair."""
        given = self.backoff_s if isinstance(self.backoff_s, (tuple, list)) else (self.backoff_s,) * 2
        if len(given) != 2:
            raise _no_pauses(self.backoff_s)
        for one in given:
            check_number("backoff_s", one, zero=True)
        least, most = given
        if least is None or most is None or most < least:
            raise _no_pauses(self.backoff_s)
        return float(least), float(most)


def _no_pauses(given: object) -> InputError:
    return InputError(
        f"backoff_s={given!r} is not a shortest and a longest pause.", next_step="give two numbers of seconds: (1, 60)."
    )


def _checked_retry(retry: Any) -> Retry | None:
    """The same. Raises `InputError` for what is none, or holds what cannot be."""
    if retry is None:
        return None
    if not isinstance(retry, Retry):
        raise InputError(f"retry={retry!r} is not a fanfold.Retry.", next_step="write retry=fanfold.Retry(times=5).")
    check_number("times", retry.times, zero=True, whole=True)
    check_flags(jitter=retry.jitter)
    _names(retry.on, "Retry(on=...)")
    return retry if retry.bounds_s else None


class _Tries(NamedTuple):
    """How often, after what and with which pauses."""

    max_retry: int
    retry_on: tuple[str, ...]
    backoff_s: tuple[float, ...] = ()
    jitter: bool = False

    @classmethod
    def of(cls, options: Options, max_retry: int | None, retry_on: RetryOn, retry: Retry | None) -> _Tries:
        """A call's word over the UDF's. Raises `InputError` where the call says the same thing twice."""
        asked = _checked_retry(retry)
        if asked is not None and (max_retry is not None or retry_on):
            raise InputError(
                "retry= cannot be given together with max_retry or retry_on.",
                next_step="write retry=fanfold.Retry(times=5, on=(TimeoutError,)) alone.",
            )
        own = asked or options.retry
        retries = max_retry if max_retry is not None else (own.times if own else options.max_retry)
        return cls(
            max_retry=DEFAULT_MAX_RETRY if retries is None else retries,
            retry_on=_names(retry_on) or _names(own.on if own else options.retry_on),
            backoff_s=own.bounds_s if own else (),
            jitter=bool(own and own.jitter),
        )


NoneType = type(None)

_NUMPY_BOOLS = ("bool", "bool_")  # what a comparison of numpy's gives: `bool` from its version 2 on
#: A tag's name and value together.
_TAG_CHARACTERS = 256
_SERIALIZERS = ("auto", "pickle")
_REALTIME, AUTO = (None, "realtime"), "auto"
#: What no machine can be called by: an engine, or a path, in the older spelling.
_ENGINE_WORDS = ("local", "aws", "remote", "realtime", "batch")


class Options(NamedTuple):
    """What a UDF asks for itself; an argument of a call beats it, and it beats the default."""

    name: str | None = None
    instance_type: str | None = None
    engine: str | None = None
    cache_max_age: str | float | timedelta | None = None
    max_retry: int | None = None
    retry_on: RetryOn = ()
    retry: Retry | None = None
    rate: str | float | None = None  # how many of a job's runs may begin in a time, such as "20/s"
    timeout_s: float | None = None
    memory_mib: int | None = None
    disk_size_gb: int | None = None
    serializer: str = "auto"
    #: Each run in a process of its own; twice is as good as once (for `submit(hedge=True)`).
    fresh: bool = False
    idempotent: bool = False
    setup: Callable[[], object] | None = None  # called once in each worker, before its first run
    #: Packages that it needs beside those that are where it runs; see `environments.requirements`.
    packages: str | Sequence[str] | None = None
    #: The name of one of the deployment's images; None for the default one.
    image: str | None = None
    #: What results depend on beside code and arguments: paths, functions, names of parameters whose texts are paths.
    depends_on: Sequence[str | PurePath | Callable[[], Any]] = ()
    #: Whether texts in results are looked at as paths when they are used again; False looks at no path there.
    check_paths: bool | None = None
    #: Secrets by their names, and variables with their values, that its runs have in their environment.
    secrets: Sequence[str] = ()
    env: Mapping[str, str] | None = None

    @classmethod
    def checked(cls, **options: Any) -> Options:
        """Options by name. Raises `InputError` for a name or a value that is none."""
        for name in [each for each in options if each not in cls._fields]:
            from fanfold.core.elsewhere import udf_option_hint

            raise InputError(f"@udf has no option {name!r}.", next_step=udf_option_hint(name, cls._fields))
        options["engine"], options["instance_type"] = places(options.get("engine"), options.get("instance_type"))
        options["depends_on"] = _dependencies(options.get("depends_on", ()))
        asked = cls(**options)
        if asked.serializer not in _SERIALIZERS:
            raise InputError(f"serializer={asked.serializer!r} is unknown.", next_step='use "auto" or "pickle".')
        _check_machine(asked.instance_type, asked.image)
        parse_age(asked.cache_max_age)
        _runs_per_s(asked.rate)
        _names(asked.retry_on)
        if _checked_retry(asked.retry) and (asked.max_retry is not None or asked.retry_on):
            _Tries.of(asked, asked.max_retry, asked.retry_on, asked.retry)
        _check_name("name", asked.name)
        _check_name("image", asked.image)
        if asked.engine not in (None, *_ENGINE_WORDS):
            raise InputError(f"There is no engine {asked.engine!r}.", next_step='use "local" or "aws".')
        check_number("timeout_s", asked.timeout_s)
        for name in ("memory_mib", "disk_size_gb"):
            check_number(name, getattr(asked, name), whole=True)
        check_number("max_retry", asked.max_retry, zero=True, whole=True)
        check_flags(fresh=asked.fresh, idempotent=asked.idempotent)
        _check_packages(asked.packages)
        check_flags(check_paths=asked.check_paths is not None and asked.check_paths)
        asked = asked._replace(**_checked_variables(asked.secrets, asked.env))
        if asked.setup is not None and not callable(asked.setup):
            raise InputError(
                f"setup={asked.setup!r} cannot be called.", next_step="give a function without parameters."
            )
        return asked


class Request(NamedTuple):
    """What one call asks for, the UDF's own options filled in. 0 processes: as many as memory is measured to hold."""

    instance: InstanceType | None
    cache: bool
    cache_max_age_s: float
    max_retry: int
    retry_on: tuple[str, ...]
    max_workers: int | None
    n_processes_per_worker: int
    stop_on_error: str = SAME
    backoff_s: tuple[float, ...] = ()
    jitter: bool = False
    batch_size: int = 1
    #: Seconds that an invocation is to take; then its batch is what past runs say (see `submission.batching`).
    target_s: float | None = None
    tags: tuple[str, ...] = ()  # as `name=value`
    #: Of inputs that are another job's: what opens their secrets (`JobHeader.sealed_with`).
    sealed_with: str = ""
    #: As in `JobHeader`: runs a second and dollars, who is told of the end, a ramp, and larger machines.
    rate: float = 0.0
    budget_usd: float = 0.0
    notify: str = ""
    hedge: bool = False
    stages: tuple[int, ...] = ()
    ladder: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        options: Options,
        *,
        offered: Mapping[str, InstanceType] = INSTANCE_TYPES,
        instance_type_name: str | None = None,
        cache: bool = True,
        cache_max_age: str | float | timedelta | None = None,
        max_retry: int | None = None,
        retry_on: RetryOn = (),
        retry: Retry | None = None,
        max_workers: int | None = None,
        n_processes_per_worker: int | str | None = None,
        stop_on_error: str = SAME,
        batch_size: int | None = None,
        target_s: float | None = None,
        tags: Mapping[str, object] | None = None,
        rate: str | float | None = None,
    ) -> Request:
        """A call's arguments over a UDF's options over the defaults; `offered` are the engine's machines by name.

        Raises `InputError`.
        """
        check_number("max_workers", max_workers, whole=True)
        if n_processes_per_worker != AUTO:
            check_number("n_processes_per_worker", n_processes_per_worker, whole=True, or_words=' or "auto"')
        check_number("max_retry", max_retry, zero=True, whole=True)
        check_flags(cache=cache)
        age_s = parse_age(options.cache_max_age if cache_max_age is None else cache_max_age)
        tries = _Tries.of(options, max_retry, retry_on, retry)
        return cls(
            instance=instance_type(instance_type_name or options.instance_type, offered),
            cache=bool(cache),
            cache_max_age_s=age_s,
            max_retry=tries.max_retry,
            retry_on=tries.retry_on,
            max_workers=max_workers,
            n_processes_per_worker=0 if n_processes_per_worker == AUTO else int(n_processes_per_worker or 1),
            stop_on_error=_check_stop_on_error(stop_on_error),
            backoff_s=tries.backoff_s,
            jitter=tries.jitter,
            batch_size=_check_batch(batch_size, target_s),
            target_s=target_s,
            tags=checked_tags(tags) if tags else (),
            rate=_runs_per_s(options.rate if rate is None else rate),
        )


def _runs_per_s(rate: str | float | None) -> float:
    if rate is None:
        return 0.0
    from fanfold.core.rates import parse_rate

    return parse_rate(rate)


def checked_tags(tags: Mapping[str, object]) -> tuple[str, ...]:
    """Labels as `name=value`, sorted. Raises `InputError` for what is no short text or number by name."""
    if not isinstance(tags, Mapping):
        raise InputError(f"tags={tags!r} is not a mapping of labels.", next_step='write tags={"project": "x"}.')
    for name, value in tags.items():
        text = f"{name}{value}"
        plain = isinstance(name, str) and isinstance(value, (str, int, float))
        if not plain or not name or "=" in name or len(text) > _TAG_CHARACTERS or not text.isprintable():
            raise InputError(
                f"The tag {name!r}: {value!r} is not a short label.",
                next_step=f"give text without line breaks, {_TAG_CHARACTERS} characters at most, and no = in names.",
            )
    return tuple(sorted(f"{name}={value}" for name, value in tags.items()))


def _check_batch(batch_size: int | None, target_s: float | None) -> int:
    """How many runs go into an invocation as far as the call says it."""
    check_number("batch_size", batch_size, whole=True)
    check_number("target_s", target_s)
    if batch_size is not None and target_s is not None:
        raise InputError(
            "batch_size says how many runs an invocation has, and target_s how long it takes.",
            next_step="give one of them.",
        )
    if target_s is not None and target_s > REALTIME_TIMEOUT_S:
        raise InputError(
            f"target_s={target_s} is longer than an invocation lasts, which is {REALTIME_TIMEOUT_S:g} s.",
            next_step="give 30 to 45, which is best; work that takes longer is for instance_type=.",
        )
    if batch_size is not None and batch_size > LARGEST_BATCH:
        raise InputError(
            f"batch_size={batch_size} is more than the {LARGEST_BATCH} runs that an invocation takes.",
            next_step="for very short work have the UDF take a list, and give it fanfold.chunks(inputs, n).",
        )
    return batch_size or 1


def _dependencies(depends_on: Any) -> tuple[Any, ...]:
    """Raises `InputError` for what nothing can depend on."""
    if isinstance(depends_on, (str, PurePath)) or callable(depends_on):
        depends_on = (depends_on,)
    given = tuple(depends_on) if isinstance(depends_on, Iterable) else (depends_on,)
    for one in given:
        if not isinstance(one, (str, PurePath)) and not callable(one):
            raise InputError(
                f"depends_on holds {one!r}, which is neither a path nor a function nor a parameter's name.",
                next_step='write depends_on=["table.csv", current_version, "paths"], for example.',
            )
    return given


def _check_stop_on_error(rule: str) -> str:
    if rule not in STOP_ON_ERROR:
        raise InputError(
            f"stop_on_error={rule!r} is unknown.",
            next_step='use "same" (stop when the first 10 runs fail the same way), "first" or "never".',
        )
    return rule


def places(engine: str | None, machine: str | None) -> tuple[str | None, str | None]:
    """The engine and the instance type that are asked for, where the older spelling calls a machine an engine."""
    if engine is None or machine is not None or engine in _ENGINE_WORDS or engine not in INSTANCE_TYPES:
        return engine, machine
    return None, engine


def unwrapped(fn: Any) -> tuple[Callable[..., Any], Options]:
    """The plain function of a UDF, and what it asks for. Raises `InputError` for what is no function."""
    function = getattr(fn, "__fanfold_udf__", fn)
    if not callable(function):
        raise InputError(
            f"The first argument is the UDF; {type(fn).__name__} is not a function.",
            next_step="pass a function defined with def, with or without @fanfold.udf.",
        )
    return function, getattr(fn, "options", Options())


def instance_type(
    name: str | None, offered: Mapping[str, InstanceType] = INSTANCE_TYPES, *, argument: str = "instance_type"
) -> InstanceType | None:
    """The machine of that name among those `offered`; None for the realtime path.

    Raises `UnknownInstanceType`, naming the argument that was given.
    """
    if name in _REALTIME:
        return None
    found = offered.get(name) if isinstance(name, str) else None
    if found is None and offered is INSTANCE_TYPES:
        raise UnknownInstanceType(
            f"{argument}={name!r} is not a machine Fanfold knows.",
            next_step=f"{_near(name, offered)}it knows {', '.join(offered)}. A machine of a deployment's own is known"
            " once you are connected to it: `fanfold connect`, or FANFOLD_DEPLOYMENT.",
        )
    if found is None:
        raise UnknownInstanceType(
            f"{argument}={name!r} is not a machine that this deployment has.",
            next_step=f"{_near(name, offered)}it has {', '.join(offered)}; others are a matter of its settings.",
        )
    return found


def _near(name: Any, offered: Mapping[str, InstanceType]) -> str:
    from difflib import get_close_matches  # costs 5 ms, and only a misspelt name needs it

    near = get_close_matches(name, offered, n=2, cutoff=0.75) if isinstance(name, str) else []
    return f"did you mean {' or '.join(near)}? Else " if near else ""


_NAME_OF_ONE = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
_VARIABLE = r"(?!FANFOLD_)[A-Za-z_][A-Za-z0-9_]*"
#: What a process is found, loaded or known by: nobody's secret is called so.
_TAKEN = r"PATH|HOME|TMPDIR|SHELL|USER|LANG|TZ|VIRTUAL_ENV|(FANFOLD|AWS|LD|DYLD|LC)_.*|PYTHON.*"


def secret_variable(name: str) -> str:
    """The variable that a run has a secret in: `db-password` is `DB_PASSWORD`."""
    return name.upper().replace("-", "_")


def check_secret_name(name: object) -> str:
    """A secret's name. Raises `InputError` for what is none."""
    if isinstance(name, str) and re.fullmatch(_NAME_OF_ONE, name) and not re.fullmatch(_TAKEN, secret_variable(name)):
        return name
    raise InputError(
        f"{name!r} is not a secret's name, or is the name of something else.",
        next_step="letters, digits, dashes and underscores, beginning with a letter, such as db-password.",
    )


def _checked_variables(secrets: Any, variables: Any) -> dict[str, Any]:
    """Secrets and variables in the order of their names. Raises `InputError` for what are none."""
    if secrets == () and variables is None:
        return {}
    if isinstance(secrets, str) or not isinstance(secrets, Iterable):
        raise InputError(f"secrets={secrets!r} is not a list of names.", next_step='write secrets=["db-password"].')
    names = sorted({check_secret_name(name) for name in secrets})
    variables = {} if variables is None else variables
    if not isinstance(variables, Mapping):
        raise InputError(f"env={variables!r} is not a mapping.", next_step='write env={"MODE": "prod"}.')
    for name, value in variables.items():
        is_text = isinstance(name, str) and isinstance(value, str) and "\0" not in value
        if not is_text or not re.fullmatch(_VARIABLE, name):
            raise InputError(f"env: {name!r}={value!r} is not a variable.", next_step="names and values are text.")
    taken = [*map(secret_variable, names), *variables]
    if twice := sorted({name for name in taken if taken.count(name) > 1}):
        raise InputError(
            f"{', '.join(twice)} would be set twice, by env= and secrets=.", next_step="rename one of them."
        )
    return {"secrets": tuple(names), "env": dict(sorted(variables.items()))}


def _check_name(option: str, value: object) -> None:
    if not isinstance(value, (str, NoneType)) or value == "":
        raise InputError(f"{option}={value!r} is not a name.", next_step="give some text, or leave it out.")


def _check_packages(packages: Any) -> None:
    if packages is None or isinstance(packages, str):
        return
    if not isinstance(packages, (list, tuple)) or not all(isinstance(each, str) for each in packages):
        raise InputError(
            f"packages={packages!r} is not a list of requirements.",
            next_step='write packages=["scikit-learn==1.5", "./mine-1.0-py3-none-any.whl"], "auto" or a file\'s name.',
        )


def _check_machine(name: str | None, image: str | None) -> None:
    """Refuse what can be no machine; what may be one of the deployment's own, the call asks it for."""
    if isinstance(name, str) and name not in INSTANCE_TYPES and (image or current().deployment is not None):
        return
    instance_type(name)


def check_number(name: str, value: Any, *, zero: bool = False, whole: bool = False, or_words: str = "") -> None:
    """Raises `InputError` for what is neither None nor a number above 0, or 0 where `zero`, nor NaN nor infinite.

    `or_words`: what else it may be, as part of a sentence.
    """
    if value is None:
        return
    kinds = int if whole else (int, float)
    number = isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < math.inf
    if not number or (value == 0 and not zero):
        wanted = f"a {'whole ' if whole else ''}number {'at least 0' if zero else 'above 0'}{or_words}"
        raise InputError(f"{name}={value!r} is not {wanted}.", next_step=f"give {wanted}, or leave it out.")


def check_flags(*, progress: Any = None, **flags: Any) -> None:
    """Raises `InputError` for what is neither true nor false: `"no"` would count as true. No `progress` is a choice."""
    if progress is not None:
        flags["progress"] = progress
    for name, value in flags.items():
        kind = type(value)
        if kind is not bool and not (kind.__module__ == "numpy" and kind.__name__ in _NUMPY_BOOLS):
            raise InputError(f"{name}={value!r} is neither True nor False.", next_step="give one, or leave it out.")


def _names(retry_on: RetryOn, argument: str = "retry_on") -> tuple[str, ...]:
    """Exceptions by their full names. Raises `InputError` for what names none."""
    if isinstance(retry_on, tuple) and not retry_on:
        return ()
    from fanfold.core.exception_names import exception_names  # few jobs name any

    return exception_names(retry_on, argument)
