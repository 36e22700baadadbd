"""Bytes that changed on the disk: each object is compared with its name on every read, and healed by who can."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import fanfold
from fanfold.errors import ResultDamaged
from fanfold.settings import current
from fanfold.stores.keys import inputs_index_key, inputs_key
from fanfold.stores.local import LocalStores
from fanfold.stores.packing import Manifest, ManifestWriter

DATA = b"the bytes that the name says"
KEY = f"blobs/{hashlib.sha256(DATA).hexdigest()}"
DAMAGES = {
    "one bit": lambda data: data[:-9] + bytes([data[-9] ^ 0x10]) + data[-8:],
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
}


@pytest.fixture(params=DAMAGES.values(), ids=DAMAGES)
def damage(request):
    """Changes the files that a pattern under the home finds, in one of the ways in which disks do."""

    def change(pattern: str, home: Path | None = None) -> None:
        paths = list((home or current().home).glob(pattern))
        assert paths
        for path in paths:
            path.write_bytes(request.param(path.read_bytes()))

    return change


@pytest.fixture
def stores(tmp_path):
    with LocalStores.open(tmp_path / "home") as stores:
        yield stores


def test_an_object_that_is_not_what_its_name_says_is_not_read(stores, damage):
    stores.objects.put(KEY, DATA)
    damage("objects/blobs/*", stores.home)
    with pytest.raises(ResultDamaged, match=f"{KEY}.* is damaged"):
        stores.objects.get(KEY)


def test_who_has_the_right_bytes_heals_an_object_that_has_others(stores, damage):
    stores.objects.put(KEY, DATA)
    damage("objects/blobs/*", stores.home)
    assert stores.objects.put_if_absent(KEY, DATA) is True
    assert stores.objects.get(KEY) == DATA
    assert stores.objects.put_if_absent(KEY, DATA) is False


def test_pieces_that_were_put_once_heal_their_object_too(stores, damage):
    pieces = (DATA[:5], memoryview(DATA[5:]))
    assert f"blobs/{stores.objects.put_by_hash('blobs/{}'.format, pieces)}" == KEY
    damage("objects/blobs/*", stores.home)
    stores.objects.put_by_hash("blobs/{}".format, pieces)
    assert stores.objects.get(KEY) == DATA


@pytest.fixture
def manifest(stores):
    """A manifest of 2,500 runs: three pages."""
    with ManifestWriter(stores.scratch, "job-1") as writer:
        for number in range(2_500):
            writer.add(f'{{"x":{number}}}', number.to_bytes(32, "big"))
        writer.store(stores.objects)
    return lambda: Manifest(stores.objects, "job-1", 2_500)


@pytest.mark.parametrize("key", [inputs_key("job-1"), inputs_index_key("job-1")])
def test_damaged_inputs_are_told_by_the_runs_that_have_them(manifest, stores, damage, key):
    assert manifest().arguments(2_499) == '{"x":2499}'
    damage(f"objects/{key}", stores.home)
    with pytest.raises(ResultDamaged, match=r"The inputs of runs .* of job job-1 are damaged"):
        list(manifest())


def test_a_page_that_is_whole_is_read_beside_a_damaged_one(manifest, stores):
    path = stores.objects.path(inputs_key("job-1"))
    path.write_bytes(path.read_bytes().replace(b'{"x":2400}', b'{"x":2401}'))
    assert manifest().arguments(1_999) == '{"x":1999}'
    with pytest.raises(ResultDamaged, match="runs 2000 to 2499"):
        manifest().arguments(2_000)


def test_inputs_that_were_written_before_pages_had_hashes_are_read(manifest, stores):
    path = stores.objects.path(inputs_index_key("job-1"))
    path.write_bytes(path.read_bytes()[: 2_500 * 40])
    assert manifest().arguments(2_400) == '{"x":2400}'


@fanfold.udf
def first(x: int, big):
    return x + float(big.sum())


@fanfold.udf
def second(x: int, big):
    return 2 * x + float(big.sum())


def test_a_damaged_argument_gives_no_wrong_result_and_the_next_submit_heals_it(damage):
    big = np.arange(5000.0)
    job = fanfold.submit(first, range(3), big=big, collect=False).wait()
    assert job.verify()
    damage("objects/blobs/*")
    assert "is damaged" in str(job.verify())
    assert fanfold.submit(second, range(3), big=big)["result"].tolist() == [12497500.0, 12497502.0, 12497504.0]
    assert job.verify()


def test_a_damaged_source_gives_no_wrong_result_and_the_next_submit_heals_it(damage):
    job = fanfold.submit(first, [1], big=np.arange(3.0), collect=False).wait()
    damage("objects/udf/*")
    assert not job.verify()
    assert fanfold.submit(first, [2], big=np.arange(3.0))["result"].tolist() == [5.0]
    assert job.verify()


def test_damaged_inputs_are_found_by_verify(damage):
    job = fanfold.submit(first, range(3), big=np.arange(3.0), collect=False).wait()
    damage("objects/jobs/*/inputs.jsonl")
    receipt = job.verify()
    assert not receipt
    assert [reason for reason in receipt.damaged_sources if "The inputs of runs 0 to 2" in reason]
