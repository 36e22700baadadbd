"""Shorthands for the latest job, and the question before all jobs go."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import fanfold
from fanfold.cli.app import app


def doubled(x: int):
    return 2 * x


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_a_dash_is_the_latest_job():
    fanfold.submit(doubled, [1])
    latest = fanfold.submit(doubled, [2], collect=False).wait()
    assert fanfold.get_job("-").id == latest.id
    assert latest.id in call("status", "-").output
    assert call("verify", "-").exit_code == 0


def test_where_there_is_no_job_it_says_so():
    with pytest.raises(fanfold.JobNotFound, match="no job yet"):
        fanfold.get_job("-")


def test_all_jobs_go_only_when_that_is_meant():
    fanfold.submit(doubled, [1])
    asked = call("remove", "--older-than", "0s")
    assert asked.exit_code == 2
    assert "--yes" in asked.output
    assert len(fanfold.get_jobs()) == 1
    assert call("remove", "--older-than", "0s", "--yes").exit_code == 0
    assert fanfold.get_jobs() == []


def test_logs_of_results_from_the_cache_say_what_names_the_job_that_printed(here):
    first = here.json("submit", "squares.py", "1", "2")["id"]
    cached = here.json("submit", "squares.py", "1", "2", "5")["id"]
    ended = here("logs", cached, "--run", "1")
    assert (ended.stdout, ended.exit_code) == ("", 0)
    assert f"`fanfold why {cached} 1` names" in ended.stderr
    assert here.json("why", cached, "1")["computed_by"] == first
    assert "squaring 5" in here("logs", cached, "--run", "2").stdout
