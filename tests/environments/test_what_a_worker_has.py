"""docs/what-a-worker-has.md: what is the same on this machine, in Lambda and on a machine, and what is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.errors import ConfigurationError, InputError

PAGE = (Path(__file__).parents[2] / "docs" / "what-a-worker-has.md").read_text()

_prepared = []


def prepare():
    _prepared.append(fanfold.job_id())


@fanfold.udf(setup=prepare, cache_max_age=0)
def facts(x: int):
    """What a run is told, and whether what it leaves is there for the next one of its worker."""
    import os

    note = fanfold.scratch_path() / "note"
    note.write_text("left")
    return {
        "run": fanfold.run_id(),
        "job": fanfold.job_id(),
        "attempt": fanfold.attempt(),
        "prepared": len(_prepared),
        "data": fanfold.data_path("tiles/7.tif"),
        "credentials": "AWS_SECRET_ACCESS_KEY" in os.environ,
    }


@pytest.mark.parametrize("instance_type", [None, "small"])
def test_a_run_knows_which_it_is_and_where_it_may_keep_files(engine, instance_type):
    job = fanfold.submit(facts, [1, 2], instance_type=instance_type, collect=False)
    results = job.results()
    assert [found["run"] for found in results] == [f"{job.id}/0", f"{job.id}/1"]
    assert {(found["job"], found["attempt"], found["prepared"]) for found in results} == {(job.id, 0, 1)}
    assert {found["data"] for found in results} == {fanfold.data_path("tiles/7.tif")}
    if engine == "aws":
        assert results[0]["data"] == f"s3://{engine_for('aws').stores.objects.bucket}/data/tiles/7.tif"


def test_what_a_run_leaves_as_data_is_there_for_its_caller(home):
    @fanfold.udf
    def leave(name: str):
        with open(fanfold.data_path(name), "w") as file:
            file.write(name)

    fanfold.submit(leave, ["a.txt", "deep/er/b.txt"])
    assert Path(fanfold.data_path("deep/er/b.txt")).read_text() == "deep/er/b.txt"
    assert fanfold.data_path() == f"{home}/data/"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "s3://other/x"])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(InputError, match="leads elsewhere"):
        fanfold.data_path(name)


@pytest.mark.parametrize("ask", [fanfold.run_id, fanfold.job_id, fanfold.attempt, fanfold.scratch_path])
def test_outside_a_run_there_is_no_run_to_ask_for(ask):
    with pytest.raises(ConfigurationError, match="This is not a run"):
        ask()


def test_the_page_names_what_there_is():
    assert [name for name in re.findall(r"fanfold\.(\w+)\(", PAGE) if name not in fanfold.__all__] == []
