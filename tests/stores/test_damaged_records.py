"""A store with damaged records: what is damaged is told in Fanfold's own errors, and hides nothing else."""

from __future__ import annotations

import sqlite3

import pytest

import fanfold
from fanfold.core.models import EventKind
from fanfold.errors import StoreError, StoreTooNew
from fanfold.settings import current
from fanfold.stores.packing import pack, unpack
from tests.fold.stories import event


@fanfold.udf
def double(x: int):
    return 2 * x


def change(statement: str, *values: object) -> None:
    """Change the database behind everybody's back."""
    with sqlite3.connect(current().home / "fanfold.db") as connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize("header", ["", "{", "[]", "{}", "null", '{"id": 7, "count": "many"}'])
def test_one_damaged_header_hides_no_other_job(header):
    first, second = (fanfold.submit(double, [n], collect=False).wait() for n in (1, 2))
    change("UPDATE jobs SET header = ? WHERE id = ?", header, first.id)
    assert [job.id for job in fanfold.get_jobs()] == [second.id]
    with pytest.raises(StoreError, match="header of a job is damaged"):
        fanfold.get_job(first.id)


@pytest.mark.parametrize(
    ("column", "value"),
    [("heads", b"odd"), ("results", b"odd"), ("results", b""), ("notes", "{"), ("notes", '{"9": {}}'), ("heads", 7)],
)
def test_damaged_events_are_told_as_such(column, value):
    job = fanfold.submit(double, range(3), collect=False).wait()
    change(f"UPDATE state SET {column} = ?", value)
    with pytest.raises(StoreError, match=f"What is recorded of job {job.id} is damaged"):
        fanfold.get_job(job.id).counts()


def test_an_event_of_a_kind_that_is_not_known_asks_for_an_upgrade():
    heads, *rest = pack([event("started", 0)])
    kind_at = 14 + 4 + 4
    newer = heads[:kind_at] + bytes([len(EventKind) + 3]) + heads[kind_at + 1 :]
    with pytest.raises(StoreTooNew, match="A newer Fanfold has recorded an event of job job-1"):
        unpack("job-1", (newer, *rest))


def test_a_store_of_the_first_version_is_read_and_brought_up_to_date(home):
    job = fanfold.submit(double, range(3), collect=False).wait()
    fanfold.engines.base.engine_for().close()
    change("DROP TABLE briefs")
    change("PRAGMA user_version=1")
    assert fanfold.get_job(job.id).results() == [0, 2, 4]
    assert fanfold.get_job(job.id).brief().status == "Completed"
