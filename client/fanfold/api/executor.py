"""A `concurrent.futures.Executor` on Fanfold: for code that already hands its work to one."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as _Executor
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fanfold.api.calls import Calls, job_options, refuse_calls_from_run
from fanfold.core.processes import Locked, without_interrupts
from fanfold.engines.base import engine_for
from fanfold.errors import InputError
from fanfold.execution.parcel import call_each
from fanfold.settings import WithoutOwnFrames

if TYPE_CHECKING:
    from fanfold.api.executor_jobs import JobCalls


class Executor(_Executor):
    """Makes calls in worker processes of this machine, or as jobs on the engine and machines that are asked for.

        with fanfold.Executor(max_workers=8) as executor:
            squares = list(executor.map(square, range(1000)))

    It keeps to the contract of `concurrent.futures`. On this machine a call and its result are pickled (cloudpickle:
    lambdas, closures and what `__main__` defines go along), an error is raised as it is, the remote traceback is its
    cause, a worker that dies breaks the executor (`BrokenProcessPool`), and nothing is kept. With `instance_type`,
    another engine or `cache=True`, calls of one function that come together make one job, as `fanfold.submit` does.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        cache: bool = False,
        timeout_s: float | None = None,
        memory_mib: int | None = None,
        max_tasks_per_child: int | None = None,
        **options: Any,
    ) -> None:
        """`initializer(*initargs)` is called in each worker first; `timeout_s` and `memory_mib` limit each call.

        After `max_tasks_per_child` calls a worker is replaced by a new one.

        Other `options` are those of `fanfold.submit`: `engine`, `instance_type`, `max_retry`, ... Raises `ValueError`
        and `TypeError` for what an executor cannot be, `InputError` and `ConfigurationError` for wrong options.
        """
        _check_workers(max_workers)
        _check_initializer(initializer, initargs)
        _check_context(mp_context)
        _check_size("max_tasks_per_child", max_tasks_per_child)
        asked = job_options(options, cache=cache)
        engine = engine_for(asked.engine)
        #: What a call's future calls at its end may make another call, while this thread makes one.
        self._shared = Locked()
        self._closed = False
        self._jobs: JobCalls | None = None
        self._jobs_beside: JobCalls | None = None
        self._calls: Calls | None = None
        if asked.needs_jobs or not engine.describe().makes_calls:
            if any(one is not None for one in (initializer, timeout_s, memory_mib, max_tasks_per_child)):
                raise InputError(
                    "`initializer`, `timeout_s`, `memory_mib` and `max_tasks_per_child` are for calls in this machine's"
                    " own workers.",
                    next_step="set the limits of a UDF that runs elsewhere with @fanfold.udf(timeout_s=...).",
                )
            from fanfold.api.executor_jobs import JobCalls

            self._max_workers = max_workers or engine.describe().concurrency
            self._jobs = JobCalls({**options, "max_workers": max_workers, "cache": cache})
            return
        #: As in ProcessPoolExecutor: dask, for one, reads it to see how many calls to keep going.
        self._max_workers = max_workers or engine.describe().concurrency
        limits: dict[str, Any] = {
            "timeout_s": timeout_s,
            "memory_mib": memory_mib,
            "calls_per_worker": max_tasks_per_child,
        }
        self._calls = Calls(self._max_workers, initializer, initargs, **limits)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `fn(*args, **kwargs)` in the background.

        Raises `RuntimeError` after `shutdown` and while Python ends, `BrokenProcessPool` once a worker has died.
        """
        with self._shared.lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown: this executor was shut down")
            if not threading.main_thread().is_alive():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if self._jobs is not None:
                return self._jobs.submit(fn, args, kwargs)
            assert self._calls is not None
            refuse_calls_from_run()
            own_jobs = self._jobs_of(fn)
            if own_jobs is not None:
                return own_jobs.submit(fn, args, kwargs)
            return self._calls.submit(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """The results of `fn` on the items of the iterables, in their order.

        `timeout`: seconds from now until the last result, else `TimeoutError`; `chunksize`: calls that are sent
        together; `buffersize`: results that may wait to be taken, before more inputs are. Raises `ValueError` for
        sizes below 1.
        """
        _check_size("chunksize", chunksize)
        _check_size("buffersize", buffersize)
        deadline = None if timeout is None else time.monotonic() + timeout
        inputs = zip(*iterables, strict=False)
        if chunksize > 1 and self._calls is not None:
            chunks = _chunks(inputs, chunksize)
            act: Callable[..., Future[Any]] = partial(self.submit, call_each, fn)
            wanted = None if buffersize is None else max(1, buffersize // chunksize)
            return itertools.chain.from_iterable(_results(act, ((chunk,) for chunk in chunks), wanted, deadline))
        return _results(partial(self.submit, fn), inputs, buffersize, deadline)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. Waits for those that were made; `cancel_futures` leaves out what has not begun.

        Raises `RuntimeError` where it would wait for itself: in what a call's future calls at its end.
        """
        with self._shared.lock:
            self._closed = True
        try:
            for calls in (self._calls, self._jobs, self._jobs_beside):
                if calls is None:
                    continue
                if cancel_futures:
                    calls.cancel()
                if wait:
                    self._wait_for(calls)
        finally:
            if self._calls is not None:
                self._calls.release()

    def _wait_for(self, calls: Calls | JobCalls) -> None:
        with WithoutOwnFrames():
            try:
                calls.wait()
            except KeyboardInterrupt:
                self.kill_workers()
                raise

    def kill_workers(self) -> None:
        """Take no more calls, and end this executor's workers with whatever they do: a call in one is not completed.

        Jobs are cancelled, also what runs of them.
        """
        with without_interrupts():  # it takes a moment
            self.shutdown(wait=False, cancel_futures=True)
            for calls in (self._calls, self._jobs, self._jobs_beside):
                if calls is not None:
                    calls.kill()

    #: As in Python 3.14, where processes are told to end before they are killed.
    terminate_workers = kill_workers

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """As `shutdown`. A Ctrl-C ends the calls that are under way: a process pool's workers hear it themselves."""
        if isinstance(error, KeyboardInterrupt):
            self.kill_workers()
        self.shutdown(wait=True)

    @property
    def makes_jobs(self) -> bool:
        """Whether calls are runs of jobs here, and not made by workers of this process."""
        return self._jobs is not None

    def was_sent(self, future: Future[Any]) -> bool:
        """Whether a call has gone to a worker, or may: its function and arguments could be pickled."""
        return self._calls is None or future not in self._calls.unsent

    def limit_threads(self, threads: int) -> None:
        """How many threads BLAS and OpenMP may start in each worker to come; else its share of the cores."""
        for calls in (self._calls, self._jobs):
            if calls is not None:
                calls.threads = threads

    def share_prepared_workers(self) -> None:
        """Let executors after this one, given the same initializer, have workers in which it was called already."""
        if self._calls is not None:
            self._calls.keeps_prepared = True

    def _jobs_of(self, fn: Any) -> JobCalls | None:
        """For a UDF that asks for machines or an engine of its own: its calls are jobs."""
        asked = getattr(fn, "options", None)
        if not hasattr(fn, "__fanfold_udf__") or asked is None or not (asked.instance_type or asked.engine):
            return None
        from fanfold.api.executor_jobs import JobCalls

        self._jobs_beside = self._jobs_beside or JobCalls({"cache": False})
        return self._jobs_beside


