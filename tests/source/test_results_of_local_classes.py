"""Objects of classes that a call has made, as results: they are of the classes that their submitter has."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fanfold
from fanfold.codec.data_notes import ReadAsDataWarning

OF_CALLS = """
    import dataclasses, enum
    from pydantic import create_model

    def make(factor):
        class Scaled:
            def __init__(self, value): self.value = value * factor
        return Scaled
    def colours():
        class Colour(enum.Enum):
            RED = 1
        return Colour
    def failing():
        class Broken(Exception): pass
        return Broken

    Scaled, Colour, Broken = make(1), colours(), failing()
    Point = dataclasses.make_dataclass("Point", ["x"])
    MODELS = {"a": create_model("AModel", x=(int, 1))}
    Doubled = make(2)

    def scaled(n): return Scaled(n)
    def both(n): return [Scaled(n), Doubled(n), Scaled]
    def colour(n): return Colour.RED
    def point(n): return {"at": [Point(n)]}
    def model(n): return MODELS["a"](x=n)
    def broken(n): return Broken("no", n)
    def of_the_run(n): return make(3)(n), Scaled(n)
"""


def result(function):
    return next(iter(fanfold.submit(function, [3], collect=False, cache=False).results()))


def test_a_class_that_a_call_has_made_is_the_submitter_s_own(desk) -> None:
    module = desk.module(OF_CALLS)
    assert type(result(module.scaled)) is module.Scaled
    assert result(module.colour) is module.Colour.RED
    assert result(module.point)["at"] == [module.Point(3)]
    assert result(module.model) == module.MODELS["a"](x=3)
    assert type(result(module.broken)) is module.Broken


def test_of_two_of_one_name_each_is_the_one_that_it_was(desk) -> None:
    module = desk.module(OF_CALLS)
    one, other, kind = result(module.both)
    assert (type(one), type(other), kind) == (module.Scaled, module.Doubled, module.Scaled)
    assert (one.value, other.value) == (3, 6)


def test_a_class_that_the_run_has_made_is_none_of_the_submitter_s(desk) -> None:
    module = desk.module(OF_CALLS)
    with pytest.warns(ReadAsDataWarning, match="Scaled of the run"):
        made, own = result(module.of_the_run)
    assert made == {"value": 9}
    assert type(own) is module.Scaled


def test_another_process_reads_plain_data(desk) -> None:
    module = desk.module(OF_CALLS)
    job = fanfold.submit(module.scaled, [3], collect=False)
    list(job.results())
    read = (
        "import fanfold, sys, json, warnings; warnings.simplefilter('ignore');"
        "print(json.dumps(list(fanfold.get_job(sys.argv[1]).results())))"
    )
    assert subprocess.check_output([sys.executable, "-c", read, job.id], text=True).strip() == '[{"value": 3}]'
