"""What only the local stores promise: how files move, what clearing the cache deletes, how little is imported."""

from __future__ import annotations

import errno
import gc
import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from fanfold.core.models import Event
from fanfold.errors import StoreError
from fanfold.stores.keys import result_key
from fanfold.stores.local import LocalStores
from fanfold.stores.packing import Manifest, ManifestWriter
from tests.stores.event_log_contract import read_all
from tests.stores.samples import a_job, an_entry, an_output, failed, finished

DAY_S = 86_400.0


def stored(stores: LocalStores, name: str, *, age_s: float = DAY_S) -> str:
    """The key of a result object that was written `age_s` ago."""
    key = result_key(an_entry(name).key, an_output(name.encode()).sha256)
    stores.objects.put(key, name.encode())
    touch(stores, key, age_s)
    return key


def touch(stores: LocalStores, key: str, age_s: float) -> None:
    at = time.time() - age_s
    os.utime(stores.objects.path(key), (at, at))


def test_a_new_home_is_nobody_else_s_and_an_old_one_is_left_as_it_is(tmp_path):
    before = os.umask(0o022)
    try:
        with LocalStores.open(tmp_path / "new" / "home") as stores:
            assert stores.home.stat().st_mode & 0o777 == 0o700
        shared = tmp_path / "shared"
        shared.mkdir(mode=0o775)
        shared.chmod(0o775)
        with LocalStores.open(shared) as stores:
            assert stores.home.stat().st_mode & 0o777 == 0o775
    finally:
        os.umask(before)


def test_stores_that_nobody_has_any_more_are_closed(tmp_path):
    stores = LocalStores.open(tmp_path)
    stores.log.put_job(a_job())
    [connection] = [each for each in gc.get_objects() if type(each) is sqlite3.Connection and is_of(each, tmp_path)]
    del stores
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def is_of(connection, folder):
    try:
        return str(folder) in connection.execute("PRAGMA database_list").fetchone()[2]
    except sqlite3.ProgrammingError:
        return False


def test_scratch_files_are_renamed_into_place(stores):
    path = stores.scratch / "large"
    path.write_bytes(b"large")
    inode = path.stat().st_ino
    stores.objects.put_file("udf/a", path)
    assert stores.objects.path("udf/a").stat().st_ino == inode


def test_files_of_another_file_system_are_copied(stores, tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.write_bytes(b"large")
    rename = os.replace

    def across(source, target):
        if source == path:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "replace", across)
    stores.objects.put_file("udf/a", path)
    assert stores.objects.get("udf/a") == b"large"
    assert not path.exists()
    assert list(stores.scratch.iterdir()) == []


def test_ids_and_hashes_of_another_form_come_back_as_they_are(stores):
    job = a_job()
    stores.log.put_job(job)
    odd = [("event-1", "A" * 64), ("ab", "ab"), ("AB" * 14, ""), ("", "x" * 64)]
    events: list[Event] = [
        finished(job.id, index, output=an_output()._replace(sha256=digest))._replace(id=event_id)
        for index, (event_id, digest) in enumerate(odd)
    ]
    stores.log.append(events)
    assert read_all(stores.log, job.id) == events
    entry = an_entry("a")._replace(key="short", output=an_output()._replace(sha256="F" * 64))
    stores.cache.record([entry])
    assert stores.cache.lookup(["short", "longer"], max_age_s=DAY_S) == {"short": entry}


@pytest.mark.usefixtures("threads_that_switch_often")
def test_threads_that_read_inputs_at_once_get_each_its_own(stores, monkeypatch):
    monkeypatch.setattr("fanfold.stores.packing._PAGE_RUNS", 3)
    job = a_job(count=5_000)
    with ManifestWriter(stores.scratch, job.id) as manifest:
        for number in range(job.count):
            manifest.add(str(number), number.to_bytes(32, "big"))
        manifest.store(stores.objects)
    read = Manifest(stores.objects, job.id, job.count)

    def wrong(start: int) -> list[int]:
        asked = (number * 7 % job.count for number in range(start, job.count, 8))
        return [number for number in asked if read.arguments(number) != str(number)]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(wrong, range(8))) == [[]] * 8


def test_two_keys_that_share_a_slot_are_told_apart(stores):
    one, other = an_entry("a")._replace(key="a" * 64), an_entry("a")._replace(key="a" * 63 + "b")
    stores.cache.record([one])
    assert stores.cache.lookup([other.key], max_age_s=DAY_S) == {}
    assert stores.cache.lookup([one.key, other.key], max_age_s=DAY_S) == {one.key: one}


def test_an_empty_cache_is_asked_once_however_many_keys_are_looked_up(stores):
    keys = [number.to_bytes(32, "big").hex() for number in range(2_000)]
    stores.cache.record([an_entry("a")._replace(key=keys[7])])
    asked = []
    with stores.database.reading() as connection:
        connection.set_trace_callback(asked.append)
    assert stores.cache.lookup(keys, max_age_s=DAY_S).keys() == {keys[7]}
    assert len(asked) > 4
    stores.cache.clear()
    asked.clear()
    assert stores.cache.lookup(keys, max_age_s=DAY_S) == {}
    assert len(asked) <= 3


