"""E. What users suffer elsewhere, and must not here: the guide's lines 28 to 35, on both engines."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.source.load import Bundle
from fanfold.stores.keys import bundle_key
from tests import pythons
from tests.guide.udfs import held, odd_only, rows, squared

pytestmark = pytest.mark.usefixtures("engine")


@fanfold.udf
def dying(x: int, folder: str):
    """Dies the first time, as a process does that the kernel ends."""
    import os
    import pathlib
    import signal

    mark = pathlib.Path(folder, str(x))
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def test_e28_a_killed_worker_is_noticed_and_its_input_run_again(tmp_path):
    job = fanfold.submit(dying, range(4), folder=str(tmp_path), collect=False)
    assert job.results() == [0, 1, 2, 3]
    assert job.counts() == {"succeeded": 4}
    assert job.summary().retried == 4
    assert "4 runs were tried again" in str(job.summary())


def test_e28_one_that_is_killed_every_time_ends_with_its_reason(tmp_path):
    @fanfold.udf
    def deadly(x: int):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL if x == 1 else 0)
        return x

    job = fanfold.submit(deadly, range(3), collect=False, max_retry=1).wait()
    assert job.counts() == {"succeeded": 2, "failed": 1}
    assert "SIGKILL" in str(job.first_error())


def test_e29_code_travels_as_source_that_any_python_reads(monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 14, 0, "final", 0))  # as far as the client's code can tell
    job = fanfold.submit(squared, [3], collect=False)
    assert job.results() == [9]
    stored = engine_for().stores.objects.get(bundle_key(job.header.bundle_sha256))
    stored.decode("ascii")  # text from its first to its last byte: no byte code, no pickle
    assert "return x * x" in "".join(source.text for source in Bundle.from_bytes(stored).sources)


OF_ANOTHER_PYTHON = """
import fanfold, sys
@fanfold.udf
def both(x: int, texts: list[str]) -> dict:
    match texts:
        case [first, *_]:
            return {"of": x, "first": first}

