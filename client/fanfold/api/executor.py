"""A `concurrent.futures.Executor` on Fanfold: for code that already hands its work to one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor as _Executor
from concurrent.futures import Future
from contextlib import suppress
from types import ModuleType
from typing import Any, NamedTuple

from fanfold.api.decorator import named_arguments
from fanfold.api.submit import submit
from fanfold.core.models import BAD, GOOD, RunStatus
from fanfold.errors import FanfoldError, InputError
from fanfold.job import Job
from fanfold.submission.resolve import refuse_inside_run, resolve_call

#: A job is started when no further call has come for this long, or when it has this many.
_LINGER_S = 0.005
_MOST_CALLS = 10_000


class _Call(NamedTuple):
    future: Future[Any]
    arguments: dict[str, Any]


class Executor(_Executor):
    """Runs functions as Fanfold does: as source, each call in an environment of its own, on the engine that is set.

    Calls of one function that come within a few milliseconds of each other make one job. A future that is cancelled
    before its run has begun never gets a result, and the rest of a job is not run once nobody waits for it.

        with fanfold.Executor(max_workers=8) as executor:
            squares = list(executor.map(square, range(1000)))

    Unlike `submit` it keeps nothing for later unless asked (`cache=True`): each call is made, as with any executor.
    A call that fails raises `RunFailed` from its future, with the remote traceback.
    """

    def __init__(self, max_workers: int | None = None, *, cache: bool = False, **options: Any) -> None:
        """`options` are those of `fanfold.submit`: `engine`, `instance_type`, `max_retry`, ..."""
        self._options = {**options, "max_workers": max_workers, "cache": cache}
        self._lock = threading.Lock()
        self._collecting: dict[Any, _Batch] = {}
        self._batches: list[_Batch] = []
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `fn(*args, **kwargs)` in the background.

        Raises `InputError` where `fn` does not take the arguments, and `RuntimeError` after `shutdown`.
        """
        refuse_inside_run("Executor.submit")
        function, arguments = _callable_as_source(fn, args, kwargs)
        call = _Call(Future(), arguments)
        with self._lock:
            if self._closed:
                raise RuntimeError("This executor has been shut down; no more calls can be made.")
            batch = self._collecting.get(function)
            if batch is None or not batch.take(call):
                self._batches = [one for one in self._batches if one.is_alive()]
                batch = self._collecting[function] = _Batch(function, call, self._options)
                self._batches.append(batch)
                self._get_ready(function)
                batch.start()
        return call.future

    def _get_ready(self, function: Callable[..., Any]) -> None:
        """Have the engine start its threads now: a script that ends right after this may start none any more."""
        engine, instance_type = self._options.get("engine"), self._options.get("instance_type")
        with suppress(FanfoldError):  # it is told when the job is started, to whoever waits for its calls
            chosen, request = resolve_call(function, engine=engine, instance_type=instance_type, quiet=True)
            chosen.get_ready(dedicated=request.instance is not None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. Waits for those that were made; `cancel_futures` leaves out what has not begun."""
        with self._lock:
            self._closed = True
            batches = list(self._batches)
        if cancel_futures:
            for batch in batches:
                batch.cancel()
        if wait:
            for batch in batches:
                batch.join()


class _Batch(threading.Thread):
    """Calls of one function that become one job. No daemon: a process that ends waits for what it has asked for."""

    def __init__(self, fn: Callable[..., Any], first: _Call, options: dict[str, Any]) -> None:
        super().__init__(name=f"fanfold-executor-{getattr(fn, '__name__', 'call')}")
        self._fn = fn
        self._options = options
        self._calls = [first]
        self._open = True
        self._changed = threading.Condition()

    def take(self, call: _Call) -> bool:
        """Add a call; False where the job is on its way already."""
        with self._changed:
            if not self._open or len(self._calls) >= _MOST_CALLS:
                return False
            self._calls.append(call)
            self._changed.notify()
            return True

    def cancel(self) -> None:
        """Cancel every call that has not begun."""
        for call in list(self._calls):
            call.future.cancel()

    def run(self) -> None:
        """Wait for more calls, start the job, and hand over what comes of it."""
        with self._changed:
            while len(self._calls) < _MOST_CALLS and self._changed.wait(_LINGER_S):
                continue
            self._open = False
        self._perform([call for call in self._calls if not call.future.cancelled()])

    def _perform(self, calls: list[_Call]) -> None:
        """Make a job of the calls and settle every future, whatever goes wrong: somebody waits for each."""
        if not calls:
            return
        job: Any
        try:
            job = submit(self._fn, [call.arguments for call in calls], collect=False, **self._options)
        except BaseException as error:  # noqa: BLE001  checks and iterators of the user's own may raise anything
            if len(calls) == 1 or not isinstance(error, InputError):
                _fail(calls, error)
                return
            # One call that does not fit must not fail the others: halve until it stands alone.
            self._perform(calls[: len(calls) // 2])
            self._perform(calls[len(calls) // 2 :])
            return
        try:
            _follow(job, [call.future for call in calls])
        except BaseException as error:  # noqa: BLE001  a result that is unpickled runs the user's own code
            _fail(calls, error)


def _follow(job: Job, futures: list[Future[Any]]) -> None:
    waiting = set(range(len(futures)))
    for state in job.changes():
        for index in waiting.intersection(state.indexes(RunStatus.RUNNING)):
            _begin(futures[index])
        for index in waiting.intersection(state.indexes(*GOOD, *BAD)):
            _settle(job, index, futures[index])
            waiting.remove(index)
        if not state.done and all(futures[index].cancelled() for index in waiting):
            job.cancel()


def _begin(future: Future[Any]) -> bool:
    """Let a future run; False where it has been cancelled."""
    return future.running() or (not future.cancelled() and future.set_running_or_notify_cancel())


def _settle(job: Job, index: int, future: Future[Any]) -> None:
    if not _begin(future):
        return
    try:
        future.set_result(job.result(index))
    except BaseException as error:  # noqa: BLE001  a result that is unpickled runs the user's own code
        future.set_exception(error)


def _fail(calls: list[_Call], error: BaseException) -> None:
    for call in calls:
        if not call.future.done() and _begin(call.future):
            call.future.set_exception(error)


def _callable_as_source(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A function that can travel as source, and its arguments by name: what is not written in Python goes by name."""
    function = getattr(fn, "__fanfold_udf__", fn)
    if hasattr(function, "__code__") or not hasattr(function, "__qualname__"):
        return fn, named_arguments(function, args, kwargs)
    module, name, bound_to = _by_name(function)
    return called_by_name, {"module": module, "name": name, "args": [*bound_to, *args], "kwargs": kwargs}


def _by_name(function: Any) -> tuple[str, str, tuple[Any, ...]]:
    """Module and name of a callable that is not written in Python, and the object that it is a method of."""
    owner: Any = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, ModuleType):
        known_by = function if hasattr(function, "__module__") else function.__objclass__  # as `str.upper` is
        return known_by.__module__, function.__qualname__, ()
    if isinstance(owner, type):
        return owner.__module__, f"{owner.__qualname__}.{function.__name__}", ()
    home, name = type(owner).__module__, str(function.__name__)
    if getattr(sys.modules.get(home), name, None) is function:  # `random.random`, of an object that nobody sees
        return home, name, ()
    return home, function.__qualname__, (owner,)


def called_by_name(module: str, name: str, args: list, kwargs: dict) -> Any:  # type: ignore[type-arg]
    """Call what an installed module has under a name, such as `math.sqrt`."""
    from importlib import import_module
    from operator import attrgetter

    return attrgetter(name)(import_module(module))(*args, **kwargs)
