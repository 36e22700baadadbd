"""Looking for a job's cancel flag while its runs go on: nobody waits for the answer, and none is no reason to end."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from fanfold.errors import StoreError
from fanfold_runtime.cancel_flag import CancelFlag


class JobHeaders:
    """Stands in for the table: answers when it is let to, as many times as it has answers."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.may_answer = threading.Event()

    def read_copy(self, job_id, shard):
        self.may_answer.wait(120)
        answer = self.answers.pop(0)
        if answer is None:
            raise StoreError("AWS kept throttling.", next_step="")
        return SimpleNamespace(header=SimpleNamespace(cancelled_at=1.0 if answer else None), question=None)


@pytest.fixture
def flag():
    """Makes a flag that is always due."""
    return lambda heads: CancelFlag(heads, "a-job", 0, every_s=-1.0)


def test_nobody_waits_for_the_answer_and_it_is_asked_for_once_at_a_time(flag, eventually):
    heads = JobHeaders(True)
    looked = flag(heads)
    assert [looked.is_set() for _ in range(5)] == [False] * 5
    heads.may_answer.set()
    eventually(looked.is_set)


def test_where_it_cannot_be_had_it_is_asked_for_again(flag, eventually):
    heads = JobHeaders(None, None, False, True)
    heads.may_answer.set()
    eventually(flag(heads).is_set)
    assert heads.answers == []


def test_it_is_not_asked_for_before_its_time():
    heads = JobHeaders()
    assert not CancelFlag(heads, "a-job", 0, every_s=60.0).is_set()
