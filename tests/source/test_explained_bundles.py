"""What a job's bundle tells of what travelled is what `explain` told before."""

from __future__ import annotations

import math

import fanfold
from fanfold.source.capture import Captured
from fanfold.source.explain import explain_bundle

TABLE = {"a": 1, "b": [1, 2, 3]}


class Scale:
    by = 3


def helper(x):
    return math.sqrt(x) * Scale.by + TABLE["a"]


@fanfold.udf
def scaled(x: float):
    return helper(x)


def test_a_bundle_tells_the_lanes_that_explain_told():
    before, after = fanfold.explain(scaled), explain_bundle(Captured(scaled).bundle)
    assert {(each.lane, each.name) for each in before.things if each.name} <= {
        (each.lane, each.name) for each in after.things
    }
    assert (after.code_hash, after.size) == (before.code_hash, before.size)
    assert next(each.size for each in after.things if each.name == "TABLE") == len('{"a":1,"b":[1,2,3]}')
