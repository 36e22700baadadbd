"""Copies of what runs read are on a disk that UDFs can write to: each is checked before every use."""

from __future__ import annotations

import hashlib
import os

import pytest

from fanfold.stores.keys import blob_key
from fanfold.stores.local import LocalStores
from fanfold_runtime.blob_cache import BlobCache

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
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))  # as whoever hides it would
    cache.fetch_for(arguments())
    assert copy.read_bytes() == DATA


def test_a_copy_that_was_planted_before_is_not_used(cache):
    (cache.blobs / NAME).write_bytes(b"poison")
    cache.fetch_for(arguments())
    assert (cache.blobs / NAME).read_bytes() == DATA
