"""Results of short runs reach the cache many at once; what has taken long, and what a job ends with, at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from typer.testing import CliRunner

import fanfold
from fanfold.cli.app import app
from fanfold.core.models import RunRef, RunStatus, Usage
from fanfold.engines.feed import JobFeed
from fanfold.execution.calls import Assignment, Report
from fanfold.execution.pool.scheduler import BATCH
from fanfold.stores.local import LocalStores
from fanfold.stores.packing import ManifestWriter
from tests.stores.samples import a_job, finished


@dataclass
class Stream:
    """A job whose runs end a batch at a time."""

    stores: LocalStores
    count: int
    took_s: float
    _ended: int = 0
    feed: JobFeed = field(init=False)

    def __post_init__(self) -> None:
        job = a_job(count=self.count)
        with ManifestWriter(self.stores.scratch, job.id) as manifest:
            for number in range(self.count):
                manifest.add(str(number), sha256(b"%d" % number).digest())
            manifest.store(self.stores.objects)
        self.stores.log.put_job(job)
        work = Assignment(job.id, self.stores.home, self.stores.home)
        self.feed = JobFeed(job, map(RunRef, range(self.count)), stores=self.stores, assignment=work)
        while self.feed.take():
            pass

    def end(self, many: int) -> int:
        """End that many runs more; how many results the cache then has."""
        ends = range(self._ended, self._ended + many)
        usage = Usage(self.took_s, self.took_s, 20.0)
        self.feed.record([Report(finished(self.feed.header.id, index, usage=usage)) for index in ends])
        self._ended += many
        return self.stores.cache.usage()[0]


@pytest.fixture
def stores(tmp_path):
    with LocalStores.open(tmp_path / "home") as opened:
        yield opened


def test_short_runs_in_a_stream_wait_for_each_other_on_their_way_to_the_cache(stores):
    stream = Stream(stores, 5_000, took_s=1e-5)
    assert [stream.end(BATCH) for _ in range(9)] == [0] * 9
    assert stream.end(BATCH) == 10 * BATCH == 2_000  # enough to be worth a write


def test_no_result_waits_that_took_long(stores):
    stream = Stream(stores, 1_000, took_s=0.1 / BATCH)
    assert [stream.end(BATCH), stream.end(BATCH)] == [BATCH, 2 * BATCH]


def test_no_result_waits_where_the_stream_pauses(stores):
    stream = Stream(stores, 1_000, took_s=1e-5)
    assert [stream.end(BATCH), stream.end(3)] == [0, BATCH + 3]


@pytest.mark.parametrize("left", [0, 7])
def test_when_a_job_is_over_all_its_results_are_in_the_cache(stores, left):
    stream = Stream(stores, 2 * BATCH + left, took_s=1e-5)
    assert stream.end(BATCH) == 0
    assert stream.end(BATCH) == (0 if left else 2 * BATCH)
    assert left == 0 or stream.end(left) == 2 * BATCH + left


def test_after_the_last_result_a_second_job_finds_them_all_in_the_cache():
    def doubled(x: int) -> int:
        return 2 * x

    for inputs in (range(2 * BATCH), range(1_000_000, 1_000_777)):
        for status in (RunStatus.SUCCEEDED, RunStatus.CACHED):
            job = fanfold.submit(doubled, inputs, collect=False)
            assert job.results() == [2 * x for x in inputs]
            assert len(list(job.state.indexes(status))) == len(inputs)


DIES = """
import os, signal, sys
import fanfold
from fanfold.cli.app import app

def doubled(x: int):
    return 2 * x

job = fanfold.submit(doubled, range(20_000), collect=False)
if sys.argv[1:]:
    print(job.wait().counts().get("cached", 0))
else:
    print(job.id, flush=True)
    for state in job.changes():
        if sum(1 for _ in state.indexes(fanfold.core.models.RunStatus.SUCCEEDED)) > 500:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("cleared", [False, True])
def test_what_a_killed_program_had_not_given_to_the_cache_yet_is_found_in_its_record(tmp_path, cleared):
    (tmp_path / "dies.py").write_text(DIES)
    command = [sys.executable, str(tmp_path / "dies.py")]
    first = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert first.returncode == -signal.SIGKILL
    if cleared:
        assert CliRunner().invoke(app, ["cache", "clear"]).exit_code == 0
    ended = fanfold.get_job(first.stdout.strip()).wait().counts()["succeeded"]
    assert ended > 500
    second = subprocess.run([*command, "again"], capture_output=True, text=True, check=True)
    assert int(second.stdout) == (0 if cleared else ended)
