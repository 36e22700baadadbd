"""A process that is asked answers, or those who wait are told why not: none of them waits for ever."""

from __future__ import annotations

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fanfold.errors import FanfoldError
from fanfold.workbench.asked_process import AskedProcess

ACTIONS = '''
import os
import time

from fanfold.workbench.asked_process import answer


class Odd:
    """Its reader has no such module."""


def unpicklable():
    return lambda: 0


def silent():
    time.sleep(600)


def main():
    actions = {"unpicklable": unpicklable, "odd": Odd, "double": lambda x: 2 * x, "silent": silent, "pid": os.getpid}
    answer(actions, 2)
'''


@pytest.fixture
def asked(tmp_path, monkeypatch):
    (tmp_path / "ff_actions.py").write_text(ACTIONS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = AskedProcess("ff_actions", idle_s=600, gone=("It has ended (code {code}).", "ask again"))
    yield process
    process.close()


def ask(asked, what, *arguments):
    """Ask, and wait for no longer than a minute."""
    waiting = ThreadPoolExecutor(1)
    try:
        return waiting.submit(asked.ask, what, *arguments).result(60)
    finally:
        waiting.shutdown(wait=False)


def test_an_answer_that_cannot_be_sent_is_told_and_the_process_goes_on(asked):
    pid = ask(asked, "pid")
    with pytest.raises(FanfoldError, match="could not be sent"):
        ask(asked, "unpicklable")
    assert (ask(asked, "double", 4), ask(asked, "pid")) == (8, pid)


def test_an_answer_that_cannot_be_read_is_told_to_all_who_wait_and_another_process_goes_on(asked):
    with pytest.raises(FanfoldError, match=r"could not be read.*ff_actions"):
        ask(asked, "odd")
    assert ask(asked, "double", 4) == 8


def test_a_question_that_it_does_not_know_ends_it_for_those_who_wait(asked):
    with pytest.raises(FanfoldError, match=r"ended \(code 1\)"):
        ask(asked, "no such thing")
    assert ask(asked, "double", 4) == 8


def test_a_question_that_cannot_be_sent_is_not_waited_for(asked):
    with pytest.raises(Exception, match="pickle"):
        ask(asked, "double", lambda: 0)
    assert not asked.is_busy
    assert ask(asked, "double", 4) == 8


def test_one_whose_pipe_is_closed_and_which_lives_is_not_waited_for(asked, monkeypatch):
    monkeypatch.setattr("fanfold.workbench.asked_process._GONE_S", 0.2)
    os.kill(ask(asked, "pid"), signal.SIGSTOP)
    with socket.socket(fileno=os.dup(asked._child._connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)
    with pytest.raises(FanfoldError, match=r"ended \(code -9\)"):
        asked._child.ask("pid", ()).result(60)


def test_all_who_wait_are_told_of_its_end(asked):
    pid, failures = ask(asked, "pid"), []

    def wait():
        try:
            asked.ask("silent")
        except FanfoldError as error:
            failures.append(str(error))

    waiting = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
    for one in waiting:
        one.start()
    os.kill(pid, signal.SIGKILL)
    for one in waiting:
        one.join(60)
    assert len(failures) == 3