def _results(
    submit: Callable[..., Future[Any]],
    inputs: Iterator[tuple[Any, ...]],
    buffersize: int | None,
    deadline: float | None,
) -> Iterator[Any]:
    """Submit all inputs, or `buffersize` of them for now, at once; their results when they are asked for."""
    futures = deque(submit(*one) for one in itertools.islice(inputs, buffersize))

    def take() -> Iterator[Any]:
        try:
            while futures:
                if buffersize is not None and (following := next(inputs, None)) is not None:
                    futures.append(submit(*following))
                with WithoutOwnFrames():
                    yield _take_result(futures.popleft(), deadline)
        finally:
            for future in futures:
                future.cancel()

    return take()


def _take_result(future: Future[Any], deadline: float | None) -> Any:
    """A future's result; nothing of it is kept here."""
    try:
        try:
            return future.result(None if deadline is None else deadline - time.monotonic())
        finally:
            future.cancel()
    finally:
        del future  # an error's traceback would hold it, and it the error


def _chunks(inputs: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(inputs, size)):
        yield chunk


def _check_workers(max_workers: Any) -> None:
    if max_workers is None:
        return
    if isinstance(max_workers, bool) or not isinstance(max_workers, int):
        raise TypeError(f"max_workers is a whole number of worker processes, not {max_workers!r}")
    if max_workers <= 0:
        raise ValueError("max_workers must be greater than 0")


def _check_initializer(initializer: Any, initargs: Any) -> None:
    if initializer is not None and not callable(initializer):
        raise TypeError("initializer must be a callable")
    if not isinstance(initargs, tuple):
        raise TypeError(f"initargs must be a tuple, not {type(initargs).__name__}")


def _check_context(context: Any) -> None:
    """Workers are new interpreters, whatever the context: one that forks cannot be had."""
    if context is None:
        return
    method = getattr(context, "get_start_method", None)
    if method is None:
        raise TypeError(f"mp_context is a context of multiprocessing, not {context!r}")
    if method() == "fork":
        raise ValueError(
            "mp_context: workers are new interpreters and no forks; use get_context('spawn') or leave it out"
        )


def _check_size(name: str, size: Any) -> None:
    if size is None and name != "chunksize":
        return
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"{name} must be an integer")
    if size < 1:
        raise ValueError(f"{name} must be >= 1.")
