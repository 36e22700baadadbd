"""The decorator: what it makes of a function, and which options it takes."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fanfold
from fanfold.api.awaiting import AwaitedCall


@fanfold.udf
def scaled(x: int, by: int = 2):
    """Scale a number."""
    return x * by


@fanfold.udf
def twice_scaled(x: int):
    return scaled(scaled(x))


def test_a_udf_keeps_its_function_s_name_and_documentation():
    assert (scaled.__name__, scaled.__doc__, scaled.name) == ("scaled", "Scale a number.", "scaled")


def test_calling_it_runs_it_once():
    assert scaled(3) == scaled(x=3) == scaled(3, 2) == 6
    assert fanfold.get_jobs(limit=1)[0].name == "scaled"


def test_a_call_takes_options_of_run_beside_the_arguments():
    assert scaled(3, cache=False) == 6
    scaled(3, cache=False)
    assert fanfold.get_jobs(limit=1)[0].counts() == {"succeeded": 1}


def test_a_parameter_of_that_name_is_the_udf_s_own():
    @fanfold.udf
    def sized(engine: str, cache: int = 1):
        return engine, cache

    assert sized("v8", cache=32) == ("v8", 32)


def test_a_constant_that_is_no_parameter_is_not_taken_for_a_dict_of_arguments():
    @fanfold.udf
    def only(x: int):
        return x

    with pytest.raises(fanfold.InputError, match=r"q=3: there is no such parameter; it takes x\."):
        fanfold.submit(only, [1], q=3)
    with pytest.raises(fanfold.InputError, match="did you mean 'cache_max_age'"):
        fanfold.run(only, x=1, cache_max_ag="1d")


def test_the_decorator_may_be_kept_under_a_name():
    cached = fanfold.udf(cache_max_age="1d")

    @cached
    def kept(x: int):
        return x + 1

    assert kept(1) == 2
    assert kept.options.cache_max_age == "1d"


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Box:
    colour: Colour
    n: int = 1


@fanfold.udf
def opened(box: Box, colour: Colour = Colour.RED):
    return box.colour is colour, box.n


def test_what_annotations_make_is_made_again_in_the_run():
    for inputs in ([{"box": {"colour": "red", "n": "5"}}], [{"box": Box(Colour.RED, 5), "colour": "red"}]):
        assert fanfold.submit(opened, inputs, collect=False).wait().results() == [(True, 5)]
    assert fanfold.submit(opened, [Box(Colour.RED)], colour=Colour.RED, collect=False).wait().results() == [(True, 1)]


def test_inputs_that_cannot_be_sent_are_listed_together():
    inputs = [1, {"x": Colour.RED}, {"x": threading.Lock()}, {"x": {"a": threading.Lock()}}]
    with pytest.raises(fanfold.InputError, match=r"2 inputs do not fit[\s\S]*_thread.lock[\s\S]*_thread.lock"):
        fanfold.submit(lambda_free, inputs)
    assert fanfold.get_jobs() == []


def lambda_free(x):
    return x


def test_within_a_run_it_is_a_plain_call():
    assert twice_scaled(3) == 12


def test_within_a_run_it_has_nothing_of_a_udf_and_says_so():
    @fanfold.udf
    def mapping(x: int):
        return scaled.map([x])

    with pytest.raises(
        fanfold.RunFailed, match=r"no attribute 'map' \(inside a run a UDF is a plain function: call it"
    ):
        mapping(1)


def test_submit_within_a_run_is_refused():
    @fanfold.udf
    def nested(x: int):
        import fanfold

        return fanfold.submit(str, [x])

    with pytest.raises(fanfold.RunFailed, match=r"NestedSubmitError.*from within a run") as refused:
        nested(1)
    told = str(refused.value)
    assert "return fanfold.submit(str, [x])" in told
    assert "addressing.py" not in told  # what Fanfold does within is not the user's to fix
    assert told.count("Next: ") == 1
    assert told.endswith("Next: call the UDF as a plain function there, or submit from outside with more inputs.")


def test_wrong_arguments_name_the_parameters():
    with pytest.raises(fanfold.InputError, match=r"scaled: too many positional.*\n.*scaled\(x: int, by: int = 2\)"):
        scaled(1, 2, 3)


def test_run_async_awaits_the_value():
    assert asyncio.run(fanfold.run_async(scaled, x=4)) == 8


def naps(started: str):
    import pathlib
    import time

    pathlib.Path(started).touch()
    time.sleep(60)


def test_to_cancel_the_await_cancels_its_job(tmp_path):
    """Also where no thread of the loop is left but those that wait for such jobs."""
    started = tmp_path / "started"

    async def cancels():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        task = asyncio.create_task(fanfold.run_async(naps, started=str(started), cache=False))
        while not started.exists() and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return fanfold.get_jobs(limit=1)[0].counts()

    assert asyncio.run(cancels()) == {"cancelled": 1}  # and it ends: `asyncio.run` waits for its threads


def test_an_await_that_was_cancelled_before_its_job_began_cancels_it_then(tmp_path):
    awaited = AwaitedCall()
    awaited.cancel()
    job = fanfold.submit(naps, [str(tmp_path / "started")], collect=False, cache=False)
    awaited.hold(job)
    assert job.wait().counts() == {"cancelled": 1}


def test_map_is_submit_that_gives_the_job():
    job = scaled.map([1, 2], by=5)
    assert isinstance(job, fanfold.Job)
    assert job.results() == [5, 10]


def test_starmap_gives_each_tuple_to_the_parameters_in_order():
    assert scaled.starmap([(1, 2), (3,)]).results() == fanfold.submit(scaled, [{"x": 1, "by": 2}, 3]).result.to_list()
    assert scaled.starmap(zip([1, 2], strict=True), by=5).results() == [5, 10]
    with pytest.raises(fanfold.InputError, match=r"Input 1 has 3 values; scaled\(\) takes x, by\."):
        scaled.starmap([(1, 2), (3, 4, 5)])
    with pytest.raises(fanfold.InputError, match=r"one iterable of inputs, not 2.\n.*udf.map\(zip\(xs, ys\)\)"):
        scaled.map([1, 2], [3, 4])


def test_with_options_leaves_the_first_as_it_was():
    large = scaled.with_options(instance_type="large", max_retry=0)
    assert (large.options.instance_type, scaled.options.instance_type) == ("large", None)
    assert repr(large) == "<Udf scaled (instance_type='large', max_retry=0)>"
    assert repr(scaled) == "<Udf scaled>"


def test_decorating_again_adds_options():
    again = fanfold.udf(scaled, name="other")
    assert again.with_options(max_retry=1).options.name == "other"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"nam": "x"}, "no option 'nam'.*\n.*mean 'name'. It has name, instance_type"),
        ({"instance_type": "tiny"}, "not a machine"),
        ({"engine": "moon"}, "no engine 'moon'"),
        ({"cache_max_age": "soon"}, "not an age"),
        ({"max_retry": -1}, "max_retry=-1 is not a whole number at least 0"),
        ({"timeout_s": 0}, "timeout_s=0 is not a number above 0"),
        ({"timeout_s": float("nan")}, "timeout_s=nan"),
        ({"memory_mib": "much"}, "memory_mib='much'"),
        ({"retry_on": (3,)}, "holds 3, which is not an exception"),
        ({"retry_on": 3}, "retry_on"),
        ({"retry_on": "Valueerror"}, "did you mean 'ValueError'"),
        ({"serializer": "dill"}, 'use "auto" or "pickle"'),
        ({"name": 3}, "name=3"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_is_none_is_refused_at_decoration(options, says):
    with pytest.raises(fanfold.InputError, match=says):
        fanfold.udf(**options)
    with pytest.raises(fanfold.InputError, match=says):
        fanfold.udf(scaled, **options)


@pytest.mark.parametrize("thing", [3, "scaled", None.__class__.__name__])
def test_what_is_no_function_is_refused(thing):
    with pytest.raises(fanfold.InputError, match="stands before a function"):
        fanfold.udf(thing)
    with pytest.raises(fanfold.InputError, match="is not a function"):
        fanfold.submit(thing, [1])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"max_workers": 0}, "max_workers=0"),
        ({"max_workers": 1.5}, "max_workers=1.5"),
        ({"n_processes_per_worker": 0}, "n_processes_per_worker=0"),
        ({"max_retry": -1}, "max_retry=-1"),
        ({"engine": "moon"}, "no engine 'moon'"),
        ({"instance_type": 5}, "instance_type=5"),
        ({"wiht": 1}, "wiht=1: there is no such parameter; it takes x, by"),
        ({"max_worker": 3}, "max_worker=3 is neither an option nor a parameter of scaled.*\n.*mean 'max_workers'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_argument_of_submit_that_is_none_is_refused_before_anything_starts(asked, says):
    with pytest.raises((fanfold.InputError, fanfold.ConfigurationError), match=says):
        fanfold.submit(scaled, [1], **asked)
    assert fanfold.get_jobs() == []


@pytest.mark.parametrize("value", ["false", "no", 0, None])
@pytest.mark.parametrize(
    "name", ["debug_mode", "collect", "cache", "ignore_exceptions", "flatten", "drop_index", "plan", "progress"]
)
def test_a_yes_or_no_that_is_neither_is_refused_before_anything_starts(name, value):
    if name == "progress" and value is None:  # which is a choice of its own
        return
    with pytest.raises(fanfold.InputError, match=f"{name}={value!r} is neither True nor False"):
        fanfold.submit(scaled, [1, 2], **{name: value})
    assert fanfold.get_jobs() == []


@pytest.mark.parametrize("name", ["cache", "progress"])
def test_so_it_is_by_run(name):
    with pytest.raises(fanfold.InputError, match=f"{name}='no' is neither True nor False"):
        fanfold.run(scaled, x=1, **{name: "no"})
    assert fanfold.get_jobs() == []


def test_a_comparison_of_numpy_s_is_a_yes_or_no():
    yes, no = np.float64(1) == 1, np.float64(1) == 2
    job = fanfold.submit(scaled, [1], cache=no, collect=no, plan=no)
    assert job.results(return_exceptions=yes) == [2]
    assert fanfold.submit(scaled, [1], collect=no, cache=yes).wait().counts() == {"succeeded": 1}


def test_retry_on_names_errors_worth_another_try(tmp_path):
    @fanfold.udf(retry_on=(OSError,))
    def flaky(x: int, flag: str):
        import pathlib

        if not pathlib.Path(flag).exists():
            pathlib.Path(flag).touch()
            raise ConnectionError("not now")
        return x

    assert fanfold.run(flaky, x=1, flag=str(tmp_path / "flag")) == 1


def test_pickle_is_an_explicit_choice():
    def odd(x: int):
        import io

        return io.BytesIO(b"a" * x)

    with pytest.raises(fanfold.RunFailed, match="BytesIO"):
        fanfold.run(odd, x=3)
    assert fanfold.run(fanfold.udf(odd, serializer="pickle"), x=3).read() == b"aaa"


def test_a_pickled_result_never_reaches_a_job_that_does_not_unpickle():
    def plain(x: int):
        return {"x": x}

    fanfold.run(fanfold.udf(plain, serializer="pickle"), x=1)
    assert fanfold.run(plain, x=1) == {"x": 1}
    assert fanfold.get_jobs(limit=1)[0].counts() == {"succeeded": 1}


def test_an_alias_says_what_serves_it_here_and_on_aws(capsys):
    fanfold.run(scaled, x=1, instance_type="t3.large")
    assert capsys.readouterr().err == (
        "fanfold: t3.large is served by this machine; on AWS by m5.large (2 vCPU, 8 GiB).\n"
    )


def test_the_realtime_path_says_nothing(capsys):
    fanfold.run(scaled, x=1, instance_type="realtime")
    assert capsys.readouterr().err == ""


def _difference(a, b):
    return a - b


def test_a_partial_is_a_udf_like_any_function():
    assert fanfold.run(functools.partial(_difference, 7), b=3, cache=False) == 4


SPAWNING = """
import fanfold

