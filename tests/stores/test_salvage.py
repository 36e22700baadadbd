"""A damaged `fanfold.db`: all that can still be read in it becomes a new one, and what is lost is named."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import fanfold
from fanfold.cli.app import app
from fanfold.core.models import RunStatus
from fanfold.engines.base import engine_for
from fanfold.errors import StoreError
from fanfold.stores.keys import inputs_key
from fanfold.stores.local import LocalStores
from fanfold.stores.local.salvage import salvage
from fanfold.stores.state import read_state
from tests.stores.samples import a_job, an_entry, an_output, finished, printed

PAGE_BYTES = 4096
#: More than a page has room for: its row goes on elsewhere.
LONG = b"7" * 9_000


@pytest.fixture
def store(tmp_path):
    """A home with five jobs of ten runs, each event on a page of the log's own, and 300 cached results; and the jobs.

    One more has been removed. All is in the file itself, none in its log.
    """
    with LocalStores.open(tmp_path / "store") as stores:
        jobs = [a_job() for _ in range(6)]
        for job in jobs:
            stores.log.put_job(job)
            stores.objects.put(inputs_key(job.id), b"")
            for index in range(10):
                output = an_output(LONG + b"%d" % index)
                stores.log.append([finished(job.id, index, output=output), printed(job.id, index, "a line\n")])
        stores.cache.record([an_entry(f"result {number}") for number in range(300)])
        stores.remove_jobs([jobs.pop().id])
        with stores.database.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path / "store", [job.id for job in jobs]


def damage(home, pages):
    """Overwrite some pages of the file, counted from 1."""
    with (home / "fanfold.db").open("r+b") as file:
        for number in pages:
            file.seek((number - 1) * PAGE_BYTES)
            file.write(random.Random(number).randbytes(PAGE_BYTES))


def contents(home):
    """What a store has: of each job its results, and how many results are cached."""
    with LocalStores.open(home) as stores:
        jobs = {}
        for header in stores.log.list_jobs():
            state = read_state(stores.log, header)
            good = state.indexes(RunStatus.SUCCEEDED)
            jobs[header.id] = {index: state.output(index).inline for index in good}
        return jobs, stores.cache.usage()[0]


def test_nothing_is_lost_of_a_file_that_is_whole(store):
    home, jobs = store
    before = contents(home)
    told = salvage(home)
    assert contents(home) == before
    assert told[:4] == (sorted(jobs), [], [], 300)
    assert told.damaged.exists()


def test_what_the_log_has_is_read_with_the_file(store):
    home, jobs = store
    stores = LocalStores.open(home)
    job = a_job(count=1)
    stores.log.put_job(job)
    stores.log.append([finished(job.id, 0)])
    copy = home.parent / "copy"
    copy.mkdir()
    for part in ("", "-wal"):  # as of a process that was killed
        (copy / f"fanfold.db{part}").write_bytes((home / f"fanfold.db{part}").read_bytes())
    stores.close()
    told = salvage(copy)
    assert told.jobs == sorted([*jobs, job.id])
    assert contents(copy)[0][job.id] == {0: b"0"}


@pytest.mark.parametrize("seed", range(8))
def test_damaged_pages_take_nothing_but_what_is_on_them(store, seed):
    home, jobs = store
    before, _ = contents(home)
    count = (home / "fanfold.db").stat().st_size // PAGE_BYTES
    damage(home, random.Random(seed).sample(range(1, count + 1), 2))
    told = salvage(home)
    after, cached = contents(home)
    assert set(told.jobs) == set(after)
    for job, results in after.items():
        assert results.items() <= before[job].items()  # nothing is made up, and what was removed is not back
        assert results == before[job] or job in told.incomplete
    assert {*told.jobs, *told.lost} == set(jobs)
    assert sum(len(before[job]) - len(after[job]) for job in after) <= 6
    assert cached > 150


def test_a_file_whose_first_page_is_gone_is_read_all_the_same(store):
    home, _ = store
    before = contents(home)
    damage(home, [1])
    with pytest.raises(StoreError, match="is not a database") as told:
        contents(home)
    assert "`fanfold salvage`" in told.value.next_step
    salvage(home)
    assert contents(home) == before


def test_a_store_that_somebody_uses_is_left_alone(store):
    home, _ = store
    use = "import sys; from pathlib import Path; from fanfold.stores.local import LocalStores as Stores\n"
    use += "with Stores.open(Path(sys.argv[1])): print(flush=True), sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", use, str(home)], stdin=-1, stdout=-1) as user:
        user.stdout.readline()
        with pytest.raises(StoreError, match="is in use by another process"):
            salvage(home)
        user.stdin.close()
    assert contents(home)[1] == 300


@fanfold.udf
def double(x: int):
    return 2 * x


def test_after_a_salvage_jobs_are_read_again_and_the_same_submit_runs_nothing(home):
    job = fanfold.submit(double, [1, 2, 3], collect=False).wait()
    engine_for().close()
    damage(home, [1])
    with pytest.raises(StoreError, match="is not a database"):
        fanfold.get_job(job.id)
    engine_for().close()
    said = CliRunner().invoke(app, ["salvage"], prog_name="fanfold")
    assert said.exit_code == 0, said.output
    assert "1 job and 3 cached results are there again" in said.output
    assert fanfold.get_job(job.id).results() == [2, 4, 6]
    assert fanfold.submit(double, [1, 2, 3], collect=False).wait().counts() == {"cached": 3}
