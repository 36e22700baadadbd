"""Objects in a bucket: large ones in parts, checksums, ranges read ahead, and keys that cannot lead astray."""

from __future__ import annotations

import os
import threading
from itertools import accumulate

import pytest

from fanfold.errors import InputError, ResultDamaged, StoreUnavailable
from fanfold.stores.aws.objects import S3ObjectStore
from fanfold.stores.keys import inputs_key
from fanfold.stores.packing import Manifest, ManifestWriter
from tests.aws.calls import counted
from tests.aws.cloud import account, aws, aws_stores, deployment, moto
from tests.stores.samples import a_job

__all__ = ["account", "aws", "aws_stores", "deployment", "moto"]

KEY = f"results/{'a' * 64}/result"


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1 << 20) * 33)
    return path


def test_a_large_file_is_uploaded_in_parts(aws_stores, account, large):
    data = large.read_bytes()
    with counted(account) as calls:
        aws_stores.objects.put_file(KEY, large)
    assert calls["s3:UploadPart"] == 3
    assert aws_stores.objects.get(KEY) == data
    assert not large.exists()


def test_an_upload_that_fails_leaves_nothing_and_keeps_the_file(aws_stores, account, deployment, large):
    s3 = account.client("s3")

    class Cut(BaseException):
        pass

    def cut(**_):
        raise Cut

    s3.meta.events.register("before-call.s3.CompleteMultipartUpload", cut)
    try:
        with pytest.raises(Cut):
            aws_stores.objects.put_file(KEY, large)
    finally:
        s3.meta.events.unregister("before-call.s3.CompleteMultipartUpload", cut)
    assert large.exists()
    assert not aws_stores.objects.exists(KEY)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=deployment.bucket)


def test_of_an_upload_that_fails_the_first_error_is_told_though_it_cannot_be_aborted_either(
    aws_stores, account, monkeypatch, large
):
    asked, call = [], account.call

    def fail(service, operation, **parameters):
        asked.append(operation)
        if operation == "upload_part":
            raise StoreUnavailable("the part was refused")
        if operation == "abort_multipart_upload":
            raise StoreUnavailable("the abort was refused")
        return call(service, operation, **parameters)

    monkeypatch.setattr(account, "call", fail)
    with pytest.raises(StoreUnavailable, match="the part was refused"):
        aws_stores.objects.put_file(KEY, large)
    assert asked[-1] == "abort_multipart_upload"
    assert large.exists()


def copy_of(path):
    other = path.with_name("copy")
    other.write_bytes(path.read_bytes())
    return other


def test_a_large_file_that_is_there_already_is_left_as_it_is(aws_stores, account, deployment, large):
    again, s3 = copy_of(large), account.client("s3")
    aws_stores.objects.put_file(KEY, large)
    completed = []

    def note(parsed, **_):
        completed.append(parsed.get("Error", {}).get("Code", "done"))

    s3.meta.events.register("after-call.s3.CompleteMultipartUpload", note)
    try:
        aws_stores.objects.put_file(KEY, again)
    finally:
        s3.meta.events.unregister("after-call.s3.CompleteMultipartUpload", note)
    assert completed == ["PreconditionFailed"]
    assert not again.exists()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=deployment.bucket)


def test_a_large_file_takes_the_place_of_a_damaged_one(aws_stores, large):
    data = large.read_bytes()
    aws_stores.objects.put(KEY, data[:-1] + b"?")
    aws_stores.objects.put_file(KEY, large)
    assert aws_stores.objects.get(KEY) == data


def test_of_a_large_file_four_parts_at_most_are_on_their_way(aws_stores, account, large, monkeypatch):
    monkeypatch.setattr("fanfold.stores.aws.objects._PART_BYTES", 5 << 20)
    s3, lock, news = account.client("s3"), threading.Lock(), []

    def note(change):
        with lock:
            news.append(change)

    begins, ends = (lambda **_: note(1)), (lambda **_: note(-1))
    s3.meta.events.register("before-call.s3.UploadPart", begins)
    s3.meta.events.register("after-call.s3.UploadPart", ends)
    try:
        aws_stores.objects.put_file(KEY, large)
    finally:
        s3.meta.events.unregister("before-call.s3.UploadPart", begins)
        s3.meta.events.unregister("after-call.s3.UploadPart", ends)
    assert news.count(1) == 7
    assert max(accumulate(news)) <= 4


def test_every_object_carries_a_checksum(aws_stores, account, deployment, tmp_path):
    aws_stores.objects.put("results/a", b"a")
    aws_stores.objects.put_if_absent("results/b", b"b")
    small = tmp_path / "small"
    small.write_bytes(b"c")
    aws_stores.objects.put_file("results/c", small)
    for name in "abc":
        head = account.client("s3").head_object(Bucket=deployment.bucket, Key=f"results/{name}", ChecksumMode="ENABLED")
        assert head["ChecksumSHA256"]


def test_paging_through_inputs_takes_a_few_calls(aws_stores, account, deployment, tmp_path):
    job = a_job(count=20_000)
    with ManifestWriter(tmp_path, job.id) as manifest:
        for number in range(job.count):
            manifest.add(f'{{"n":{number}}}', number.to_bytes(32, "big"))
        manifest.store(aws_stores.objects)
    elsewhere = S3ObjectStore(account, deployment.bucket)  # as in another process
    with counted(account) as calls:
        lines = list(Manifest(elsewhere, job.id, job.count))
    assert lines[12_345] == '{"n":12345}'
    assert sum(calls.values()) <= 3
    start, stop = Manifest(aws_stores.objects, job.id, job.count).extent(7_001)
    assert aws_stores.objects.get_range(inputs_key(job.id), start, stop) == b'{"n":7001}'


def test_ranges_across_blocks_come_back_exactly(aws_stores, monkeypatch):
    monkeypatch.setattr("fanfold.stores.aws.objects._BLOCK_BYTES", 10)
    data = bytes(range(95))
    aws_stores.objects.put("jobs/x/inputs.jsonl", data)
    for start, stop in [(0, 95), (0, 10), (9, 11), (10, 20), (42, 77), (90, 200), (95, 99), (50, 50)]:
        assert aws_stores.objects.get_range("jobs/x/inputs.jsonl", start, stop) == data[start:stop]


def test_inputs_that_are_gone_are_an_error(aws_stores):
    with pytest.raises(ResultDamaged, match="jobs/x/inputs"):
        aws_stores.objects.get_range("jobs/x/inputs.jsonl", 0, 10)


@pytest.mark.parametrize("job_id", ["", "../x", "a/b", "a#b", "a b", "x" * 65, "job#1"])
def test_what_can_be_no_job_id_never_becomes_part_of_a_key(aws_stores, account, job_id):
    with counted(account) as calls:
        for use in (
            lambda: aws_stores.log.get_job(job_id),
            lambda: aws_stores.log.put_job(a_job(id=job_id)),
            lambda: aws_stores.log.request_cancel(job_id, 1.0),
            lambda: aws_stores.log.read_since(job_id),
        ):
            with pytest.raises(InputError, match="not a job id"):
                use()
    assert calls == {}
