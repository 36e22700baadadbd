"""Results are read in a process of its own: what it holds goes when nobody asks, and nobody waits for a dead one."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from fanfold.errors import FanfoldError
from fanfold.workbench.results_process import ResultsProcess

NO_JOB = ("read_columns", "no-such-job", "local", 0)


def readers():
    return [one for one in psutil.Process().children() if "results_child" in " ".join(one.cmdline())]


def test_who_waits_for_a_process_that_ends_is_told_and_the_next_has_another(eventually):
    results = ResultsProcess(idle_s=0.0)
    with pytest.raises(FanfoldError, match="There is no job") as told:
        results.ask(*NO_JOB)
    assert told.value.next_step  # what to do next, in the child's own words as well
    [child] = readers()
    os.kill(child.pid, signal.SIGSTOP)  # it answers nobody
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(results.ask, *NO_JOB)
        eventually(lambda: results.is_busy)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(FanfoldError, match="exit code -9"):
            waiting.result(30)
    with pytest.raises(FanfoldError, match="There is no job"):
        results.ask(*NO_JOB)
    results.end_if_idle()
    assert not readers()
