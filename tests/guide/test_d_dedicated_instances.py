"""D. Dedicated instances: the guide's lines 19 to 23, 26 and 27, on both engines; 24 and 25 are the Workbench's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import fanfold
from tests.guide.udfs import held, last_counts, meet, odd_only, squared

pytestmark = pytest.mark.usefixtures("engine")

#: What each name is to have: vCPUs and GB.
SIZES = {
    "medium": (16, 64),
    "large": (64, 512),
    "m5.large": (2, 8),
    "r5.xlarge": (4, 32),
    "t3.2xlarge": (8, 32),
    "c2-standard-4": (4, 16),
    "c2-standard-8": (8, 32),
    "c2-standard-16": (16, 64),
    "c2-standard-30": (30, 120),
    "c2-standard-60": (60, 240),
    "m3-ultramem-32": (32, 976),
    "m3-ultramem-64": (64, 1952),
}
SUBMITTED = """
import fanfold, time
from tests.guide.udfs import held
job = fanfold.submit(held, [1, 2], folder={folder!r}, instance_type="small", n_processes_per_worker=2, collect=False)
print(job.id, flush=True)
time.sleep(60)
"""


def test_d19_instance_type_is_an_option_of_the_udf_and_of_the_call():
    assert fanfold.run(squared, x=2, instance_type="small") == 4
    fanfold.submit(fanfold.udf(squared, instance_type="small"), [2])
    assert last_counts() == {"cached": 1}


def test_d20_every_name_is_served_by_a_machine_at_least_as_large(machines, capsys):
    machines.hold()  # what a job is given to is said before anything comes up
    for name, (vcpus, memory_gb) in SIZES.items():
        capsys.readouterr()
        job = fanfold.submit(squared, [2], instance_type=name, collect=False)
        said = capsys.readouterr().err
        job.cancel(wait=False)
        assert job.header.instance_type == name
        if "served by" in said:
            assert f"{name} is served by" in said
            served = re.search(r"\((\d+) vCPU, (\d+) GiB\)", said)
            assert int(served[1]) >= vcpus
            assert int(served[2]) >= memory_gb
        else:
            assert name in ("medium", "large", "m5.large", "r5.xlarge")
    machines.release()


def test_d20_an_unknown_machine_is_an_error_that_lists_the_known_ones():
    with pytest.raises(fanfold.UnknownInstanceType, match=r"tiny.*\n.*small, medium, large.*m5\.4xlarge"):
        fanfold.submit(squared, [1], instance_type="tiny")


def test_d21_the_progress_line_says_what_it_waits_for_while_a_machine_comes_up(machines, capsys, eventually):
    machines.hold()
    job = fanfold.submit(squared, [2], instance_type="small", collect=False)

    def shown():
        with pytest.raises(TimeoutError):
            job.wait(timeout=1, progress=True)
        return re.search(r"waiting for a (process|small|c5\.large) to start", capsys.readouterr().err)

    eventually(shown)
    machines.release()
    assert job.wait(progress=True).results() == [4]


def test_d22_paths_of_s3_just_work_within_a_udf(bucket):
    @fanfold.udf
    def written(n: int, bucket: str):
        import pandas as pd

        path = f"s3://{bucket}/data/guide/{n}.parquet"
        pd.DataFrame({"n": range(n)}).to_parquet(path)
        return path, len(pd.read_parquet(path))

    [(path, count)] = fanfold.submit(written, [3], bucket=bucket, instance_type="small", collect=False).results()
    assert (path, count) == (f"s3://{bucket}/data/guide/3.parquet", 3)


def test_d22_a_value_is_not_lost_with_the_client_that_asked_for_it(tmp_path, eventually):
    with subprocess.Popen(
        [sys.executable, "-c", SUBMITTED.format(folder=str(tmp_path))], stdout=subprocess.PIPE, text=True
    ) as client:
        job = fanfold.get_job(client.stdout.readline().strip())
        eventually(lambda: len(list(tmp_path.iterdir())) == 2)
        client.kill()
    (tmp_path / "go").touch()
    assert job.results() == [1, 2]


def test_d23_a_job_is_monitored_by_its_status_and_its_output(machines, tmp_path, eventually, capsys):
    machines.hold()
    job = fanfold.submit(held, [1], folder=str(tmp_path), instance_type="small", collect=False)
    assert job.status == "Queued"
    machines.release()
    eventually(lambda: job.logs(0) == "begun 1\n")
    assert job.status == "Running"
    (tmp_path / "go").touch()
    job.tail_logs()
    assert capsys.readouterr().out == "[0] begun 1\n"
    assert job.status == "Completed"


def test_d26_several_machines_each_take_inputs_side_by_side_as_they_get_free(tmp_path):
    several = {"instance_type": "large", "max_workers": 2, "n_processes_per_worker": 2}
    job = fanfold.submit(meet, range(6), folder=str(tmp_path), count=4, collect=False, **several)
    assert job.results() == list(range(6))
    assert (job.header.max_workers, job.header.n_processes_per_worker) == (2, 2)


def test_d23_a_job_on_a_machine_fails():
    assert fanfold.submit(odd_only, [2], instance_type="small", collect=False).wait().status == "Failed"


def test_d27_another_process_has_the_same_job_and_cancels_what_runs(tmp_path, eventually, elsewhere):
    job = fanfold.submit(held, [1], folder=str(tmp_path), instance_type="small", collect=False)
    eventually(lambda: list(tmp_path.iterdir()))
    assert elsewhere(f"import fanfold; job = fanfold.get_job({job.id!r}); print(job.status); job.cancel()") == "Running"
    eventually(lambda: job.status == "Cancelled")


def test_d27_another_process_runs_again_only_what_failed(tmp_path, elsewhere):
    @fanfold.udf
    def counted(x: int, folder: str):
        import pathlib
        import uuid

        place = pathlib.Path(folder)
        (place / f"{x}-{uuid.uuid4()}").touch()
        if x == 1 and not (place / "fixed").exists():
            raise OSError("not there yet")
        return x

    job = fanfold.submit(counted, range(3), folder=str(tmp_path), instance_type="small", collect=False).wait()
    assert job.counts() == {"succeeded": 2, "failed": 1}
    (tmp_path / "fixed").touch()
    assert elsewhere(f"import fanfold; print(fanfold.get_job({job.id!r}).retry().results())") == "[0, 1, 2]"
    assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == ["0", "1", "1", "2", "fixed"]
