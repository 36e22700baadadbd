"""A store with damaged records: what is damaged is told in Fanfold's own errors, and hides nothing else."""

from __future__ import annotations

import sqlite3

import pytest

import fanfold
from fanfold.core.models import EventKind
from fanfold.engines.base import engine_for
from fanfold.errors import StoreError, StoreTooNew
from fanfold.settings import current
from fanfold.stores.local.upgrading import ROW_COLUMNS
from fanfold.stores.packing import pack, unpack
from tests.fold.stories import event


@fanfold.udf
def double(x: int):
    return 2 * x


#: A header's bytes that are no text at all, as SQL: SQLite itself takes them for text.
NO_TEXT = "CAST(X'7b22ff' AS TEXT)"


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


def test_a_header_that_is_no_text_hides_no_other_job_and_keeps_no_result_from_the_cache():
    first, second = (fanfold.submit(double, [n], collect=False).wait() for n in (1, 2))
    change(f"UPDATE jobs SET header = {NO_TEXT} WHERE id = ?", first.id)
    assert [job.id for job in fanfold.get_jobs()] == [second.id]
    with pytest.raises(StoreError, match="header of a job is damaged"):
        fanfold.get_job(first.id)
    assert engine_for().stores.cache.clear(udf="double")[0] == 1


def test_a_result_in_a_codec_that_is_not_known_is_computed_anew():
    fanfold.submit(double, [1, 2])
    change("UPDATE cache_pages SET codecs = 'json/t'")
    job = fanfold.submit(double, [1, 2], collect=False).wait()
    assert job.results() == [2, 4]
    assert job.counts()["succeeded"] == 2


def test_a_database_without_a_byte_in_a_home_with_jobs_is_told_and_not_taken_for_a_new_one(home):
    job = fanfold.submit(double, [1], collect=False).wait()
    engine_for().close()
    database = home / "fanfold.db"
    database.write_bytes(b"")
    with pytest.raises(StoreError, match="is empty, though") as told:
        fanfold.get_job(job.id)
    assert "remove it" in told.value.next_step
    database.unlink()  # as it says
    assert fanfold.submit(double, [1], collect=False).wait().results() == [2]


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
    for table in ("briefs", "cached", "cache_pages"):
        change(f"DROP TABLE {table}")
    change(f"CREATE TABLE cache (slot INTEGER PRIMARY KEY, {ROW_COLUMNS})")
    change("PRAGMA user_version=1")
    assert fanfold.get_job(job.id).results() == [0, 2, 4]
    assert fanfold.get_job(job.id).brief().status == "Completed"
