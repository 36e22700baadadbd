"""loky's own tests of its executor, with `fanfold.Executor` in its place.

Left out is what looks into loky's own parts (its threads, queues, process table and workers' time to live), what asks
for settings that no other executor has, and what scripts import by loky's name.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
from concurrent.futures.process import BrokenProcessPool

import elsewhere

sys.path.insert(0, os.environ["SUITES_FOLDER"])
import loky
from loky import process_executor
from loky.backend import get_context


def _adapt():
    """Have loky's tests find Fanfold's executor, and the standard library's errors, by loky's names."""
    import loky_executor

    process_executor.ProcessPoolExecutor = loky_executor.LokyExecutor
    process_executor.TerminatedWorkerError = process_executor.BrokenProcessPool = BrokenProcessPool
    process_executor.ShutdownExecutorError = RuntimeError
    loky.get_reusable_executor = loky_executor.get_reusable_executor


if elsewhere.ENGINE == "fanfold":
    _adapt()

from tests import _executor_mixin, _test_process_executor, test_reusable_executor  # noqa: E402

_INNER_PARTS = (
    "test_processes_terminate test_processes_terminate_on_executor_gc test_processes_crash_handling_after_executor_gc "
    "test_context_manager_shutdown test_del_shutdown test_shutdown_no_wait test_shutdown_deadlock_pickle "
    "test_interpreter_shutdown test_hang_gh94440 test_hang_issue39205 test_shutdown_and_kill_workers "
    "test_killed_child test_killed_child_with_cancelled_work_items test_worker_timeout test_serialization "
    "test_max_depth test_memory_leak_protection test_reference_cycle_collection test_child_env_executor "
    "test_viztracer_profiler test_viztracer_profiler_with_custom_init test_exception_cause_with_tblib "
    "test_no_deprecation_warning_is_raised_on_fork test_manager_thread_crash_breaks_executor "
    "test_feeder_error_hook_crash_breaks_executor test_no_failure_on_large_data_send test_traceback "
    "test_callback_crash_on_submit test_deadlock_kill test_crash_races test_queue_full_deadlock "
    "test_numpy_dot_parent_and_child_no_freeze"
).split()


@functools.cache
def _event():
    """An event that both sides see, whatever starts the workers."""
    return multiprocessing.Manager().Event()


class EngineMixin:
    executor_type = process_executor.ProcessPoolExecutor
    context = get_context("loky")  # asked for its name alone
    worker_count = 2

    def setup_method(self):
        _executor_mixin._test_event = _event()
        _event().clear()
        prepared = {"initializer": _executor_mixin.initializer_event, "initargs": (_event(),)}
        self.executor = self.executor_type(self.worker_count, **prepared)
        self.executor.submit(int).result()

    def teardown_method(self):
        self.executor.shutdown(wait=True, kill_workers=True)


class _Reusable:
    def setup_method(self, method):
        loky.get_reusable_executor(max_workers=2)


_KINDS = {
    "Shutdown": (_test_process_executor.ExecutorShutdownTest, EngineMixin),
    "Wait": (_test_process_executor.WaitTests, EngineMixin),
    "AsCompleted": (_test_process_executor.AsCompletedTests, EngineMixin),
    "Executor": (_test_process_executor.ExecutorTest, EngineMixin),
    "Crashes": (test_reusable_executor.TestExecutorDeadLock, _Reusable),
}

for _name, (_tests, _mixin) in _KINDS.items():
    _left_out = dict.fromkeys((name for name in _INNER_PARTS if hasattr(_tests, name)), None)
    _members = {name: each for name, each in vars(_tests).items() if name not in ("__dict__", "__weakref__")}
    _class = type(f"Test{_name}", (_mixin,), {**_members, "__module__": __name__, **_left_out})
    globals()[_class.__name__] = _class
del _class, _tests
