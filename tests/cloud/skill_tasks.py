"""Thirty tasks that a person gives a coding agent, each solved with nothing but what `docs/skill.md` teaches.

Each is a function that says in its docstring what was asked, and that fails where that was not done.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fanfold

TASKS = []
FILE = """
import fanfold


@fanfold.udf
def scaled(x: int, by: int = 2):
    print("scaling", x)
    if x < 0:
        raise ValueError("negative")
    return {"x": x, "y": x * by}
"""


def task(solved: Any) -> Any:
    TASKS.append(solved)
    return solved


def shell(*words: str, ends: int = 0) -> Any:
    """What a command prints, as JSON where it is."""
    done = subprocess.run(
        [sys.executable, "-m", "fanfold", *words], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == ends, done.stdout + done.stderr
    return json.loads(done.stdout) if "--json" in words and "--watch" not in words else done.stdout


@fanfold.udf
def scaled(x: int, by: int = 2):
    print("scaling", x)
    if x < 0:
        raise ValueError("negative")
    return {"x": x, "y": x * by}


@task
def square_a_thousand_numbers() -> None:
    """Here is a loop that squares the numbers to 100; run it in parallel and give me the sum."""
    frame = fanfold.submit(lambda x: x * x, range(100))
    assert frame["result"].sum() == sum(x * x for x in range(100))


@task
def one_call_with_its_value() -> None:
    """Just call it once in the cloud with x=3 and tell me what comes out."""
    assert fanfold.run(scaled, x=3) == {"x": 3, "y": 6}


@task
def all_pairs_of_two_lists() -> None:
    """Try every learning rate with every depth."""

    def score(rate, depth):
        return rate * depth

    pairs = [(rate, depth) for rate in (1, 2) for depth in (3, 4)]
    assert fanfold.submit(score, pairs)["result"].to_list() == [3, 4, 6, 8]


@task
def rows_of_a_frame_with_a_constant() -> None:
    """Apply it to each row of my frame, with by=10."""
    assert fanfold.submit(scaled, pd.DataFrame({"x": [1, 2]}), by=10)["y"].to_list() == [10, 20]


@task
def try_one_input_first() -> None:
    """Check that it works on the first input before you run them all."""
    assert fanfold.submit(scaled, range(50), debug_mode=True) == {"x": 0, "y": 0}
    first = fanfold.submit(scaled, range(50)[:5], collect=False)
    first.wait()
    job = fanfold.submit(scaled, range(50), collect=False)
    job.wait()
    assert job.counts()["cached"] == 5


@task
def say_what_it_costs() -> None:
    """What would this cost? Do not start it when it is more than a tenth of a cent."""
    assert "realtime" in str(fanfold.submit(scaled, range(1000), plan=True))
    with pytest.raises(fanfold.InputError, match="budget_usd"):
        fanfold.submit(scaled, range(100_000), budget_usd=0.001)


@task
def find_out_why_it_failed_and_leave_it_out() -> None:
    """Some inputs are bad. Which, and why? Give me the rest."""
    job = fanfold.submit(scaled, [1, -1, 2], collect=False)
    job.wait()
    assert list(job.errors()) == [1]
    assert "ValueError: negative" in str(job.first_error())
    assert fanfold.submit(scaled, [1, -1, 2], ignore_exceptions=True)["x"].to_list() == [1, 2]


@task
def fix_the_code_and_run_what_failed() -> None:
    """Fix the function, and run only what failed again."""
    job = fanfold.submit(scaled, [1, -1, 2], collect=False)
    job.wait()

    @fanfold.udf
    def fixed(x: int, by: int = 2):
        return {"x": x, "y": abs(x) * by}

    again = job.retry(udf=fixed)
    again.wait()
    assert [each["y"] for each in again.results()] == [2, 2, 4]


@task
def compute_it_afresh() -> None:
    """The data behind it has changed. Run it again, really."""

    @fanfold.udf
    def drawn(x: int):
        return float(np.random.default_rng().random())

    old = fanfold.submit(drawn, [1])["result"][1]
    assert fanfold.submit(drawn, [1])["result"][1] == old
    new = fanfold.submit(drawn, [1], cache_max_age=0)["result"][1]
    assert new != old
    assert fanfold.submit(drawn, [1])["result"][1] == new


@task
def a_big_machine() -> None:
    """This one needs a lot of memory; run it on a machine."""
    job = fanfold.submit(scaled, [7], instance_type="small", collect=False)
    job.wait()
    assert job.status == "Completed"
    assert job.results() == [{"x": 7, "y": 14}]


@task
def large_results_as_files() -> None:
    """Each result is a large table; keep them as files and give me their places."""

    @fanfold.udf
    def table(x: int):
        path = fanfold.data_path(f"tables/{x}.parquet")
        pd.DataFrame({"x": [x] * 1000}).to_parquet(path)
        return path

    paths = fanfold.submit(table, [1, 2])["result"].to_list()
    assert [path.rpartition("/")[2] for path in paths] == ["1.parquet", "2.parquet"]
    assert "1.parquet" in shell("ls", "tables")


@task
def tries_and_a_rate() -> None:
    """The service is flaky, and takes no more than 50 calls a second."""

    @fanfold.udf(retry=fanfold.Retry(times=3, on=(OSError,), backoff_s=(0.1, 1)), rate="50/s")
    def flaky(x: int):
        return x

    assert fanfold.submit(flaky, range(5))["result"].sum() == 10


@task
def a_model_that_is_loaded_once() -> None:
    """Loading the model takes long; do it once for each worker."""

    @functools.lru_cache
    def model():
        return 3

    @fanfold.udf
    def predicted(x: int):
        return model() * x

    assert fanfold.submit(predicted, range(4), max_workers=2)["result"].to_list() == [0, 3, 6, 9]


@task
def a_second_stage() -> None:
    """Take what the first step gave, and compute the next from it."""

    def total(given):
        return given["x"] + given["y"]

    job = fanfold.submit(scaled, [1, 2], collect=False)
    assert fanfold.submit(total, job)["result"].to_list() == [3, 6]


@task
def long_work_in_steps() -> None:
    """It takes an hour in three parts; do not lose what is done."""

    @fanfold.udf
    def long(x: int):
        return fanfold.step("one", lambda y: y + 1, x) + fanfold.step("two", lambda y: y * 2, x)

    assert fanfold.run(long, x=5) == 16


@task
def a_job_in_the_background() -> None:
    """Start it, and tell me later from another process how it stands."""
    job = fanfold.submit(scaled, range(20), collect=False, tags={"project": "floods"})
    seen = fanfold.get_job(job.id)
    seen.wait()
    assert seen.status == "Completed"
    assert seen.verify()
    assert job.id in [one.id for one in fanfold.get_jobs(limit=5)]


@task
def from_the_shell_into_a_file() -> None:
    """Run it over 1, 2, 3 from the shell, and write a CSV."""
    Path("scaled.py").write_text(FILE)
    assert shell("submit", "scaled.py", "1", "2", "3", "--set", "by=5", "-o", "out.csv", "--json")["runs"] == 3
    assert pd.read_csv("out.csv")["y"].to_list() == [5, 10, 15]


@task
def watch_it_from_the_shell() -> None:
    """Start it in the shell, watch it until it ends, and show what it printed."""
    Path("scaled.py").write_text(FILE)
    started = shell("submit", "scaled.py", "--range", "20:23", "--no-wait", "--json")
    lines = shell("status", started["id"], "--watch", "--json").splitlines()
    assert json.loads(lines[-1])["status"] == "Completed"
    assert shell("errors", "-", "--json") == []
    assert "scaling 21" in shell("logs", "-")


@task
def what_is_wrong_here() -> None:
    """Is the setup in order? And what travels with this function?"""
    assert {check["verdict"] for check in shell("doctor", "--json")} <= {"ok", "warn"}
    Path("scaled.py").write_text(FILE)
    assert shell("explain", "scaled.py", "--json")["name"] == "scaled"


@task
def files_of_a_folder() -> None:
    """Count the words of each file of the folder."""
    Path("texts").mkdir()
    for number in range(3):
        Path("texts", f"{number}.txt").write_text("word " * number)

    @fanfold.udf
    def words(path):
        return len(Path(path).read_text().split())

    assert fanfold.submit(words, fanfold.files(f"{os.getcwd()}/texts/*.txt"), engine="local")["result"].to_list() == [
        0,
        1,
        2,
    ]


@task
def the_highest_of_each_year() -> None:
    """Compute it for each station and year; then give me the highest of each year."""

    def reading(station: str, year: int):
        return len(station) * year

    def highest(values: list[int], year: int):
        return year, max(values)

    inputs = [{"station": station, "year": year} for station in ("Oslo", "Berne") for year in (1, 2)]
    first = fanfold.submit(reading, inputs, engine="local", collect=False)
    assert fanfold.submit(highest, first.grouped(by="year"), engine="local", collect=False).results() == [
        (1, 5),
        (2, 10),
    ]


@task
def results_into_a_file() -> None:
    """Save all results as Parquet."""
    job = fanfold.submit(scaled, [1, 2], engine="local", collect=False)
    job.wait()
    job.collect("out.parquet")
    assert pd.read_parquet("out.parquet")["y"].to_list() == [2, 4]


@task
def a_program_that_has_a_process_pool() -> None:
    """My program uses a ProcessPoolExecutor; have it use Fanfold."""
    with fanfold.Executor(max_workers=2) as executor:
        assert list(executor.map(abs, [-1, 2])) == [1, 2]


@task
def a_program_that_has_joblib() -> None:
    """And this one uses joblib."""
    import joblib

    import fanfold.joblib_backend  # noqa: F401  it registers itself

    with joblib.parallel_config(backend="fanfold", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(abs)(x) for x in (-1, 2)) == [1, 2]


@task
def what_the_variables_were() -> None:
    """Run 1 failed. What did the variables hold?"""
    job = fanfold.submit(scaled, [1, -1], engine="local", collect=False)
    job.wait()
    assert job[1].debug(pdb=False).failing.values == {"x": "-1", "by": "2"}


@task
def why_it_was_computed_again() -> None:
    """I ran it again, and it computed everything anew. Why?"""
    earlier = fanfold.submit(scaled, [31, 32], engine="local", collect=False)
    earlier.wait()
    later = fanfold.submit(scaled, [31, 33], by=3, engine="local", collect=False)
    later.wait()
    assert "by" in str(later.explain_cache(earlier))


@task
def stop_all_that_runs() -> None:
    """Stop everything of mine that runs."""

    @fanfold.udf(instance_type="small", engine="local")
    def waits(x: int):
        import time

        time.sleep(60)

    job = fanfold.submit(waits, [1], collect=False)
    for one in [job, *fanfold.get_jobs(limit=50)]:
        if one.status in ("Queued", "Running"):
            one.cancel()
    job.wait()
    assert job.status == "Cancelled"


@task
def a_variable_for_the_runs() -> None:
    """It reads MODE from the environment; it should be prod."""

    @fanfold.udf(env={"MODE": "prod"})
    def mode(x: int):
        return os.environ["MODE"]

    assert fanfold.submit(mode, [1], engine="local")["result"].to_list() == ["prod"]


@task
def a_million_tiny_calls() -> None:
    """Each call takes a microsecond, and there are very many."""

    @fanfold.udf
    def squares(numbers: list[int]):
        return [number * number for number in numbers]

    pieces = fanfold.submit(squares, fanfold.chunks(list(range(5000)), 1000), engine="local", collect=False).results()
    assert sum(map(len, pieces)) == 5000


@task
def a_page_for_a_colleague() -> None:
    """Send me something about this job that I can open without an account."""
    job = fanfold.submit(scaled, [1, -1], engine="local", collect=False)
    job.wait()
    job.report("report.html")
    assert "negative" in Path("report.html").read_text()
