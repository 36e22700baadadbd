"""Dedicated machines as real processes against moto, and the work that is laid out for them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence

import pytest

from fanfold.contract import cloud as contract
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.work import Work
from fanfold.stores.state import read_state
from tests.aws.cloud import ENVIRONMENT
from tests.aws.processes import ROOT
from tests.aws.udfs import put_job

ODD = "tests.aws.odd_machine"
#: A machine that gives back what it holds, however slow the one that tests it: no limit of its own cuts that short.
UNHURRIED = {"command": ODD, "TEST_ODD": "unhurried"}


@pytest.fixture
def machine(aws, deployment, tmp_path):
    """Starts machines for a job, as Batch does; kills those that are left at the end.

    No file of theirs gets larger than `file_bytes`: what writes one finds its disk full. `within`: a command that is to
    start the machine's.
    """
    started = []

    def start(
        header: JobHeader,
        index: int = 0,
        *,
        command: str = contract.DEDICATED_COMMAND[-1],
        file_bytes: int = resource.RLIM_INFINITY,
        within: Sequence[str] = (),
        **more: str,
    ) -> subprocess.Popen[bytes]:
        temporary = tmp_path / f"machine{len(started)}"
        temporary.mkdir()
        environment = {
            **ENVIRONMENT,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT / "client"), str(ROOT / "runtime"), str(ROOT)]),
            "TMPDIR": str(temporary),
            "AWS_ENDPOINT_URL": aws,
            "FANFOLD_DEPLOYMENT": deployment.name,
            contract.ENV_TABLE: deployment.table,
            contract.ENV_BUCKET: deployment.bucket,
            contract.ENV_JOB: header.id,
            contract.ENV_INSTANCE_TYPE: "small",
            "AWS_BATCH_JOB_ID": f"{header.id}:{index}",
            "AWS_BATCH_JOB_ATTEMPT": "1",
            "AWS_BATCH_JOB_ARRAY_INDEX": str(index),
            **more,
        }
        with (temporary / "log").open("wb") as log:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", command], env=environment, stdout=log, stderr=log
            )
        started.append(process)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def put_work(stores, udf, inputs, **asked):
    """Write a dedicated job down and lay out its work, as the engine does before it starts machines."""
    header = put_job(stores, udf, inputs, instance_type_name="small", **asked)
    work_of(stores, header).put("dispatch-1", [RunRef(index) for index in range(header.count)])
    return header


def work_of(stores, header, **more):
    return Work(stores, header.id, **more)


def state_of(stores, header):
    stores.log.job_headers.forget(header.id)
    return read_state(stores.log, stores.log.get_job(header.id))