START = 10

class Point:
    def __init__(self, x):
        self.x = x

def moved(point):
    return Point(point.x + START)

@fanfold.udf
def spread(n: int, method: str):
    import multiprocessing
    with multiprocessing.get_context(method).Pool(2) as processes:
        return [point.x for point in processes.map(moved, map(Point, range(n)))]

print([fanfold.run(spread, n=2, method=method) for method in ("fork", "spawn", "forkserver")])
"""


def test_a_script_s_udf_may_spawn_processes_of_its_own(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SPAWNING)
    done = subprocess.run([sys.executable, str(script)], timeout=120, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[[10, 11], [10, 11], [10, 11]]\n", "")


class OwnError(ValueError):
    def __init__(self, code, detail):
        super().__init__(f"{code}: {detail}")
        self.detail = detail


@fanfold.udf
def raises(x: int):
    raise OwnError(x, [1, 2]) from KeyError("first")


def test_a_failed_run_s_cause_is_the_exception_that_the_udf_raised():
    with pytest.raises(fanfold.RunFailed) as failed:
        fanfold.run(raises, x=7)
    cause = failed.value.__cause__
    assert (type(cause), str(cause), cause.detail) == (OwnError, "7: [1, 2]", [1, 2])
    assert repr(cause.__cause__) == "KeyError('first')"


def test_arguments_by_position_alone_and_any_number_of_them_arrive():
    def taken(a, /, b=2, *rest, k=0, **more):
        return a, b, rest, k, more

    def logged(function):
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner

    inputs = [1, {"a": 1, "rest": [5, 6]}, {"a": 1, "b": 3, "k": 4, "z": 9}]
    job = fanfold.submit(taken, inputs, collect=False)
    assert job.results() == [(1, 2, (), 0, {}), (1, 2, (5, 6), 0, {}), (1, 3, (), 4, {"z": 9})]
    assert fanfold.udf(taken)(1, 2, 3) == (1, 2, (3,), 0, {})
    assert fanfold.submit(logged(taken), [7, {"args": [7, 8]}], collect=False).results()[1] == (7, 8, (), 0, {})


def test_a_udf_of_a_deployments_image_and_machine_is_tried_out_here(capsys):
    """Nothing has to be connected, and nothing in the file to be changed."""

    @fanfold.udf(image="gpu", instance_type="gpu")
    def embedded(x: int):
        return x + 1

    assert fanfold.submit(embedded, [1, 2], collect=False).results() == [2, 3]
    assert "the image gpu is a deployment's; here runs have this machine's packages" in capsys.readouterr().err


def test_a_single_run_takes_arguments_by_place_as_well():
    assert fanfold.run(scaled, 3) == scaled(3)
    assert fanfold.run(scaled, 3, by=5) == fanfold.run(scaled, 3, 5) == fanfold.run(scaled, x=3, by=5)
    assert asyncio.run(fanfold.run_async(scaled, 3, cache=False)) == scaled(3)
    assert fanfold.run(lambda *values, **more: (values, more), x=1) == ((), {"x": 1})
    for wrong in (lambda: fanfold.run(scaled, 1, 2, 3), lambda: fanfold.run(scaled, 1, x=2)):
        with pytest.raises(fanfold.InputError, match=r"it is called as `scaled\(x: int, by: int = 2\)`"):
            wrong()


def test_a_job_among_arguments_is_refused_by_what_to_write():
    job = fanfold.submit(scaled, [1, 2], collect=False)
    for give in (lambda: fanfold.run(scaled, x=job), lambda: fanfold.submit(lambda parts: parts, [[job]])):
        with pytest.raises(fanfold.InputError, match=r"; pass its results: `list\(job\)`.*`job.grouped\(\)`"):
            give()
    assert fanfold.submit(sum, job.grouped()).result.to_list() == [6]
