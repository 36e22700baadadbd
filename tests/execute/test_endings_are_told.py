"""However a run ends its process, it is a failed run with a reason, and the others go on."""

from __future__ import annotations

import os
import signal

import pytest

from fanfold.core.models import RunStatus
from fanfold.errors import ConfigurationError


def die(how: str):
    import ctypes
    import os
    import signal
    import sys

    if how == "segfault":
        ctypes.string_at(0)  # the fatal line
    if how == "abort":
        os.abort()
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "every descriptor":
        os.closerange(0, 256)
    if how == "sys.exit":
        sys.exit("enough")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "recursion":
        return die(how)
    return how


@pytest.mark.parametrize(
    ("how", "reason", "stack"),
    [
        ("segfault", "ended by SIGSEGV (a crash in native code)", "in die"),
        ("abort", "ended by SIGABRT", "in die"),
        ("exit", "ended with exit code 3 in the middle of the run (os._exit", ""),
        ("kill", "ended by SIGKILL (kill -9, or the operating system", ""),
        ("every descriptor", "the UDF closed, or wrote to, file descriptors that it had not opened", ""),
    ],
)
def test_a_process_that_ends_is_a_failed_run_with_its_reason(work, how, reason, stack):
    told = work(die, [{"how": "fine"}, {"how": how}, {"how": "fine"}])
    assert [one.value for one in told] == ["fine", None, "fine"]
    assert told[1].status is RunStatus.FAILED
    assert told[1].error.type == "WorkerDied"
    assert told[1].error.infrastructure
    assert reason in told[1].error.message
    assert stack in told[1].error.traceback


@pytest.mark.parametrize(
    ("how", "type", "message"),
    [
        ("sys.exit", "SystemExit", "the UDF called sys.exit('enough')"),
        ("interrupt", "KeyboardInterrupt", ""),
        ("recursion", "RecursionError", "maximum recursion depth"),
    ],
)
def test_what_is_raised_ends_the_run_but_not_its_process(work, how, type, message):
    told = work(die, [{"how": "fine"}, {"how": how}, {"how": "fine"}])
    assert [one.value for one in told] == ["fine", None, "fine"]
    assert told[1].error.type == type
    assert message in told[1].error.message
    assert not told[1].error.infrastructure
    assert "in die" in told[1].error.traceback


def test_kill_from_outside_is_a_failed_run(pool, feed):
    def wait():
        import time

        time.sleep(60)

    one, given = pool(), feed(wait)
    one.add(given)
    while not given.told[0].pid:
        one.step()
    os.kill(given.told[0].pid, signal.SIGKILL)
    while one.serves(given):
        one.step()
    assert given.told[0].error.type == "WorkerDied"
    assert "SIGKILL" in given.told[0].error.message


def test_the_end_is_noticed_where_a_forked_child_keeps_the_line_open(work):
    def fork_and_die():
        import os
        import time

        if not os.fork():
            os.setsid()
            time.sleep(60)
        time.sleep(0.2)
        os._exit(7)

    (told,) = work(fork_and_die, timeout_s=30)
    assert "exit code 7" in told.error.message


def test_an_error_of_any_size_arrives_shortened(work):
    def fail(size: int):
        raise ValueError("\N{SNOWMAN}" * size)

    small, large = work(fail, [{"size": 10}, {"size": 10_000_000}])
    assert small.error.message == "\N{SNOWMAN}" * 10
    assert large.error.type == "ValueError"
    assert len(large.error.message) < 5000
    assert "characters ...]" in large.error.message
    assert "raise ValueError" in large.error.traceback
    assert not large.error.infrastructure


def test_an_error_that_cannot_speak_for_itself_is_told_all_the_same(work):
    def fail():
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        raise Mute

    (told,) = work(fail)
    assert told.error.type.endswith("Mute")
    assert told.error.message == "<its message could not be read: RuntimeError>"


def test_workers_that_cannot_start_are_an_error_not_a_hang(pool, feed, tmp_path, monkeypatch, capfd):
    def answer():
        return 42

    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"end as soon as they start .*exit code 9"):
        pool().serve(feed(answer))
