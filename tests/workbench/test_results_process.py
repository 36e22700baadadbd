"""Results are read in a process of its own: what it holds goes when nobody asks, and nobody waits for a dead one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psutil
import pytest

from fanfold.core.models import Output
from fanfold.errors import FanfoldError
from fanfold.workbench.job.run_detail import look
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
    results.end_if_idle()  # nobody has asked for its 0 seconds
    assert not readers()


def test_a_look_that_cannot_be_had_says_why_and_a_plain_one_asks_no_other_process():
    class Ended:
        def ask(self, *arguments):
            raise FanfoldError("What reads results has ended.", next_step="read fewer.")

    contents = SimpleNamespace(own_text=lambda index: '{"x":1}', arguments=lambda index: {"x": 1})
    contents.value = lambda index, output: 7
    job = SimpleNamespace(contents=contents, header=SimpleNamespace(constants="{}"))
    followed = SimpleNamespace(job=job, results=Ended())
    arguments, seen = look(followed, 0, Output("png/1", "", 3, b"abc"))
    assert arguments == '{"x":1}'
    assert seen.text == "What reads results has ended.\n  Next: read fewer."
    arguments, seen = look(followed, 0, Output("json/1", "", 1, b"7"))
    assert (arguments, seen.text) == ("x=1", "7")


_FIRST = """
import sys
from fanfold.workbench import asked_process, results_child
sys.argv = ["", "0"]
class Asked:
    def __init__(self, number):
        pass
    def recv(self):
        print(hasattr(sys.modules.get("pandas"), "Series"), flush=True)
        raise EOFError
asked_process.Connection = Asked
results_child.main()
"""


def test_pandas_is_there_whole_before_the_first_result_is_read():
    """Libraries look for it among the modules that are loaded: while one thread imports it, they find half of it."""
    said = subprocess.run([sys.executable, "-c", _FIRST], capture_output=True, text=True, check=True)
    assert said.stdout == "True\n"
