"""Options of a call that cannot be meant: each is refused by its name, with what to write instead."""

from __future__ import annotations

import pytest

import fanfold
from fanfold import InputError, Retry, submit


@fanfold.udf
def squared(x: int):
    return x * x


@pytest.mark.parametrize(
    ("options", "says", "then"),
    [
        ({"n_processes_per_worker": "Auto"}, "n_processes_per_worker='Auto'", '"auto"'),
        ({"escalate": 3}, "escalate=3 names no machine", '"medium"'),
        ({"escalate": {"medium": 1}}, "names no machine", '"medium"'),
        ({"escalate": "small", "instance_type": "large"}, "escalate='small' leads to no larger machine", "smallest"),
        ({"ramp": 0}, "ramp=0 is not a ramp", "rising numbers"),
        ({"ramp": []}, r"ramp=\[\] is not a ramp", "rising numbers"),
        ({"target_s": 400}, "target_s=400 is longer than an invocation lasts, which is 120 s", "instance_type="),
        ({"notify": "arn:aws:sns:us-east-1:123456789012:x"}, "is for jobs of a deployment", "https://"),
        ({"retry": Retry(on=(429,))}, r"Retry\(on=...\) holds 429", r"Retry\(on=\(ConnectionError"),
        ({"retry": Retry(on=("429",))}, "'429', which does not begin with the name", '"HTTPError 429"'),
        ({"retry": Retry(on=("ValueEror",))}, r"Retry\(on=...\) names 'ValueEror'", "correct it"),
        ({"retry_on": ("",)}, "retry_on holds ''", '"HTTPError 429"'),
    ],
)
def test_it_is_refused_before_anything_starts(options, says, then):
    with pytest.raises(InputError, match=rf"{says}(?s:.*)Next: (?s:.*){then}"):
        submit(squared, [1], engine="local", **options)
    assert fanfold.get_jobs() == []


def test_a_job_is_no_value_and_its_results_are():
    job = submit(squared, [1, 2], engine="local", collect=False)

    @fanfold.udf
    def added(x: int, others):
        return x + sum(others)

    with pytest.raises(InputError, match=r"others is a fanfold.job.job.Job(?s:.*)its results: (?s:.*)`list\(job\)`"):
        submit(added, [1], others=job)
    assert submit(added, [1], others=list(job)).result.tolist() == [6]


def test_groups_say_what_they_are_and_by_what_there_may_be_some():
    job = submit(squared, [1, 2], engine="local", collect=False)
    assert repr(job.grouped(by="x")) == "<2 groups by x of 2 runs>"
    with pytest.raises(InputError, match=r"by=3 is nothing to group by(?s:.*)a parameter"):
        job.grouped(by=3)


@pytest.mark.parametrize("chaos", ["throttle", True])
def test_chaos_is_parts_of_tries(chaos):
    with pytest.raises(fanfold.errors.ConfigurationError, match=r"says no parts of tries(?s:.*)\"throttle\": 0.1"):
        fanfold.local(chaos=chaos)


def test_a_cache_is_for_a_function_and_leaves_out_parameters_of_it():
    with pytest.raises(InputError, match="5 is none"):
        fanfold.cache(5)
    with pytest.raises(InputError, match=r"'clint', which is no parameter of read(?s:.*)path, client"):

        @fanfold.cache(cache_key_exclude=["clint"])
        def read(path, client): ...

    calls = []

    @fanfold.cache(cache_key_exclude="client")
    def fetched(path, client):
        calls.append(client)
        return path

    assert [fetched("a", object()), fetched("a", object()), len(calls)] == ["a", "a", 1], "one name, not its letters"


def test_a_step_without_a_name_is_refused_in_words():
    @fanfold.udf
    def counted(x: int):
        return fanfold.step(len, [x])

    with pytest.raises(fanfold.RunFailed, match=r"one of the two is missing(?s:.*)fanfold.step\(\"read\""):
        submit(counted, [1], engine="local")


def test_what_is_no_flag_opens_no_debugger_and_measures_nothing():
    @fanfold.udf
    def fails(x: int):
        raise ValueError(x)

    run = submit(fails, [1], engine="local", collect=False).wait()[0]
    with pytest.raises(InputError, match="pdb='no' is neither True nor False"):
        run.debug(pdb="no")
    with pytest.raises(InputError, match="memory='no' is neither True nor False"):
        run.profile(memory="no")


@pytest.mark.parametrize(
    ("path", "says"),
    [("s3://bucket/x", "is not a path of this machine"), (None, "None is not a path"), ("", "not a path")],
)
def test_a_job_is_exported_to_this_machine(path, says):
    job = submit(squared, [1], engine="local", collect=False).wait()
    with pytest.raises(InputError, match=says):
        job.export(path)


def test_a_home_is_known_by_its_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    job = submit(squared, [1], engine="local", collect=False).wait()
    assert job.export("~/exported") == tmp_path / "exported"
