"""An executor's calls as jobs: where they run on other machines, or are kept for later."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from types import ModuleType
from typing import Any

from fanfold.api.decorator import named_arguments
from fanfold.api.submit import get_job, submit, with_environment
from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState
from fanfold.core.futures import begin
from fanfold.core.models import BAD, GOOD, RunStatus
from fanfold.core.options import unwrapped
from fanfold.core.processes import Locked, ends_by_interrupt
from fanfold.errors import FanfoldError, InputError, RunFailed, StoreUnavailable
from fanfold.execution.worker.sandbox import thread_variables
from fanfold.job import Job
from fanfold.submission.prepare import refuse_inside_run, resolve_call

#: A job is started when no further call has come for this long, or when it has this many.
_LINGER_S = 0.005
_MOST_CALLS = 10_000
#: A store that does not answer is asked again after so long, and for so long where a job is to be started. What a job
#: that has started comes to is waited for as long as anybody waits.
_PAUSE_S, _PATIENCE_S = 1.0, 120.0


class _FutureCall(NamedTuple):
    future: Future[Any]
    arguments: dict[str, Any]


class JobCalls(Locked):
    """Makes an executor's calls as jobs: as source, on the engine and the machines that are asked for.

    Calls of one function that come within a few milliseconds of each other make one job. A future that is cancelled
    before its run has begun never gets a result, and the rest of a job is not run once nobody waits for it.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        """`options` are those of `fanfold.submit`."""
        super().__init__()
        self._options = options
        #: How many threads BLAS and OpenMP may start in each run; None: its share of the cores.
        self.threads: int | None = None

    def begin_anew(self) -> None:
        """Have what no thread holds, or waits for: in a forked child nothing of what its parent has called for."""
        super().begin_anew()
        self._collecting: dict[Any, _Batch] = {}
        self._batches: list[_Batch] = []

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Call `fn(*args, **kwargs)` in the background. Raises `InputError` where `fn` does not take the arguments."""
        refuse_inside_run("Executor.submit")
        function, arguments = _callable_as_source(fn, args, kwargs)
        call = _FutureCall(Future(), arguments)
        with self.lock:
            batch = self._collecting.get(function)
            if batch is None or not batch.take(call):
                self._forget_ended()
                self._get_ready(function)
                batch = _Batch(function, call, self._options, self.threads)
                batch.start()  # first: a thread that cannot be started takes no calls
                self._batches.append(batch)
                self._collecting[function] = batch
        return call.future

    def _forget_ended(self) -> None:
        """Keep nothing of batches whose job has started: they hold their calls, and these their results."""
        self._batches = [one for one in self._batches if one.is_alive()]
        self._collecting = {function: one for function, one in self._collecting.items() if one.collects}

    def _get_ready(self, function: Callable[..., Any]) -> None:
        """Have the engine start its threads now: a script that ends right after this may start none any more."""
        engine, instance_type = self._options.get("engine"), self._options.get("instance_type")
        with suppress(FanfoldError):  # the start of the job tells it to those who wait for its calls
            chosen, request = resolve_call(function, engine=engine, instance_type=instance_type, quiet=True)
            chosen.get_ready(dedicated=request.instance is not None)

    def cancel(self) -> None:
        """Cancel every call that has not begun."""
        for batch in list(self._batches):
            batch.cancel()

    def kill(self) -> None:
        """Cancel the jobs, also what runs of them."""
        for batch in list(self._batches):
            batch.kill()

    def wait(self) -> None:
        """Return when every call is over."""
        for batch in list(self._batches):
            batch.join()


class _Batch(threading.Thread):
    """Calls of one function that become one job. No daemon: a process that ends waits for what it has asked for."""

    def __init__(
        self, fn: Callable[..., Any], first: _FutureCall, options: dict[str, Any], threads: int | None
    ) -> None:
        super().__init__(name=f"fanfold-executor-{getattr(fn, '__name__', 'call')}")
        self._fn = fn
        self._options = options
        self._threads = threads
        self._calls = [first]
        self._following: dict[int, Future[Any]] = {}
        self._open = True
        self._is_killed = False
        self._changed = threading.Condition()

    @property
    def collects(self) -> bool:
        """Whether it takes more calls still."""
        return self._open

    def take(self, call: _FutureCall) -> bool:
        """Add a call; False where the job is on its way already."""
        with self._changed:
            if not self._open or len(self._calls) >= _MOST_CALLS:
                return False
            self._calls.append(call)
            self._changed.notify()
            return True

    def cancel(self) -> None:
        """Cancel every call that has not begun."""
        for future in [*(call.future for call in list(self._calls)), *list(self._following.values())]:
            future.cancel()

    def kill(self) -> None:
        """Cancel the job with what runs of it, within a second; or as soon as there is one."""
        self._is_killed = True
        self.cancel()

    @property
    def _is_to_end(self) -> bool:
        """Whether nobody waits for its calls any more: not an executor, nor a process that ends by a Ctrl-C."""
        return self._is_killed or (not threading.main_thread().is_alive() and ends_by_interrupt())

    def run(self) -> None:
        """Wait for more calls, start the job, and hand over what comes of it."""
        with self._changed:
            while len(self._calls) < _MOST_CALLS and self._changed.wait(_LINGER_S):
                continue
            self._open = False
        _tell_cancelled(call.future for call in self._calls)
        self._perform([call for call in self._calls if not call.future.cancelled()])

    def _perform(self, calls: list[_FutureCall]) -> None:
        """Make a job of the calls and settle every future, whatever goes wrong: somebody waits for each."""
        if not calls:
            return
        job: Any
        try:
            job = self._start(calls)
        except BaseException as error:  # noqa: BLE001  checks and iterators of the user's own may raise anything
            if len(calls) == 1 or not isinstance(error, InputError):
                _fail([call.future for call in calls], error)
                return
            # One call that does not fit must not fail the others: halve until it stands alone.
            self._perform(calls[: len(calls) // 2])
            self._perform(calls[len(calls) // 2 :])
            return
        if job is None:
            _tell_cancelled(call.future for call in calls)
            return
        # From here on a result is its caller's alone: nothing of a call is kept once its future has it.
        self._following = {index: call.future for index, call in enumerate(calls)}
        self._calls = []
        calls.clear()
        try:
            self._follow(job, self._following)
        except BaseException as error:  # noqa: BLE001  a result that is unpickled runs the user's own code
            _fail(list(self._following.values()), error)
        self._following = {}

    def _udf(self) -> Any:
        """The function; where a number of threads is asked for, it is in the environment of its runs."""
        if self._threads is None:
            return self._fn
        own = unwrapped(self._fn)[1].env or {}
        return with_environment(self._fn, env={**own, **thread_variables(self._threads)})

    def _start(self, calls: list[_FutureCall]) -> Job | None:
        """Make one job of the calls. While the store does not answer that is tried again; None once nobody waits.

        A job that has been written down and could not be started is that job still: who waits for it starts it.
        """
        deadline = time.monotonic() + _PATIENCE_S
        unstarted: StoreUnavailable | None = None
        while True:
            try:
                if unstarted is not None:
                    return get_job(unstarted.job_id, engine=self._options.get("engine"))
                return self._submit(calls)
            except StoreUnavailable as error:
                if error.job_id:
                    unstarted = error
                if time.monotonic() > deadline:
                    said = unstarted or error  # how the job stands is known from when it was to start
                    raise said from said.__cause__
            time.sleep(_PAUSE_S)
            if unstarted is None and (self._is_to_end or all(call.future.cancelled() for call in calls)):
                return None

    def _submit(self, calls: list[_FutureCall]) -> Job:
        job: Job = submit(self._udf(), [call.arguments for call in calls], collect=False, **self._options)
        return job

    def _follow(self, job: Job, futures: dict[int, Future[Any]]) -> None:
        def end_with_executor(state: JobState) -> None:
            _tell_cancelled(futures.values())
            if self._is_to_end and state.header.cancelled_at is None:
                job.tracker.patiently(job.tracker.cancel)

        for state in job.changes(idle=end_with_executor):
            for index in futures.keys() & set(state.indexes(RunStatus.RUNNING)):
                begin(futures[index])
            for index in futures.keys() & set(state.indexes(*GOOD, *BAD)):
                _settle(job, index, futures.pop(index))
            _tell_cancelled(futures.values())
            if not state.done and all(future.cancelled() for future in futures.values()):
                job.tracker.patiently(job.cancel)


def _tell_cancelled(futures: Iterable[Future[Any]]) -> None:
    """Tell those who wait for cancelled futures that these are over."""
    for future in futures:
        if future.cancelled():
            begin(future)


def _settle(job: Job, index: int, future: Future[Any]) -> None:
    if not begin(future):
        return
    try:
        future.set_result(job.result(index))
    except RunFailed as error:
        future.set_exception(_original(error))
    except BaseException as error:  # noqa: BLE001  a result that is unpickled runs the user's own code
        future.set_exception(error)


def _original(error: RunFailed) -> BaseException:
    """What the call itself raised, where it came along: with the failed run, which names it, as its cause."""
    cause = error.__cause__
    if not isinstance(cause, BaseException):
        return error
    error.__cause__ = None
    cause.__cause__ = error
    return cause


def _fail(futures: list[Future[Any]], error: BaseException) -> None:
    for future in futures:
        if begin(future):
            future.set_exception(error)


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