job = fanfold.submit(both, [1, 2], texts=["a", "b"], collect=False)
assert [result["of"] for result in job.results()] == [1, 2]
print("%d.%d" % sys.version_info[:2], job.id)
"""


#: The oldest that is here; the others at length.
OTHER_PYTHONS = sorted(pythons.others(), key=lambda version: [int(part) for part in version.split(".")])
OTHER_PYTHONS[1:] = [pytest.param(version, marks=pytest.mark.long) for version in OTHER_PYTHONS[1:]]


@pytest.mark.parametrize("version", OTHER_PYTHONS)
def test_e29_what_a_client_of_another_python_submitted_is_everybodys(version, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(OF_ANOTHER_PYTHON)
    try:
        python = pythons.with_client(version)
    except pythons.NotInstallableError as error:
        pytest.skip(str(error))
    done = subprocess.run([python, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    its_version, job_id = done.stdout.split()
    assert its_version == version
    assert fanfold.get_job(job_id).results() == [{"of": 1, "first": "a"}, {"of": 2, "first": "a"}]


def test_e30_a_retry_does_retry(tmp_path):
    @fanfold.udf
    def fixed(x: int, flag: str):
        import pathlib

        if not pathlib.Path(flag).exists():
            raise OSError("not there yet")
        return x

    flag = tmp_path / "flag"
    job = fanfold.submit(fixed, [1, 2], flag=str(flag), collect=False).wait()
    assert job.counts() == {"failed": 2}
    flag.touch()
    assert job.retry().results() == [1, 2]


def test_e31_a_dedicated_job_with_collection_just_works():
    frame = fanfold.submit(rows, ["2013-01-01"], instance_type="small")
    assert list(frame.value) == [0, 1]


def test_e32_types_survive():
    @fanfold.udf
    def kinds(things: list[int], flag: bool, maybe: str | None = "unset", anything=None):
        return [type(thing).__name__ for thing in things], flag, maybe, anything

    arguments = {"things": [1, "2"], "flag": True, "maybe": None, "anything": {"a": (1, [2.5])}}
    assert fanfold.run(kinds, **arguments) == (["int", "int"], True, None, {"a": (1, [2.5])})
    assert fanfold.run(kinds, things=[], flag="0") == ([], False, "unset", None)


def test_e33_results_stay_with_their_inputs_however_many_are_missing():
    job = fanfold.submit(odd_only, range(30), collect=False)
    frame = job.collect(ignore_exceptions=True)
    assert list(frame.index) == list(frame.result) == list(range(1, 30, 2))
    assert [run.result() for run in job if run.error is None] == list(range(1, 30, 2))


def test_e30_a_cancelled_job_can_be_taken_up_again(tmp_path, eventually):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "go").touch()
    (tmp_path / "1").mkdir()
    inputs = [{"x": x, "folder": str(tmp_path / str(min(x, 1)))} for x in range(5)]
    job = fanfold.submit(held, inputs, collect=False)
    eventually(lambda: job.counts().get("succeeded"))
    began = time.monotonic()
    job.cancel()
    eventually(lambda: job.status == "Cancelled")  # far away, a run may have begun that had not heard of it
    assert time.monotonic() - began < 30
    assert job.counts() == {"succeeded": 1, "cancelled": 4}
    (tmp_path / "1" / "go").touch()
    assert job.retry().results() == list(range(5))


def test_e34_nothing_is_printed_or_stored_that_holds_credentials(engine, home, monkeypatch, capsys, request):
    secret = "canary-of-this-test"
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, secret)
    job = fanfold.submit(odd_only, range(4), collect=False).wait()
    fanfold.submit(squared, [5], instance_type="small")
    print(job, job.summary(), job.errors(), job.logs(), job._repr_html_(), fanfold.doctor())
    told = capsys.readouterr()
    assert secret not in told.out + told.err
    kept = b"".join(path.read_bytes() for path in Path(home).rglob("*") if path.is_file())
    if engine == "aws":
        kept += everything_in(request.getfixturevalue("on_cloud"))
    assert b"odd_only" in kept
    assert secret.encode() not in kept


def everything_in(cloud):
    """All items of the deployment's table, all objects of its bucket, and all its settings."""
    dynamodb, s3 = cloud.client("dynamodb"), cloud.client("s3")
    kept = [str(dynamodb.scan(TableName=table)["Items"]).encode() for table in dynamodb.list_tables()["TableNames"]]
    for bucket in s3.list_buckets()["Buckets"]:
        for entry in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            kept.append(s3.get_object(Bucket=bucket["Name"], Key=entry["Key"])["Body"].read())
    return b"".join(kept)


def test_e35_what_has_not_begun_says_that_its_machine_is_starting(machines):
    machines.hold()
    job = fanfold.submit(squared, [2], instance_type="small", collect=False)
    assert job.status == "Queued"
    assert re.search(r"waiting for a (process|small|c5\.large) to start", job.summary().waits_for)
    machines.release()
    assert job.results() == [4]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no more of them", "AWS has no c5.large free now"),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - too few", "max_vcpus allows no c5.large"),
    ],
    ids=["no capacity", "a quota"],
)
def test_e35_what_has_not_begun_says_what_is_missing(engine, on_cloud, eventually, said, told):
    if engine == "local":  # this machine is all that there is: it has room, or the run waits for a worker
        fanfold.configure(engine="local")
        assert fanfold.submit(squared, [2], instance_type="small", collect=False).results() == [4]
        return
    on_cloud.limit_machines(0, said)
    job = fanfold.submit(squared, [2], instance_type="small", collect=False)
    eventually(lambda: told in str(job.summary()))
    on_cloud.limit_machines(None)
    assert job.results() == [4]


def test_e35_what_is_throttled_says_so(engine, on_cloud, eventually):
    fanfold.configure(engine=engine)
    on_cloud.limit_concurrency(0)
    job = fanfold.submit(squared, range(3), collect=False)
    if engine == "aws":
        eventually(lambda: "Rate Exceeded" in job.summary().waits_for)
        on_cloud.limit_concurrency(None)
    assert job.results() == [0, 1, 4]
