"""All jobs are read by a process of its own: all that it finds comes to the page, also when it dies in between."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing

import psutil
import pytest

from fanfold.errors import FanfoldError, SignInNeeded
from fanfold.stores import packing
from fanfold.workbench.asked_process import AskedProcess
from fanfold.workbench.jobs.jobs_reader import JobsReader
from fanfold.workbench.jobs.table import JobsTable
from tests.workbench.samples import Store, unanswering


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("FANFOLD_HOME", str(tmp_path))
    return Store(tmp_path)


@pytest.fixture
def table():
    one = JobsTable("local")
    yield one
    one.process.close()


def readers():
    return [one for one in psutil.Process().children() if "jobs_reader" in " ".join(one.cmdline())]


def look_until_all_is_read(table):
    table.look_now()
    while table.is_behind:
        table.look_now()
    assert table.trouble is None


def test_a_reader_that_was_killed_gives_way_to_another_and_no_row_is_lost_meanwhile(store, table):
    headers = [store.finished(4, failing=4) for _ in range(3)]
    look_until_all_is_read(table)
    before = {one.id: table.rows[one.id]["status"] for one in headers}
    assert set(before.values()) == {"Failed"}
    [reader] = readers()
    os.kill(reader.pid, signal.SIGKILL)
    psutil.wait_procs([reader], timeout=30)
    table.look_now()
    while table.trouble is not None:  # it had not been noticed yet; then that is said, and the next look has another
        assert "has ended" in table.trouble.message
        table.look_now()
    assert {one: table.rows[one]["status"] for one in before} == before
    newer = store.finished(2)
    look_until_all_is_read(table)
    assert table.rows[newer.id]["status"] == "Completed"
    assert table.unread == 0


def test_a_row_that_comes_while_a_page_asks_for_news_is_told_then_or_the_next_time():
    table = JobsTable("local")

    class ComesMeanwhile(dict):
        def values(self):
            found = list(super().values())
            if "late" not in self:
                table._put({"id": "late", "status": "Running"})
            return found

    table.rows = ComesMeanwhile()
    table._put({"id": "first", "status": "Running"})
    rows, version = table.since(0)
    more, _ = table.since(version)
    assert {row["id"] for row in (*rows, *more)} == {"first", "late"}


def test_a_job_that_could_not_be_read_for_a_silent_store_is_read_when_it_answers(store):
    header = store.finished(2)
    reader = JobsReader("local")
    reader._read_news()
    with unanswering(store), pytest.raises(FanfoldError):
        reader.look([header.id], "", 0)
    news = reader.look([], "", 0)
    assert [row["status"] for row in news.rows] == ["Completed"]
    assert not news.is_behind


def rewritten(store, header, change):
    """Has the pages of a job's events changed, as another version or a broken disk would have left them."""
    with closing(sqlite3.connect(store.home / "fanfold.db", timeout=30)) as connection, connection:
        number = connection.execute("SELECT number FROM jobs WHERE id = ?", [header.id]).fetchone()[0]
        for row, heads in connection.execute("SELECT row, heads FROM state").fetchall():
            if row >> 36 == number:
                connection.execute("UPDATE state SET heads = ? WHERE row = ?", [change(heads), row])


def of_a_kind_to_come(heads):
    parts = [(*part[:3], 200, *part[4:]) for part in packing._HEAD.iter_unpack(heads)]
    return b"".join(packing._HEAD.pack(*part) for part in parts)


@pytest.mark.parametrize(
    ("change", "why"), [(of_a_kind_to_come, "A newer Fanfold"), (lambda heads: heads[:-3], "is damaged")]
)
def test_a_job_that_alone_cannot_be_read_says_why_and_all_others_are_read(store, change, why):
    first, odd, last = (store.finished(2) for _ in range(3))
    rewritten(store, odd, change)
    news = JobsReader("local").look([odd.id], "", 0)
    rows = {row["id"]: row for row in news.rows}
    assert [rows[one.id]["status"] for one in (first, odd, last)] == ["Completed", "Unreadable", "Completed"]
    assert why in rows[odd.id]["why"]
    assert not news.is_behind


def test_what_keys_that_have_expired_need_is_said_as_it_was_by_the_child():
    from fanfold.workbench.asked_process import _as_error

    told = _as_error("The keys have expired.", "run aws sso login.", needs_sign_in=True)
    assert isinstance(told, SignInNeeded)
    table = JobsTable("local")
    table.process = type("Refused", (AskedProcess,), {"__init__": lambda self: None, "ask": refuse(told)})()
    table.look_now()
    assert "Next: run aws sso login." in table.silence()


def refuse(error):
    def ask(*_):
        raise error

    return ask
