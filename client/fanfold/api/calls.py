"""An executor's calls on this machine: pickled, and made by worker processes that stay."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from inspect import Parameter, signature
from pickle import PicklingError
from types import FunctionType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from fanfold.api.around import Around, Edited, unnamed_subclasses
from fanfold.api.pickling import Modules, Notes
from fanfold.contract.layout import ENV_RUN
from fanfold.contract.records import NamedTuple
from fanfold.core.processes import Locked
from fanfold.execution import parcel
from fanfold.execution.parcel import Parcel
from fanfold.execution.worker.batch import call_batch
from fanfold.settings import conditions, current
from fanfold.submission.prepare import refuse_inside_run

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.engines.local.call_pool import CallPool

#: Options of `submit` that say how a job's results are handed over, which a future does by itself.
_NOT_OF_CALLS = {"udf", "inputs", "collect", "plan", "debug_mode", "flatten", "drop_index", "ignore_exceptions"}
#: What is waited for is waited for in such steps, in which a Ctrl-C is heard.
_STEP_S = 0.2
#: What ENV_RUN begins with in a worker of an executor.
_OF_AN_EXECUTOR = "executor-"


class JobOptions(NamedTuple):
    """What an executor's options ask for."""

    engine: str | None
    #: Whether only jobs can give it.
    needs_jobs: bool


