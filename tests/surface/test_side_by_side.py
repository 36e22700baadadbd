"""`n_processes_per_worker="auto"`: as many runs side by side as a machine holds, by what runs were measured to take."""

from __future__ import annotations

import types

import pytest
from typer.testing import CliRunner

import fanfold
from fanfold.cli.app import app
from fanfold.contract.instances import INSTANCE_TYPES, run_memory_mib
from fanfold.submission.estimates import Observed
from fanfold.submission.side_by_side import most_that_fit

AWS = types.SimpleNamespace(has_machines=True)
HERE = types.SimpleNamespace(has_machines=False)


def test_as_many_as_cores_and_memory_hold_with_a_little_to_spare():
    medium = INSTANCE_TYPES["medium"]  # 16 cores, 57 GiB
    fits = {gib: most_that_fit(Observed((1.0,), gib * 1024), medium, AWS) for gib in (0, 0.1, 5, 10, 28, 60)}
    assert fits == {0: 16, 0.1: 16, 5: 10, 10: 5, 28: 1, 60: 1}
    for gib in (5, 10):
        assert fits[gib] * gib * 1024 < run_memory_mib(medium)
    assert most_that_fit(Observed((1.0,), 100, out_of_memory=1), medium, AWS) == 1
    assert most_that_fit(Observed((1.0,), 1 << 30), medium, HERE) == 1


def run_cli(*words):
    result = CliRunner().invoke(app, ["submit", *words])
    return result.exit_code, result.output


@fanfold.udf
def grows(mib: int):
    held = bytearray(mib << 20)
    return len(held) >> 20


def test_a_sample_is_measured_and_what_runs_out_is_run_again_alone(capsys, monkeypatch):
    monkeypatch.setattr("fanfold.submission.side_by_side.usable_cores", lambda: 64)  # whatever machine tests run on
    inputs = [20, 21, 22, 23]
    job = fanfold.submit(grows, inputs, instance_type="small", n_processes_per_worker="auto", collect=False).wait(60)
    assert job.results() == inputs
    assert job.header.n_processes_per_worker == 2  # small has two cores
    told = capsys.readouterr().err
    assert "2 runs side by side on each small: a run took" in told
    assert "by a sample of 3 runs" in told
    # The memory of one of two is not enough for this one, and all that there is.
    frame = fanfold.submit(grows, [24, 1200], instance_type="small", n_processes_per_worker="auto")
    assert frame.result.to_list() == [24, 1200]
    assert "1 run was too large, and runs again alone on small" in capsys.readouterr().err


def test_a_plan_counts_with_it():
    fanfold.submit(grows, [1])
    plan = fanfold.plan(grows, [20, 21, 22, 23], instance_type="small", n_processes_per_worker="auto")
    assert [way.to_run for way in plan.ways if way.name == "small"] == [4]


def test_on_the_realtime_path_it_changes_nothing():
    job = fanfold.submit(grows, [1], n_processes_per_worker="auto", collect=False).wait(60)
    assert job.header.n_processes_per_worker == 1


def test_from_a_shell(tmp_path):
    file = tmp_path / "grows.py"
    file.write_text("import fanfold\n\n@fanfold.udf\ndef grows(mib: int):\n    return len(bytearray(mib << 20))\n")
    code, told = run_cli(str(file), "20", "--processes", "some")
    assert code != 0
    assert "--processes some is not a number of runs" in told
    code, told = run_cli(str(file), "20", "--processes", "auto")  # a function performs one run
    assert code == 0, told


@pytest.mark.parametrize("given", [0, -1, "two", 1.5])
def test_what_is_no_number_is_refused(given):
    with pytest.raises(fanfold.InputError, match="n_processes_per_worker"):
        fanfold.submit(grows, [1], instance_type="small", n_processes_per_worker=given)
