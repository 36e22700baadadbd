"""The joblib backend `fanfold`: importing this registers it.

    import joblib
    import fanfold.joblib_backend

    with joblib.parallel_config(backend="fanfold"):
        roots = joblib.Parallel()(joblib.delayed(root)(x) for x in range(1000))

`n_jobs` is how many calls are side by side at most; left out or -1, it is for the engine to say. The other options are
those of `fanfold.Executor`: `joblib.parallel_config(backend="fanfold", instance_type="large")`.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pickle import PicklingError
from threading import Lock
from typing import Any

from fanfold.api.executor import Executor
from fanfold.engines.base import engine_for
from fanfold.errors import MissingPackage
from fanfold.execution.worker.batch import call_batch

try:
    from joblib import register_parallel_backend
    from joblib._parallel_backends import AutoBatchingMixin, FallbackToBackend, SequentialBackend
    from joblib.parallel import ParallelBackendBase
except ImportError as error:
    raise MissingPackage(
        "This is a backend for joblib, which is not installed.", next_step="pip install 'fanfold[joblib]'"
    ) from error


#: What joblib says to every backend, and what is for its own processes alone.
_OF_JOBLIB = frozenset(
    {
        "temp_folder", "max_nbytes", "mmap_mode", "prefer", "require", "verbose", "context",
        "idle_worker_timeout", "timeout", "n_jobs", "parallel",
    }
)  # fmt: skip


class FanfoldBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Makes joblib's calls in Fanfold's workers, many at once where they are short; or as jobs, many to a job."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    supports_return_generator = True
    default_n_jobs = -1

    def __init__(
        self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, **options: Any
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._options = options
        #: What one `Parallel` was given besides.
        self._given: dict[str, Any] = {}
        self._executor: Executor | None = None
        self.parallel: Any = None
        #: What loops have that are open around this one: within one `parallel_config` all have this backend.
        self._around: list[tuple[Executor, dict[str, Any], Any]] = []

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls are side by side. Raises `ValueError` for 0, as joblib's own backends do."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs != 1 and (below := self._below()):
            warnings.warn(
                f"Fanfold-backed parallel loops cannot be nested below {below}, setting n_jobs=1", stacklevel=3
            )
            return 1
        engine = self._given.get("engine") or self._options.get("engine")
        all_of_them = engine_for(engine).describe().concurrency
        if n_jobs is None:
            return all_of_them
        return n_jobs if n_jobs > 0 else max(1, all_of_them + 1 + n_jobs)

    def _below(self) -> str:
        """What this loop is nested in where, as in joblib's own backends, its calls are made in turn."""
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.current_process().daemon:
            return "multiprocessing"
        return "threads" if self.nesting_level and not self.in_main_thread() else ""

    def configure(self, n_jobs: int = 1, parallel: Any = None, **given: Any) -> int:
        """Make ready for one `Parallel`; `given` is what it was given for its backend: an initializer, a machine."""
        before = (self._executor, self._given, self.parallel)
        self._given = {name: value for name, value in given.items() if name not in _OF_JOBLIB}
        options = {**self._options, **self._given}
        workers = self.effective_n_jobs(n_jobs)
        own = {name: value for name, value in options.items() if value is not None}
        executor = Executor(workers if n_jobs and n_jobs > 0 else None, **own)
        if workers == 1 and not executor.makes_jobs:  # as joblib's own: one call at a time is made here
            self._given = before[1]
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if before[0] is not None:
            self._around.append((before[0], *before[1:]))
        self._executor, self.parallel = executor, parallel
        executor.share_prepared_workers()  # as loops on loky do
        if self.inner_max_num_threads is not None:
            self._executor.limit_threads(self.inner_max_num_threads)
        # With a number, for with "all" joblib returns what it has, without a word, where the iterable of calls raises
        # before it has given a batch; and a few calls at a time, as joblib hands them over, would each be a job.
        in_full = ("2 * n_jobs", "all") if self._executor.makes_jobs else ("all",)
        if parallel is not None and parallel.pre_dispatch in in_full:
            parallel.pre_dispatch = sys.maxsize
        return workers

    def compute_batch_size(self) -> int:
        """Calls that go together: as many as take a fifth of a second; jobs take them one by one."""
        if self._executor is not None and self._executor.makes_jobs:
            return 1
        size: int = super().compute_batch_size()
        return size

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Future[Any]:
        """Start one of joblib's batches of calls."""
        assert self._executor is not None
        if self._executor.makes_jobs:
            calls = [self._executor.submit(fn, *args, **kwargs) for fn, args, kwargs in func.items]
            return _together(calls, callback)
        future = self._executor.submit(call_batch, func)
        if not self._executor.was_sent(future):
            raise PicklingError("Could not pickle the task to send to the workers.") from future.exception()
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # what joblib before 1.5 calls it

    def retrieve_result_callback(self, out: Future[list[Any]]) -> list[Any]:
        """The results of a batch. Raises what the first failed call raised."""
        return out.result()

    @contextlib.contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Nothing is to be prepared for reading results."""
        yield

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End what was started, after a failure or an interrupt."""
        parallel, given = self.parallel, self._given
        self._shutdown(cancel=True)
        if ensure_ready and parallel is not None:
            self.configure(n_jobs=parallel.n_jobs, parallel=parallel, **given)

    def terminate(self) -> None:
        """Let go of the executor; joblib does so at the end of each loop, after `abort_everything` as well."""
        self._shutdown(cancel=False)
        if self._around:
            self._executor, self._given, self.parallel = self._around.pop()

    def _shutdown(self, *, cancel: bool) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=cancel)
            if cancel:
                self._executor.kill_workers()
            self._executor = None
        self.reset_batch_stats()


def _together(calls: list[Future[Any]], callback: Callable[[Any], None] | None) -> Future[list[Any]]:
    """A future of all results, done when the last call is."""
    whole: Future[list[Any]] = Future()
    whole.set_running_or_notify_cancel()
    left, lock = len(calls), Lock()

    def count_down(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        try:
            whole.set_result([call.result() for call in calls])
        except BaseException as error:  # noqa: BLE001  also CancelledError, which is the caller's to raise
            whole.set_exception(error)
        if callback is not None:
            callback(whole)

    for call in calls:
        call.add_done_callback(count_down)
    return whole


register_parallel_backend("fanfold", FanfoldBackend)