def job_options(options: dict[str, Any], *, cache: bool) -> JobOptions:
    """What options mean. Raises `TypeError` for one that `submit` does not have, or that is of no use to calls."""
    from fanfold.api.submit import submit

    known = [name for name, one in signature(submit).parameters.items() if one.kind is Parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known or name in _NOT_OF_CALLS:
            from fanfold.core.elsewhere import call_option_hint

            hint = call_option_hint(name, {*known, "timeout_s", "memory_mib"} - _NOT_OF_CALLS, ())
            raise TypeError(f"Executor() got an unexpected keyword argument {name!r}{f'; {hint}' if hint else ''}")
    engine = options.get("engine")
    needed = {name for name, value in options.items() if value is not None} - {"engine", "progress"}
    return JobOptions(engine, cache or bool(needed))


def refuse_calls_from_run() -> None:
    """Raises `NestedSubmitError` within a run of a job. A call may make calls: it has workers of its own for that."""
    if not os.environ.get(ENV_RUN, "").startswith(_OF_AN_EXECUTOR):
        refuse_inside_run("Executor.submit")


class Calls(Locked):
    """Makes an executor's calls on this machine."""

    def __init__(
        self,
        size: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        *,
        timeout_s: float | None = None,
        memory_mib: int | None = None,
        calls_per_worker: int | None = None,
    ) -> None:
        super().__init__()
        self._size = size
        self._preparation = None if initializer is None else (initializer, initargs)
        self._limits = timeout_s, memory_mib, calls_per_worker
        #: How many threads BLAS and OpenMP may start in each worker; None: its share of the cores.
        self.threads: int | None = None
        #: Whether workers in which the initializer was called may be another executor's, which asks for the same call.
        self.keeps_prepared = False
        #: Futures of calls that could not be sent.
        self.unsent: WeakSet[Future[Any]] = WeakSet()
        self._modules = Modules()
        self._around = Around(self._modules)
        self._released = False

    def begin_anew(self) -> None:
        """Have what no thread holds, or waits for: in a forked child nothing of what its parent has called for."""
        super().begin_anew()
        self._over = threading.Condition(self.lock)
        self._pool: CallPool | None = None
        self._going_on: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Call `fn` in a worker. Raises `BrokenProcessPool` once the pool is broken."""
        future: Future[Any] = Future()
        function = getattr(fn, "__fanfold_udf__", fn)
        try:
            packed, around = self._packed(function, args, kwargs)
        except BaseException as error:  # noqa: BLE001  the user's own __reduce__
            future.set_running_or_notify_cancel()
            future.set_exception(error)
            self.unsent.add(future)
            return future
        pool = self._ready_pool()
        with self._over:
            self._going_on.add(future)
        future.add_done_callback(self._note_end)
        try:
            pool.submit(packed, future, around)
        except BaseException:  # a full disk: nobody is to wait for it
            future.cancel()
            raise
        return future

    def _packed(self, *call: Any) -> tuple[Parcel, bytes]:
        """A call's parcel, and what it is to find in its worker."""
        notes = Notes()
        packed = self._pickled(call, notes)
        try:
            around = self._around.of(notes)
        except Edited:
            return self._packed(*call)
        if subclasses := unnamed_subclasses(notes):
            packed = parcel.pack((*call, subclasses), self._modules.dumps)
        return packed, around

    def _pickled(self, call: tuple[Any, ...], notes: Notes) -> Parcel:
        """A call's pickle. What its code uses may be locks: its workers have new ones, as of a module that they import.

        An argument may not: its caller means this very object.
        """
        try:
            return parcel.pack(call, partial(self._modules.dumps, notes=notes))
        except (TypeError, PicklingError):
            functions, handed_over = _taken_apart(*call)
            if not all(type(each) is FunctionType for each in functions) or not self._modules.can_pickle(handed_over):
                raise
        return parcel.pack(call, partial(self._modules.dumps, notes=notes, new_locks=True))

    def cancel(self) -> None:
        """Cancel every call that has not begun."""
        if (pool := self._pool) is not None:
            pool.cancel_waiting()

    def wait(self) -> None:
        """Return when every call is over. Raises `RuntimeError` in the thread that is to hear of their ends."""
        pool = self._pool
        if self._going_on and pool is not None and pool.is_served_here:
            raise RuntimeError(
                "cannot wait for an executor's calls in a callback of one of them; shutdown(wait=False) takes no more"
            )
        with self._over:
            while self._going_on:
                self._over.wait(_STEP_S)

    def release(self) -> None:
        """No more calls will come: once those that were made are over, the workers are another executor's."""
        with self._over:
            self._released = True
            if not self._going_on:
                self._give_back()

    def _note_end(self, future: Future[Any]) -> None:
        with self._over:
            self._going_on.discard(future)
            if not self._going_on:
                self._over.notify_all()
                if self._released:
                    self._give_back()

    def _give_back(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.let_go()

    def kill(self) -> None:
        """End the workers with what they do."""
        if (pool := self._pool) is not None:
            pool.close()

    def _ready_pool(self) -> CallPool:
        pool = self._pool
        if pool is not None and pool.broken is not None:
            pool.raise_broken()
        if pool is None or not pool.alive:
            pool = self._pool = self._opened_pool()
        return pool

    def _environment(self) -> Iterable[tuple[str, str]]:
        """The variables of the workers: a number of threads that is asked for beats one that the caller has set."""
        return {**os.environ, **self._asked_threads(), **dict(confinement(current().home))}.items()

    def _asked_threads(self) -> dict[str, str]:
        if self.threads is None:
            return {}
        from fanfold.execution.worker.sandbox import thread_variables

        return thread_variables(self.threads)

    def _opened_pool(self) -> CallPool:
        from fanfold.engines.local.call_pool import Wanted, pool_for

        environment = tuple(sorted(self._environment()))
        preparation = b"" if self._preparation is None else self._modules.dumps(self._preparation, new_locks=True)
        wanted = Wanted(self._size, current().home, environment, _folder(), *self._limits, self.threads)
        is_shared = self.keeps_prepared or not preparation
        return pool_for(wanted._replace(preparation=preparation, is_shared=is_shared))


def _taken_apart(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """The functions that a call calls, and what it hands to them: a call may be a batch of calls."""
    if function is parcel.call_each:
        return [args[0]], [args[1]]
    if function is call_batch:
        calls = args[0].items
        return [each[0] for each in calls], [each[1:] for each in calls]
    return [function], [args, kwargs]


def confinement(home: Path) -> tuple[tuple[str, str], ...]:
    """What tells workers to take no more than Lambda gives, where calls are to be made so (`fanfold.local`)."""
    under = conditions()
    if under is None:
        return ()
    from fanfold.engines.local import conditions as local_conditions
    from fanfold.stores.local import LocalStores

    return local_conditions.confinement(under, LocalStores(home))


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # somebody has removed it
        return ""
