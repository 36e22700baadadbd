"""An error that comes from where a run ran says so, and what to do: no shared memory, a full disk, a role."""

from __future__ import annotations

import errno
import os

import pytest

import fanfold
from fanfold.contract.layout import ENV_RUN_AS
from fanfold.execution.worker import explain as explaining
from fanfold.execution.worker.explain import explain

ROLE = "arn:aws:iam::123456789012:role/Fanfold-main-DataRole1A2B"
SESSION = "arn:aws:sts::123456789012:assumed-role/Fanfold-main-DataRole1A2B/fanfold@ada"


def raised(raise_it):
    try:
        raise_it()
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


def semaphore_without_shared_memory(code):
    """What multiprocessing raises where there is no /dev/shm: its own lines are in the traceback."""

    def make(monkeypatch):
        from multiprocessing import get_context, synchronize

        def refuse(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(synchronize._multiprocessing, "SemLock", refuse)
        return raised(lambda: get_context("fork").Queue())

    return make


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOENT])
def test_multiprocessing_that_finds_no_shared_memory_is_told_what_it_wants_and_what_does_without(monkeypatch, code):
    monkeypatch.setattr(explaining, "SHARED_MEMORY", "/nowhere/shm")
    told = explain(semaphore_without_shared_memory(code)(monkeypatch))
    assert "there is no /nowhere/shm here, as always in AWS Lambda" in told.note
    assert "threads" in told.next_step
    assert 'instance_type="small"' in told.next_step


def test_a_file_that_is_not_there_is_just_that(monkeypatch):
    monkeypatch.setattr(explaining, "SHARED_MEMORY", "/nowhere/shm")
    assert explain(raised(lambda: os.stat("/nowhere/file"))) is None


@fanfold.udf
def fills_the_disk(x: int):
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as mine:
        mine.write(b"x" * (3 << 20))
    with open("/dev/full", "w") as full:
        full.write("more than there is")


def test_a_full_disk_says_what_fills_it_and_what_makes_it_larger():
    job = fanfold.submit(fills_the_disk, [1], collect=False, max_retry=0).wait()
    error = job.errors()[0]
    assert "the disk is full: of its" in str(error)
    assert "its temporary files 3 MiB" in str(error)
    assert "free some room" in error.next_step


@fanfold.udf
def removes_its_folders(x: int):
    import os
    import shutil
    import tempfile

    os.environ["TMPDIR"] = os.path.join(tempfile.gettempdir(), "gone")
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)
    with open("/dev/full", "w") as full:
        full.write("more than there is")


def test_a_full_disk_is_told_by_a_run_that_has_removed_the_folders_it_was_in():
    job = fanfold.submit(removes_its_folders, [1], collect=False, max_retry=0).wait()
    assert "the disk is full: of its" in str(job.errors()[0])


@pytest.mark.parametrize(
    ("variable", "setting"),
    [("AWS_LAMBDA_FUNCTION_NAME", "realtime_disk_mib"), ("AWS_BATCH_JOB_ID", "disk_size_gb")],
)
def test_in_aws_it_names_the_setting(monkeypatch, variable, setting):
    monkeypatch.setenv(variable, "some")
    assert setting in explain(OSError(errno.ENOSPC, "No space left on device")).next_step


class ClientError(Exception):
    """As botocore's."""


DENIED = (
    f"An error occurred (AccessDenied) when calling the GetObject operation: User: {SESSION} is not authorized to"
    ' perform: s3:GetObject on resource: "arn:aws:s3:::landsat-mine/scene.tif" because no identity-based policy'
    " allows it"
)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (ClientError(DENIED), 'add "landsat-mine" to the deployment\'s setting read_buckets'),
        (PermissionError("Forbidden"), "add the bucket to the deployment's setting read_buckets"),
        (OSError("AWS Error ACCESS_DENIED during HeadObject of s3://landsat-mine/scene.tif"), 'add "landsat-mine"'),
        (ClientError(DENIED.replace("no identity-based", "no service control")), "who runs the AWS organization"),
        (ClientError(DENIED.replace("no identity-based policy", "no VPC endpoint policy")), "the endpoint's policy"),
        (ClientError(DENIED.replace("s3:GetObject", "kms:Decrypt")), "kms_keys"),
        (ClientError(DENIED.replace("s3:GetObject", "sqs:SendMessage")), "allows sqs:SendMessage to that role"),
    ],
)
def test_a_refusal_by_aws_says_whose_role_it_was_and_how_it_gets_to_be_allowed(monkeypatch, error, helps):
    monkeypatch.setenv(ENV_RUN_AS, ROLE)
    told = explain(error)
    assert ROLE in told.note
    assert helps in told.next_step


def test_a_refusal_that_another_error_came_from_is_told_as_well(monkeypatch):
    monkeypatch.setenv(ENV_RUN_AS, ROLE)
    wrapped = ValueError("cannot read the scene")
    wrapped.__cause__ = ClientError(DENIED)
    assert "read_buckets" in explain(wrapped).next_step


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"),
        ClientError(DENIED.replace(SESSION, "arn:aws:iam::123456789012:user/ada")),
        ValueError("the day is forbidding"),
    ],
)
def test_what_aws_did_not_refuse_to_that_role_is_left_as_it_is(monkeypatch, error):
    monkeypatch.setenv(ENV_RUN_AS, ROLE)
    assert explain(error) is None


def test_outside_of_aws_a_refusal_is_the_users_own(monkeypatch):
    monkeypatch.delenv(ENV_RUN_AS, raising=False)
    assert explain(ClientError(DENIED)) is None