def test_usage_and_clearing_count_each_entry_once_however_often_it_was_replaced(stores):
    many = [an_entry(str(number), age_s=1000, data=b"123") for number in range(300)]
    for _ in range(3):
        stores.cache.record(many)
    stores.cache.record([an_entry("0", data=b"4567"), an_entry("299", data=b"4567")])
    stores.cache.forget([an_entry("150").key])
    assert stores.cache.usage() == (299, 3 * 297 + 8)
    assert stores.cache.clear(older_than_s=100) == (297, 0)
    assert stores.cache.usage() == (2, 8)
    stores.cache.forget([an_entry("0").key, an_entry("299").key])
    assert stores.cache.usage() == (0, 0)
    with stores.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM cached UNION SELECT count(*) FROM cache_pages").fetchall() == [
            (0,)
        ]


def test_a_damaged_page_of_the_cache_is_computed_again_and_costs_the_others_nothing(stores):
    here, elsewhere = [an_entry(f"a {number}") for number in range(3)], an_entry("b")
    stores.cache.record(here)
    stores.cache.record([elsewhere])
    with stores.database.writing() as connection:
        connection.execute("UPDATE cache_pages SET results = x'00' WHERE entries = 3")
    keys = [entry.key for entry in (*here, elsewhere)]
    assert stores.cache.lookup(keys, max_age_s=DAY_S) == {elsewhere.key: elsewhere}
    stores.cache.record(here[:2])
    assert stores.cache.lookup(keys, max_age_s=DAY_S).keys() == {elsewhere.key, here[0].key, here[1].key}
    assert stores.cache.usage()[0] == 3


def test_an_object_of_an_entry_that_was_replaced_is_deleted_and_that_of_its_neighbour_stays(stores):
    stays, goes = (stored(stores, name) for name in ("stays", "goes"))
    of_a = an_entry("a")._replace(output=an_output(b"a", key=goes))
    of_b = an_entry("b")._replace(output=an_output(b"b", key=stays))
    stores.cache.record([of_a, of_b])
    stores.cache.record([an_entry("a")])
    stores.cache.clear(older_than_s=100)
    assert [stores.objects.exists(key) for key in (stays, goes)] == [True, False]


def test_usage_counts_entries_and_bytes(stores):
    assert stores.cache.usage() == (0, 0)
    stores.cache.record([an_entry("a", data=b"123"), an_entry("b", data=b"4567")])
    assert stores.cache.usage() == (2, 7)


def test_clearing_forgets_all_or_only_what_is_older(stores):
    young, old = an_entry("young", age_s=10), an_entry("old", age_s=1000)
    stores.cache.record([young, old])
    assert stores.cache.clear(older_than_s=100) == (1, 0)
    assert stores.cache.lookup([young.key, old.key], max_age_s=DAY_S) == {young.key: young}
    assert stores.cache.clear() == (1, 0)
    assert stores.cache.usage() == (0, 0)


def test_clearing_deletes_the_results_that_nothing_refers_to(stores):
    job = a_job()
    stores.log.put_job(job)
    of_job, of_cache, of_none = (stored(stores, name) for name in ("job", "cache", "none"))
    stores.objects.put("udf/a", b"bundle")
    touch(stores, "udf/a", DAY_S)
    stores.log.append([finished(job.id, 0, output=an_output(b"job", key=of_job)), finished(job.id, 1)])
    stores.cache.record([an_entry("cache")._replace(output=an_output(b"cache", key=of_cache))])
    assert stores.cache.clear(older_than_s=100) == (0, len(b"none"))
    assert [stores.objects.exists(key) for key in (of_job, of_cache, of_none, "udf/a")] == [True, True, False, True]
    assert stores.cache.clear() == (1, len(b"cache"))
    assert [stores.objects.exists(key) for key in (of_job, of_cache)] == [True, False]


def test_clearing_spares_a_result_whose_event_is_still_on_its_way(stores):
    key = stored(stores, "new", age_s=1.0)
    found_again = stored(stores, "found again")
    assert stores.objects.put_if_absent(found_again, b"found again") is False
    assert stores.cache.clear() == (0, 0)
    assert stores.objects.exists(key)
    assert stores.objects.exists(found_again)


def test_clearing_takes_away_what_killed_writers_left_in_scratch(stores):
    left, fresh = stores.scratch / "1-1.part", stores.scratch / "2-2.part"
    for path in (left, fresh):
        path.write_bytes(b"half")
    at = time.time() - 2 * DAY_S
    os.utime(left, (at, at))
    stores.cache.clear()
    assert list(stores.scratch.iterdir()) == [fresh]


def test_clearing_touches_no_file_of_a_pool_however_old(stores):
    folder = stores.scratch / "pool-that-lives-long"
    folder.mkdir()
    (folder / "assignment-0.json").write_text("{}")
    at = time.time() - 40 * DAY_S
    os.utime(folder / "assignment-0.json", (at, at))
    os.utime(folder, (at, at))
    stores.cache.clear()
    assert (folder / "assignment-0.json").exists()


