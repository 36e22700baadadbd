"""`later.explain_cache(earlier)` and `fanfold explain --cache`: why runs came from the cache, or did not."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import fanfold
from fanfold.cli.app import app


@fanfold.udf
def scaled(x: int, k: int = 1):
    if x < 0:
        raise ValueError(x)
    return x * k


def submitted(udf, inputs, **options):
    return fanfold.submit(udf, inputs, collect=False, **options).wait(120)


@pytest.fixture
def earlier():
    """A job of four inputs, of which one has failed."""
    return submitted(scaled, [-1, 1, 2, 3], max_retry=0)


def test_each_run_has_its_reason(earlier):
    told = submitted(scaled, [-1, 1, 5], max_retry=0).explain_cache(earlier)
    assert told.key == {}
    assert told.runs == {
        "it had failed in the first: failures are never cached": [0],
        "came from the cache": [1],
        "another input: no run of the first has these arguments": [2],
    }


def test_the_parts_of_the_key_that_differ_are_named(earlier):
    @fanfold.udf(name="scaled")
    def shifted(x: int, k: int = 1):
        return x + k

    other_code = submitted(shifted, [1]).explain_cache(earlier)
    assert list(other_code.key) == ["code"]
    assert "+        return x + k" in other_code.code
    constant = submitted(scaled, [1], k=2).explain_cache(earlier)
    assert constant.key == {"argument k": (1, 2)}
    machine = submitted(scaled, [1], instance_type="small", max_workers=3).explain_cache(earlier)
    assert machine.key == {"instance_type": (None, "small")}
    for told in (other_code, constant, machine):
        assert told.runs == {"the key differs": [0]}


def test_what_was_asked_for_is_said(earlier):
    assert list(submitted(scaled, [1], cache=False).explain_cache(earlier).runs) == [
        "cache=False: nothing was taken from the cache"
    ]
    assert list(submitted(scaled, [1], cache_max_age=0).explain_cache(earlier).runs) == [
        "cache_max_age=0: nothing was taken from the cache"
    ]
    kept_nothing = submitted(scaled, [7], cache=False)
    assert list(submitted(scaled, [7]).explain_cache(kept_nothing).runs) == [
        "the first kept nothing: cache=False, or other code in a retry"
    ]


def test_a_result_that_was_removed_or_is_too_old_is_said(earlier):
    assert "it was older than cache_max_age" in submitted(scaled, [1], cache_max_age=1e-6).explain_cache(earlier).runs
    earlier.tracker.engine.stores.cache.clear()
    assert list(submitted(scaled, [1]).explain_cache(earlier).runs) == [
        "a file that it names had changed, or it was removed from the cache"
    ]


def test_the_command_says_the_same_and_wants_one_thing(earlier):
    later = submitted(scaled, [1], k=2)
    said = CliRunner().invoke(app, ["explain", "--cache", earlier.id, later.id, "--json"])
    assert json.loads(said.stdout)["key"] == {"argument k": [1, 2]}
    plain = CliRunner().invoke(app, ["explain", "--cache", earlier.id, later.id])
    assert "  argument k 1 -> 2\n  the key differs: run 0" in plain.stdout
    assert CliRunner().invoke(app, ["explain"]).exit_code != 0


def test_costs_are_added_up_by_a_tag():
    for inputs, project in (([1, 2], "floods"), ([3], "floods"), ([4], "fires")):
        submitted(scaled, inputs, tags={"project": project})
    submitted(scaled, [5])
    said = CliRunner().invoke(app, ["jobs", "--by", "project", "--json"])
    sums = {one["project"]: (one["jobs"], one["runs"]) for one in json.loads(said.stdout)}
    assert sums == {"floods": (2, 3), "fires": (1, 1), None: (1, 1)}
    assert "floods" in CliRunner().invoke(app, ["jobs", "--by", "project"]).stdout
