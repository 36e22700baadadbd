"""A large array that all runs share: written once, from where it lies, and known again without being hashed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import fanfold
from fanfold.codec import encode_json
from fanfold.stores.keys import BlobWriter
from fanfold.stores.local import LocalStores, objects

MEGABYTES = 16


def corner(i: int, raster):
    return float(raster[i, 0])


def test_an_array_that_was_changed_in_place_is_another_one():
    raster = np.zeros((1000, 500))
    raster[0] = 1
    assert fanfold.submit(corner, [0, 1], raster=raster).result.to_list() == [1.0, 0.0]
    raster[1] = 7  # the same object, of the same size
    assert fanfold.submit(corner, [0, 1], raster=raster).result.to_list() == [1.0, 7.0]
    assert fanfold.submit(corner, [0, 1], raster=np.asfortranarray(raster)).result.to_list() == [1.0, 7.0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_it_is_stored_without_a_copy_and_hashed_once(tmp_path, monkeypatch, order):
    raster, hashed = np.ones((MEGABYTES, 1 << 17), order=order), []
    monkeypatch.setattr(objects, "hash_of", lambda pieces, by=objects.hash_of: hashed.append(1) or by(pieces))
    with LocalStores.open(tmp_path / "home") as stores:
        tracemalloc.start()
        texts = {encode_json(raster, put_blob=BlobWriter(stores.objects)) for _ in range(3)}
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(texts) == 1
    assert len(hashed) == 1
    assert peak_bytes < raster.nbytes / 10
