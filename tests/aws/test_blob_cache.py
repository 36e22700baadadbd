"""Copies of what runs read are on a disk that UDFs can write to: each is checked before every use."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from fanfold.core.cost import environments_s
from fanfold.core.models import JobHeader
from fanfold.core.processes import python_here
from fanfold.environments.lock import Lock, Wheel
from fanfold.stores.keys import blob_key, bundle_key
from fanfold.stores.local import LocalStores
from fanfold.stores.state import read_state
from fanfold_runtime import blob_cache
from fanfold_runtime.blob_cache import BlobCache
from tests.environments.index import make_wheel

DATA = b"what the submitter sent" * 100
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def cache(tmp_path):
    with LocalStores.open(tmp_path / "home") as stores:
        stores.objects.put_if_absent(blob_key(NAME), DATA)
        yield BlobCache(stores.objects, tmp_path / "copies")


def arguments() -> str:
    return '{"x": {"$blob": ["bytes/1", "' + NAME + '"]}}'


def test_a_copy_is_fetched_once(cache):
    assert cache.fetch_for(arguments()) == {NAME}
    before = (cache.blobs / NAME).stat().st_ino
    cache.fetch_for(arguments())
    assert (cache.blobs / NAME).stat().st_ino == before


def test_a_copy_that_a_udf_has_written_to_is_fetched_anew(cache):
    cache.fetch_for(arguments())
    copy = cache.blobs / NAME
    times = copy.stat()
    copy.write_bytes(b"x" * len(DATA))
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))  # as someone who hides it would
    cache.fetch_for(arguments())
    assert copy.read_bytes() == DATA


def test_a_copy_that_a_udf_has_written_to_within_a_tick_of_the_clock_is_fetched_anew(cache, monkeypatch):
    """The kernel gives both writes the same time then: as it was told of the file, nothing has changed."""
    now, copy = time.time_ns(), cache.blobs / NAME
    monkeypatch.setattr(blob_cache, "_state", lambda path: (1, path.stat().st_size, now))
    monkeypatch.setattr(blob_cache, "_TICK_NS", 60 * 10**9)
    for _ in range(2):
        cache.fetch_for(arguments())
        assert copy.read_bytes() == DATA
        copy.write_bytes(b"x" * len(DATA))
    monkeypatch.setattr(blob_cache, "_TICK_NS", 0)
    for _ in range(2):  # what is old enough is compared once
        cache.fetch_for(arguments())
    assert copy.read_bytes() == DATA


def test_a_copy_that_was_planted_before_is_not_used(cache):
    (cache.blobs / NAME).write_bytes(b"poison")
    cache.fetch_for(arguments())
    assert (cache.blobs / NAME).read_bytes() == DATA


def test_each_worker_that_made_an_environment_counts(tmp_path, monkeypatch):
    """Also where all have made the same: what a job took to have its packages is the sum of all its workers."""
    path = make_wheel(tmp_path, "fftalk", "1.0")
    wheel, bundle = path.read_bytes(), b"{}"
    sha256 = hashlib.sha256(wheel).hexdigest()
    lock = Lock(python_here(), "", (Wheel("fftalk", "1.0", path.name, sha256, len(wheel)),), unpacked=len(wheel))
    header = JobHeader("j", "f", 1, "aws", "ada", 0.0, hashlib.sha256(bundle).hexdigest(), "c" * 64)
    monkeypatch.setattr(blob_cache, "environment_of", lambda _: lock.to_text())
    with LocalStores.open(tmp_path / "home") as stores:
        stores.objects.put_if_absent(blob_key(sha256), wheel)
        stores.objects.put_if_absent(bundle_key(header.bundle_sha256), bundle)
        stores.log.put_job(header)
        for worker in ("one", "two"):
            copies = BlobCache(stores.objects, tmp_path / worker)
            copies.interpreter(header)
            copies.tell_of_environment(header, stores.log)
        assert len(environments_s(read_state(stores.log, header))) == 2
