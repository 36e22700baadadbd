"""The public calls of Fused 2.9.5 that need no service: what each gives there is what it is to give here.

The same program runs on Fused itself, as the peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import json
import os
import tempfile
from pathlib import Path

import pandas as pd
from _cases import case, end

IS_PEER = os.environ.get("SUITES_ENGINE") == "fused"
fused = importlib.import_module("fused" if IS_PEER else "fanfold")


@fused.udf
def double(x: int = 1, y: int = 2):
    return x * y


@fused.udf
def frames(val):
    import pandas as pd

    return pd.DataFrame({"val": [val, val + 1]})


@fused.udf
def fragile(x: int):
    print("x is", x)
    if x % 2 == 0:
        raise ValueError("even")
    return x


@fused.udf
def text(inputs: str):
    return inputs


@fused.udf(name="renamed", cache_max_age="1h")
def named(x: int):
    return x


@fused.udf
def nothing():
    return None


def plain(x):
    return x + 1


def run(udf, **given):
    return fused.run(udf, engine="local", **given)


def submit(udf, inputs, **options):
    return fused.submit(udf, inputs, engine="local", **options)


def pool(udf=double, inputs=(1, 2, 3), **options):
    return submit(udf, list(inputs), collect=False, **options)


def done(*given, **options):
    made = pool(*given, **options)
    made.wait()
    return made


def failed():
    return done(fragile, (1, 2, 3, 4), max_retry=0)


def rows(frame):
    return json.loads(frame.reset_index().to_json(orient="values"))


def raised(act):
    try:
        act()
    except Exception:
        return True
    return False


def printed(act):
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        act()
    return shown.getvalue()


async def gathered():
    return await asyncio.gather(*[fused.run_async(double, x=n, engine="local") for n in range(3)])


async def awaited(given):
    return await given


def calls_of_run():
    case("run", lambda: run(double), 2)
    case("run with a parameter", lambda: run(double, x=3), 6)
    case("run with parameters=", lambda: run(double, parameters={"x": 3, "y": 5}), 15)
    case("run with max_retry=", lambda: run(double, x=3, max_retry=1), 6)
    case("run with cache=False", lambda: run(double, x=3, cache=False), 6)
    case("run with cache_max_age=", lambda: run(double, x=3, cache_max_age="10s"), 6)
    case("run converts", lambda: run(double, x="3"), 6)
    case("run that raises", lambda: raised(lambda: run(fragile, x=2)), True)
    case("run of nothing", lambda: raised(lambda: fused.run(None)), True)
    case("run gives a frame", lambda: rows(run(frames, val=1)), [[0, 1], [1, 2]])
    case("run gives None", lambda: run(nothing), None)
    case("run with sync=False", lambda: asyncio.run(awaited(run(double, x=3, sync=False))), 6)
    case("run_async", lambda: list(asyncio.run(gathered())), [0, 2, 4])
    case("a call by name", lambda: double(x=4, engine="local"), 8)


def calls_of_submit():
    case("submit", lambda: [row[-1] for row in rows(submit(double, [1, 2, 3]))], [2, 4, 6])
    case("submit of a range", lambda: [row[-1] for row in rows(submit(double, range(3)))], [0, 2, 4])
    case(
        "submit of dicts",
        lambda: [r[-1] for r in rows(submit(double, [{"x": n, "y": n} for n in range(3)]))],
        [0, 1, 4],
    )
    case(
        "submit of a frame",
        lambda: [r[-1] for r in rows(submit(double, pd.DataFrame({"x": [1, 2], "y": [3, 4]})))],
        [3, 8],
    )
    case("submit with a constant", lambda: [r[-1] for r in rows(submit(double, [1, 2], y=10))], [10, 20])
    case("submit gives one frame", lambda: submit(frames, [1, 5])["val"].tolist(), [1, 2, 5, 6])
    case("submit with arg_list=", lambda: len(fused.submit(double, arg_list=[1, 2], engine="local")), 2)
    case("submit with max_workers=", lambda: len(submit(double, [1, 2], max_workers=2)), 2)
    case(
        "submit with ignore_exceptions=",
        lambda: len(submit(fragile, [1, 2, 3], ignore_exceptions=True, max_retry=0)),
        2,
    )
    case("submit that raises", lambda: raised(lambda: submit(fragile, [1, 2], max_retry=0)), True)
    case("submit with execution_type=", lambda: len(submit(double, [1, 2], execution_type="thread_pool")), 2)
    case("submit of plain functions", lambda: len(submit(plain, [{"x": 1}, {"x": 2}])), 2)
    case("submit of texts", lambda: [row[-1] for row in rows(submit(text, ["a", "b"]))], ["a", "b"])


def calls_of_pools():
    case("all_succeeded", lambda: done().all_succeeded(), True)
    case("any_failed", lambda: failed().any_failed(), True)
    case("any_succeeded", lambda: failed().any_succeeded(), True)
    case("cancelled", lambda: len(done().cancelled()), 0)
    case("collect", lambda: [row[-1] for row in rows(done().collect())], [2, 4, 6])
    case("collect with ignore_exceptions=", lambda: len(failed().collect(ignore_exceptions=True)), 2)
    case("df", lambda: [row[-1] for row in rows(done().df())], [2, 4, 6])
    case("done", lambda: done().done(), True)
    case("errors", lambda: sorted(failed().errors()), [1, 3])
    case("first_error", lambda: isinstance(failed().first_error(), Exception), True)
    case("first_error of none", lambda: done().first_error(), None)
    case("logs", lambda: len(failed().logs()), 4)
    case("results", lambda: list(done().results()), [2, 4, 6])
    case("results that raise", lambda: raised(lambda: failed().results()), True)
    case("results with return_exceptions=", lambda: len(failed().results(return_exceptions=True)), 4)
    case("results_now", lambda: list(dict(done().results_now()).values()), [2, 4, 6])
    case("times", lambda: all(each.total_seconds() >= 0 for each in done(cache=False).times()), True)
    case("total_time", lambda: done().total_time().total_seconds() >= 0, True)
    case("wait", lambda: [(made := pool()).wait(), made.all_succeeded()][1], True)
    case("tail", lambda: bool(printed(lambda: pool().tail())), True)
    case("len", lambda: len(pool()), 3)
    case("n_jobs", lambda: done().n_jobs, 3)
    case("an item's result", lambda: done()[0].result(), 2)


def calls_of_udfs():
    case("name", lambda: named.name, "renamed")
    case("map", lambda: sorted(done_map(double.map([1, 2, 3], engine="local")).results()), [2, 4, 6])
    case("map with a constant", lambda: list(done_map(double.map([1, 2], y=7, engine="local")).results()), [7, 14])
    case("code", lambda: "x * y" in double.code, True)
    case("entrypoint", lambda: double.entrypoint, "double")
    case("udf with default_parameters=", lambda: run(fused.udf(default_parameters={"x": 9})(plain)), 10)
    case("udf()", lambda: run(fused.udf()(plain), x=1), 2)
    for option in ({"instance_type": "small"}, {"headers": []}, {"engine": "local"}):
        case(f"udf({', '.join(option)})", lambda option=option: fused.udf(**option)(plain) is not None, True)


def done_map(made):
    made.wait()
    return made


def other_calls():
    seen: list[int] = []

    @fused.cache
    def kept(a):
        seen.append(a)
        return a * 2

    case("cache", lambda: [kept(1), kept(1), kept(2), len(seen) < 3], [2, 2, 4, True])
    for option in (
        {"cache_max_age": "1m"},
        {"cache_reset": True},
        {"cache_key_exclude": ["x"]},
        {"cache_storage": "local"},
    ):
        case(f"cache({', '.join(option)})", lambda option=option: fused.cache(**option)(plain)(3), 4)
    case("types.Bounds", lambda: fused.types.Bounds is not None, True)
    case("options.show.enable_tqdm", lambda: setattr(fused.options.show, "enable_tqdm", False), None)
    case("file_path", lambda: type(fused.file_path("a.txt")), str)
    case("context.in_realtime", lambda: fused.context.in_realtime(), False)
    case("context.in_batch", lambda: fused.context.in_batch(), False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "saved.py")
        file.write_text(f"import {fused.__name__} as fused\n@fused.udf\ndef udf(x: int = 1):\n    return x + 40\n")
        case("load of a file", lambda: run(fused.load(str(file)), x=2), 42)


if __name__ == "__main__":
    calls_of_run()
    calls_of_submit()
    calls_of_pools()
    calls_of_udfs()
    other_calls()
    end()
