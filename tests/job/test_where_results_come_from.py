"""`job[17].why()`, `job.diff(other)` and tags: what made a result, and what differs between two jobs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fanfold


@fanfold.udf
def scaled(x: int, by: int = 2):
    import numpy as np

    if x == 3 and fanfold.attempt() == 0:
        raise ValueError("three, the first time")
    return float(np.float64(x) * by)


def other_code(x: int, by: int = 2):
    return float(x * by) if x else -1.0


def test_why_names_code_arguments_packages_tries_and_result():
    job = fanfold.submit(scaled, [1, 3], by=5, retry_on=(ValueError,), collect=False).wait()
    told = job[1].why()
    text = Path(__file__).read_text()
    assert (told.udf, told.code_hash, told.arguments) == ("scaled", job.header.code_hash, {"x": 3, "by": 5})
    assert set(told.sources) == {__file__}
    assert told.bundle_sha256 == job.header.bundle_sha256
    assert told.image.startswith("local/cpython")
    assert any(package.startswith("numpy==") for package in told.packages)
    assert [(one.attempt, one.status) for one in told.tries] == [(0, "failed"), (1, "succeeded")]
    assert "three, the first time" in told.tries[0].error
    assert told.result["sha256"] == job.state.output(1).sha256
    assert told.computed_by == ""
    assert "scaled" in str(told)
    assert "def scaled" in text


def test_a_result_from_the_cache_names_the_job_that_computed_it():
    first = fanfold.submit(scaled, [1], collect=False).wait()
    second = fanfold.submit(scaled, [1], collect=False).wait()
    assert second.counts() == {"cached": 1}
    assert second[0].why().computed_by == first.id


def test_the_commit_is_the_one_that_is_checked_out(tmp_path, home):
    def git(*arguments):
        told = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *told, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (tmp_path / "tiles.py").write_text("def f(x: int):\n    return x\n")
    git("init", "-q")
    git("add", "tiles.py")
    git("commit", "-qm", "first")
    environment = {**os.environ, "FANFOLD_HOME": str(home)}
    command = [sys.executable, "-m", "fanfold", "submit", "tiles.py:f", "1", "--json", "--tag", "project=floods"]
    for pack in (False, True):
        if pack:
            git("pack-refs", "--all")
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        job = fanfold.get_job(json.loads(done.stdout)["id"])
        assert job[0].why().commit == git("rev-parse", "HEAD")
        assert job.header.tags == ("project=floods",)


def test_a_diff_names_code_inputs_options_and_results():
    before = fanfold.submit(scaled, [0, 1, 2], cache=False, collect=False).wait()
    after = fanfold.submit(fanfold.udf(other_code, name="scaled"), [0, 1, 9], max_retry=0, collect=False).wait()
    found = before.diff(after)
    assert not found.same
    assert not found.same_code
    assert found.inputs == {"in_both": 2, "only_in_a": 1, "only_in_b": 1}
    assert found.environment["max_retry"] == (2, 0)
    assert found.environment["numpy"][1] is None
    assert (found.compared, found.results) == (2, [0])
    assert "-    return float(np.float64(x) * by)" in found.code
    again = fanfold.submit(scaled, [0, 1, 2], cache=False, collect=False).wait()
    assert before.diff(again).same
    assert "all the same, of 3 results" in str(before.diff(again))


def test_a_parameter_that_some_run_was_given_is_part_of_the_input_and_other_constants_are_surroundings():
    def diff(one, other):
        jobs = (fanfold.submit(scaled, inputs, collect=False, **constants).wait() for inputs, constants in (one, other))
        return next(jobs).diff(next(jobs))

    constant_in_both = diff(([0, 1], {"by": 3}), ([0, 1, 1], {"by": 5}))
    assert constant_in_both.inputs == {"in_both": 2, "only_in_a": 0, "only_in_b": 1}
    assert constant_in_both.environment == {"argument by": (3, 5)}
    assert constant_in_both.results == [1]
    assert diff(([4], {}), ([4], {"by": 2})).same  # its default
    of_each = diff(([{"x": 1, "by": 3}, {"by": 4, "x": 1}], {}), ([1], {"by": 4}))
    assert of_each.inputs == {"in_both": 1, "only_in_a": 1, "only_in_b": 0}
    assert not of_each.environment
    assert of_each.results == []


def test_jobs_are_found_by_their_tags():
    one = fanfold.submit(scaled, [1], tags={"project": "floods", "year": 2013}, collect=False)
    two = fanfold.submit(scaled, [2], tags={"project": "floods"}, collect=False)
    fanfold.submit(scaled, [4], collect=False)
    assert [job.id for job in fanfold.get_jobs(tags={"project": "floods"})] == [two.id, one.id]
    assert [job.id for job in fanfold.get_jobs(tags={"project": "floods", "year": 2013})] == [one.id]
    assert fanfold.get_jobs(tags={"project": "fires"}) == []
    for wrong in ({"a=b": "c"}, {"a": "b\nc"}, {"a": object()}, ["a"]):
        with pytest.raises(fanfold.InputError, match="tag"):
            fanfold.submit(scaled, [1], tags=wrong)


def test_the_hash_of_a_source_is_that_of_its_text():
    job = fanfold.submit(scaled, [1], collect=False).wait()
    from fanfold.source.load import Bundle
    from fanfold.stores.keys import bundle_key

    bundle = Bundle.from_bytes(job.tracker.engine.stores.objects.get(bundle_key(job.header.bundle_sha256)))
    texts = {source.path: hashlib.sha256(source.text.encode()).hexdigest() for source in bundle.sources}
    assert job[0].why().sources == texts
