"""Someone who comes from another tool writes its words: errors name what it is here, and what they name works."""

from __future__ import annotations

import inspect

import pytest

import fanfold
from fanfold.core import elsewhere
from fanfold.core.options import Options


@fanfold.udf
def scaled(x: int, by: int = 2):
    return x * by


def options_of(function):
    return {name for name, each in inspect.signature(function).parameters.items() if each.kind is each.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"timeout": 60}, r"here it is called timeout_s= \(seconds\)"),
        ({"retries": 3}, "here it is called max_retry="),
        ({"memory": 8192}, 'instance_type="small", "medium".*`fanfold instance-types`'),
        ({"n_jobs": 4}, r"submit\(udf, inputs, max_workers=\.\.\.\)"),
        ({"tags": {"a": 1}}, r"submit\(udf, inputs, tags=\.\.\.\)"),
        ({"cron": "0 6 * * *"}, "udf.schedule"),
        ({"max_retri": 3}, "did you mean 'max_retry'.*It has name, instance_type"),
    ],
)
def test_the_decorator_names_the_option_that_was_meant(given, says):
    with pytest.raises(fanfold.InputError, match=f"no option '{next(iter(given))}'.*\n.*{says}"):
        fanfold.udf(**given)
    with pytest.raises(fanfold.InputError, match=says):
        scaled.with_options(**given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n_jobs": 4}, "here it is called max_workers="),
        ({"timeout": 60}, r"option of the UDF: @fanfold.udf\(timeout_s=\.\.\.\)"),
        ({"timeout_s": 60}, r"option of the UDF: @fanfold.udf\(timeout_s=\.\.\.\)"),
        ({"return_exceptions": True}, "here it is called ignore_exceptions="),
        ({"chunksize": 10}, "here it is called batch_size="),
        ({"vm_type": "m5.large"}, "instance_type="),
    ],
)
def test_a_submit_names_the_option_that_was_meant(given, says):
    for call in (lambda: fanfold.submit(scaled, [1], **given), lambda: scaled.map([1], **given)):
        with pytest.raises(fanfold.InputError, match=f"neither an option nor a parameter of scaled.*\n.*{says}"):
            call()
    assert fanfold.get_jobs() == []


def test_a_single_call_names_what_a_submit_takes():
    with pytest.raises(fanfold.InputError, match=r"fanfold.submit\(udf, inputs, max_workers=\.\.\.\) takes it"):
        fanfold.run(scaled, x=1, n_jobs=4)
    with pytest.raises(fanfold.InputError, match=r"fanfold.submit\(udf, inputs, batch_size=\.\.\.\) takes it"):
        fanfold.plan(scaled, [1], batch_size=4)
    with pytest.raises(fanfold.InputError, match=r"@fanfold.udf\(timeout_s="):
        scaled(1, timeout_s=5)
    with pytest.raises(TypeError, match="argument 'n_jobs'; here it is called max_workers="):
        fanfold.Executor(n_jobs=4)


def test_a_parameter_of_the_udf_s_own_is_its_own_whatever_it_is_called():
    def own(timeout: int, n_jobs: int = 1, **others: int):
        return timeout + n_jobs + sum(others.values())

    assert fanfold.submit(own, [1], n_jobs=4, retries=5).result.to_list() == [10]
    assert fanfold.udf(own)(timeout=1, verbose=2) == 4


@pytest.mark.parametrize("words", [elsewhere.OF_UDF, elsewhere.OF_JOB, elsewhere.OF_PACKAGE], ids=["udf", "job", "all"])
def test_what_is_no_attribute_is_named_by_what_there_is(words):
    job = fanfold.submit(scaled, [1], collect=False)
    owner = {id(elsewhere.OF_UDF): scaled, id(elsewhere.OF_JOB): job}.get(id(words), fanfold)
    for name, said in words.items():
        with pytest.raises(AttributeError) as caught:
            getattr(owner, name)
        assert said in str(caught.value)
    assert not hasattr(owner, "nothing")
    job.wait()


def test_the_words_lead_to_options_and_attributes_that_there_are():
    of_calls = options_of(fanfold.submit) - set(Options._fields)
    assert of_calls == elsewhere._OF_SUBMIT
    assert set(elsewhere._OPTIONS.values()) <= of_calls | set(Options._fields)
    assert not set(elsewhere._OPTIONS) & (of_calls | set(Options._fields))
