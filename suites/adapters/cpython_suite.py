"""CPython's tests of concurrent.futures, with `fanfold.Executor` as one more kind of executor.

Left out is what looks into ProcessPoolExecutor's own parts: its threads, queues and process table.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent import futures
from pathlib import Path

import elsewhere
from test.support import script_helper
from test.test_concurrent_futures import (
    executor,
    test_as_completed,
    test_deadlock,
    test_init,
    test_process_pool,
    test_shutdown,
    test_wait,
    util,
)

_INNER_PARTS = (
    "test_processes_terminate test_del_shutdown test_shutdown_no_wait test_killed_child test_saturation "
    "test_idle_process_reuse_one test_idle_process_reuse_multiple test_max_tasks_per_child "
    "test_max_tasks_per_child_defaults_to_spawn_context test_max_tasks_early_shutdown test_python_finalization_error "
    "test_gh105829_should_not_deadlock_if_wakeup_pipe_full test_context_manager_shutdown "
    "test_shutdown_deadlock_pickle"
).split()


def _executor_type():
    if elsewhere.ENGINE == "fanfold":
        import fanfold

        return fanfold.Executor
    return futures.ProcessPoolExecutor


class EngineMixin(util.ExecutorMixin):
    executor_type = _executor_type()

    def get_context(self):
        return multiprocessing.get_context("spawn")


def _as_script(*args, **variables):
    """Run a test's script with the name that it imports found, as the test would run it."""
    text = args[-1].replace("from concurrent.futures import Executor", "from fanfold import Executor")
    return _script(*args[:-1], text, **{**variables, "PYTHONPATH": os.environ["PYTHONPATH"], "__isolated": False})


_script = script_helper.assert_python_ok
test_shutdown.assert_python_ok = _as_script

_KINDS = {
    "Executor": executor.ExecutorTest,
    "Shutdown": test_shutdown.ExecutorShutdownTest,
    "ProcessPoolShutdown": test_shutdown.ProcessPoolShutdownTest,
    "ProcessPool": test_process_pool.ProcessPoolExecutorTest,
    "AsCompleted": test_as_completed.AsCompletedTests,
    "Wait": test_wait.WaitTests,
    "Deadlock": test_deadlock.ExecutorDeadlockTest,
}

for _name, _tests in _KINDS.items():
    _left_out = dict.fromkeys((name for name in _INNER_PARTS if hasattr(_tests, name)), None)
    _class = type(f"{_name}Test", (_tests, EngineMixin, util.BaseTestCase), {"__module__": __name__, **_left_out})
    globals()[_class.__name__] = _class
del _class


class InitializerTest(test_init.InitializerMixin, EngineMixin, util.BaseTestCase):
    pass


def test_a_failing_initializer_breaks_the_executor():
    import pytest

    executor = _executor_type()(2, initializer=test_init.init_fail)
    with pytest.raises(futures.BrokenExecutor):
        executor.submit(test_init.get_init_status).result(timeout=30)
    with pytest.raises(futures.BrokenExecutor):
        executor.submit(test_init.get_init_status)
    executor.shutdown()


assert Path(os.environ["SUITES_FOLDER"]).exists()
