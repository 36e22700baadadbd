"""`fanfold.local(chaos=...)`: AWS on a bad day, on this machine, the same again with the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

import fanfold
from fanfold.engines.local.chaos import Chaos
from fanfold.engines.local.conditions import conditions_of
from fanfold.settings import Conditions

BAD_DAY = {"throttle": 0.2, "oom": 0.05, "lost": 0.2}


@fanfold.udf(cache_max_age=0, retry_on=(MemoryError,), max_retry=8)
def squared(x: int):
    return x * x


def test_which_tries_meet_what_follows_from_the_seed_in_the_parts_that_were_asked_for():
    fates = {seed: [Chaos(conditions(seed)).fate(index, 0) for index in range(4000)] for seed in (1, 1, 2)}
    assert fates[1] == [Chaos(conditions(1)).fate(index, 0) for index in range(4000)]
    assert fates[1] != fates[2]
    met = Counter(fates[1])
    parts = {"throttle": 0.2, "oom": 0.05, "lost early": 0.1, "lost late": 0.1, "": 0.55}
    assert {fate: met[fate] / 4000 for fate in parts} == pytest.approx(parts, abs=0.02)


def conditions(seed):
    with fanfold.local(chaos=BAD_DAY, seed=seed) as local:
        return local.asked


def test_a_job_remembers_its_conditions_for_the_process_that_runs_it():
    asked = conditions(-7)
    assert conditions_of(f"local/cpython-311{asked.mark} secrets:()") == asked
    assert asked.like == "lambda"
    assert Conditions.of_mark("lambda") == Conditions("lambda")


@pytest.mark.parametrize("machine", [None, pytest.param("small", marks=pytest.mark.long)])
def test_a_job_gets_through_a_bad_day_and_meets_the_same_on_the_next(machine):
    tries = []
    for _ in range(2):
        with fanfold.local(chaos=BAD_DAY, seed=8):
            job = fanfold.submit(squared, range(30), instance_type=machine, collect=False).wait(60)
        assert job.results() == [x * x for x in range(30)]
        assert job.verify()
        tries.append([run.attempt for run in job])
    assert tries[0] == tries[1]
    assert max(tries[0]) > 1


def test_what_is_not_to_be_tried_again_fails_and_says_that_it_was_chaos():
    with fanfold.local(chaos={"oom": 0.4, "lost": 0.4}, seed=1):
        job = fanfold.submit(squared, range(12), retry_on=("KeyError",), max_retry=0, collect=False).wait(60)
    counts = job.counts()
    assert set(counts) == {"succeeded", "lost", "out_of_memory"}
    said = " ".join(map(str, job.errors().values()))
    assert "chaos: it was killed as if it had used more memory" in said
    assert "chaos: its worker was lost before it had begun" in said
    assert job.retry().wait(60).counts() != counts  # the next tries have fates of their own


def note(folder: str, what: int):
    with open(f"{folder}/notes", "a", encoding="utf-8") as file:
        file.write(f"{what}\n")


@fanfold.udf(cache_max_age=0, max_retry=20)
def in_steps(x: int):
    return [fanfold.step(f"step-{n}", note, str(fanfold.data_path("")), n) for n in range(3)]


def test_steps_are_computed_once_however_often_their_run_is_lost():
    with fanfold.local(chaos={"lost": 0.8}, seed=3):
        job = fanfold.submit(in_steps, range(4), collect=False).wait(60)
    assert job.counts() == {"succeeded": 4}
    assert sum(run.attempt for run in job) > 4
    with open(f"{fanfold.data_path('')}/notes", encoding="utf-8") as file:
        assert Counter(file.read().split()) == {"0": 4, "1": 4, "2": 4}


def test_a_slow_start_is_late_and_loses_nothing(monkeypatch):
    monkeypatch.setattr("fanfold.engines.local.chaos._LATE_S", 0.2)
    with fanfold.local(chaos={"slow": 0.9}, seed=1):
        assert fanfold.submit(squared, range(6), collect=False).wait(60).results() == [x * x for x in range(6)]


@pytest.mark.parametrize(
    ("chaos", "seed", "said"),
    [
        ({"flood": 0.1}, 0, "knows no 'flood'"),
        ({"oom": 1.0}, 0, r"oom=1\.0 is not a share"),
        ({"oom": True}, 0, "oom=True is not a share"),
        ({"oom": 0.5, "lost": 0.5}, 0, "hardly any run would end"),
        ({"oom": 0.5}, "x", "seed='x' is not a whole number"),
    ],
)
def test_what_is_no_chaos_is_refused(chaos, seed, said):
    with pytest.raises(fanfold.ConfigurationError, match=said):
        fanfold.local(chaos=chaos, seed=seed)