def test_waiting_gives_up_where_nothing_was_written(stores):
    job = a_job()
    stores.log.put_job(job)
    stores.log.read_since(job.id)
    assert not stores.log.wait_for_news(0.01)
    stores.log.append([finished(job.id, 0)])
    assert stores.log.wait_for_news(30.0)
    assert not stores.log.wait_for_news(0.01)


def test_a_closed_store_opens_again_when_it_is_used(stores):
    job = a_job()
    stores.log.put_job(job)
    stores.close()
    stores.close()
    assert stores.log.get_job(job.id) == job


@pytest.mark.parametrize("module", ["fanfold.stores.local", "fanfold.core.fold", "fanfold.core.cache_key"])
def test_importing_brings_nothing_heavy(module):
    heavy = {"pandas", "numpy", "pyarrow", "boto3", "pydantic", "asyncio", "difflib"}
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert heavy.isdisjoint(done.stdout.split())


def test_events_and_what_they_give_to_the_cache_are_written_together_or_not_at_all(stores):
    job = a_job()
    stores.log.put_job(job)
    with stores.database.writing() as connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON cached BEGIN SELECT RAISE(ABORT, 'refused'); END")
    with pytest.raises(StoreError, match="refused"):
        stores.record([finished(job.id, 0)], [an_entry("a")])
    assert read_all(stores.log, job.id) == []
    with stores.database.writing() as connection:
        connection.execute("DROP TRIGGER no")
    stores.record([finished(job.id, 0)], [an_entry("a")])
    assert len(read_all(stores.log, job.id)) == 1
    assert stores.cache.usage() == (1, 2)


@pytest.mark.parametrize("read_at", [{}, {1}, {0, 3}, {*range(5)}])
def test_who_reads_what_this_process_wrote_reads_what_others_read(stores, read_at):
    """Pages that were just written are handed on as they are: those with notes are not, and each is given once."""
    job = a_job()
    stores.log.put_job(job)
    with LocalStores.open(stores.home) as others:
        read, cursor = [], None
        for turn in range(5):
            stores.log.append([finished(job.id, 10 * turn + index) for index in range(3)])
            if turn == 2:
                stores.log.append([failed(job.id, 25), finished(job.id, 26, data={"got": ("as", "JSON")})])
            others.log.append([finished(job.id, 10 * turn + 9)])
            if turn in read_at:
                events, cursor = stores.log.read_since(job.id, cursor)
                read += events
        while (page := stores.log.read_since(job.id, cursor))[0]:
            read, cursor = read + page[0], page[1]
        assert read == read_all(others.log, job.id)
        assert read == read_all(stores.log, job.id)


def test_no_more_is_kept_for_readers_here_than_they_read_at_once(stores):
    for size in (1, 1000):
        job = a_job()
        stores.log.put_job(job)
        for start in range(0, 8_000, 2_000):
            result = an_output(b"x" * size)
            stores.log.append([finished(job.id, start + index, output=result) for index in range(2_000)])
        assert len(stores.log.read_since(job.id)[0]) <= 5_000
        assert len(read_all(stores.log, job.id)) == 8_000


def test_a_key_is_known_while_later_arguments_are_read(stores):
    """A run's key is asked for when it has ended, and by then the next page of arguments is open."""
    job = a_job(count=3_000)
    with ManifestWriter(stores.scratch, job.id) as manifest:
        for number in range(job.count):
            manifest.add(str(number), number.to_bytes(32, "big"))
        manifest.store(stores.objects)
    counted = Counted(stores.objects)
    read = Manifest(counted, job.id, job.count)
    for number in range(job.count):
        assert read.arguments(number) == str(number)
        late = max(0, number - 200)
        assert read.cache_key(late) == f"{late:064x}"
    assert counted.reads == 2 * 3 + 1  # of each page its lines and its index, and all hashes once


class Counted:
    """Objects that count how often a part of one is read."""

    def __init__(self, objects):
        self._objects, self.reads = objects, 0

    def get_range(self, *where):
        self.reads += 1
        return self._objects.get_range(*where)


HASHES = """
import sys
from fanfold.stores.keys import hash_of
assert hash_of([b"little ", memoryview(b"more")]) == "LITTLE"
assert "_hashlib" not in sys.modules
assert hash_of([b"a head and ", memoryview(bytes(300_000))]) == "MUCH"
assert "_hashlib" in sys.modules
"""


def test_a_large_value_in_pieces_is_hashed_by_openssl_which_is_loaded_for_no_small_one():
    """Python's own took 0.4 s for 100 MB here, and OpenSSL's 0.1 s; to load that takes 8 ms."""
    little, much = (sha256(one).hexdigest() for one in (b"little more", b"a head and " + bytes(300_000)))
    script = HASHES.replace("LITTLE", little).replace("MUCH", much)
    subprocess.run([sys.executable, "-c", script], check=True)
