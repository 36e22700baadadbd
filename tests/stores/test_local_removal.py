"""What goes with a job that is removed, and what stays."""

from __future__ import annotations

import os
import time

import pytest

from fanfold.errors import JobNotFound, StoreFull
from fanfold.stores.keys import blob_key, bundle_key, inputs_key
from fanfold.stores.local import LocalStores
from tests.stores.event_log_contract import read_all
from tests.stores.result_cache_contract import DAY_S
from tests.stores.samples import a_job, an_entry, an_output, finished, printed


@pytest.fixture
def kept(stores):
    """Makes a job with a result of its own, inputs and a bundle: `kept(name)`."""

    def make(name, **facts):
        job = a_job(bundle_sha256=name.encode().hex().ljust(64, "0"), **facts)
        stores.log.put_job(job)
        stores.objects.put(f"results/{name}", b"r" * 1000)
        stores.objects.put(inputs_key(job.id), b"i" * 100)
        put_old(stores, bundle_key(job.bundle_sha256), b"b" * 10)
        stores.log.append([finished(job.id, 0, output=an_output(key=f"results/{name}")), printed(job.id, 0, "said")])
        return job

    return make


def put_old(stores, key, data):
    """Keep something, as if a day ago: what is new may be about to be referred to."""
    stores.objects.put(key, data)
    at = time.time() - DAY_S
    os.utime(stores.objects.path(key), (at, at))


def test_all_of_a_removed_job_goes_and_nothing_of_another(stores, kept):
    gone, stays = kept("gone"), kept("stays")
    assert stores.remove_jobs([gone.id]) == 1110
    with pytest.raises(JobNotFound):
        stores.log.get_job(gone.id)
    with pytest.raises(JobNotFound):
        stores.log.read_since(gone.id)
    assert [header.id for header in stores.log.list_jobs()] == [stays.id]
    assert len(read_all(stores.log, stays.id)) == 1
    left = {
        path.relative_to(stores.objects.root).as_posix() for path in stores.objects.root.rglob("*") if path.is_file()
    }
    assert left == {"results/stays", inputs_key(stays.id), bundle_key(stays.bundle_sha256)}


def test_a_result_that_another_job_or_the_cache_shares_stays(stores, kept):
    jobs = [kept("shared-by-a-job"), kept("shared-by-the-cache"), kept("its-own")]
    other = a_job()
    stores.log.put_job(other)
    stores.log.append([finished(other.id, 0, output=an_output(key="results/shared-by-a-job"))])
    entry = an_entry("a")._replace(output=an_output(key="results/shared-by-the-cache"), job_id=other.id)
    own = an_entry("b")._replace(output=an_output(key="results/its-own"), job_id=jobs[2].id)
    stores.cache.record([entry, own])
    stores.remove_jobs([job.id for job in jobs])
    assert stores.objects.exists("results/shared-by-a-job")
    assert stores.objects.exists("results/shared-by-the-cache")
    assert not stores.objects.exists("results/its-own")
    assert stores.cache.lookup([entry.key, own.key], max_age_s=DAY_S) == {entry.key: entry}


def test_large_arguments_stay_as_long_as_a_job_names_them(stores, kept):
    names = {where: f"{number}" * 64 for number, where in enumerate(("inputs", "constants", "bundle", "nowhere"))}
    for name in names.values():
        put_old(stores, blob_key(name), b"large")
    stays = kept("stays", constants=f'{{"x": {{"$blob": ["json", "{names["constants"]}"]}}}}')
    stores.objects.put(inputs_key(stays.id), names["inputs"].encode())
    put_old(stores, bundle_key(stays.bundle_sha256), names["bundle"].encode())
    gone = kept("gone")
    stores.remove_jobs([gone.id])
    assert {where for where, name in names.items() if stores.objects.exists(blob_key(name))} == names.keys() - {
        "nowhere"
    }
    stores.remove_jobs([stays.id])
    assert not any(stores.objects.exists(blob_key(name)) for name in names.values())


def test_a_process_that_held_on_to_it_writes_into_no_other_job(stores, kept):
    gone = kept("gone")
    with LocalStores.open(stores.home) as another:
        another.log.append([finished(gone.id, 1)])
        stores.remove_jobs([gone.id])
        new = kept("new")
        another.log.append([finished(gone.id, 2)])
    assert [event.index for event in read_all(stores.log, new.id)] == [0]


def test_the_database_gives_its_room_back(stores):
    job = a_job()
    stores.log.put_job(job)
    stores.log.append([finished(job.id, 0, output=an_output(os.urandom(4000))) for _ in range(1000)])
    stores.close()
    before = (stores.home / "fanfold.db").stat().st_size
    stores.remove_jobs([job.id])
    assert (stores.home / "fanfold.db").stat().st_size < before / 10


def test_on_a_full_disk_files_go_first_and_the_rest_when_there_is_room(stores, kept, monkeypatch):
    gone = kept("gone")

    def full(database):
        raise StoreFull("No room left")

    with monkeypatch.context() as patched:
        patched.setattr(type(stores.database), "writing", full)
        with pytest.raises(StoreFull):
            stores.remove_jobs([gone.id])
    assert not stores.objects.exists("results/gone")
    assert not stores.objects.exists(inputs_key(gone.id))
    stores.remove_jobs([gone.id])
    assert stores.log.list_jobs() == []


def test_an_id_that_no_job_has_is_passed_over(stores):
    assert stores.remove_jobs(["20260131-141502-river-7f3a"]) == 0
