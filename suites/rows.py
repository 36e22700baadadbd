"""The rows of the table: which tests, by which adapter, and what counts as holding."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suites import environment
from suites.environment import ROOT

HERE = Path(__file__).parent
ADAPTERS = HERE / "adapters"
PROGRAMS = HERE / "programs"

#: What became of each test or case: `works`, or `wrong`, `refused`, `fails` and in which words.
Outcomes = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    what: str
    goal: str
    run: Callable[..., Outcomes]
    #: What the peer is called, and its engine's name where the same row can be run on it.
    peer: str = ""
    peer_engine: str = ""
    #: In how many pieces it may be run, one call of `--part` each, where it takes long.
    parts: int = 1


def _surroundings(engine: str, home: str, **more: str) -> dict[str, str]:
    """What a suite's process finds: this folder's Fanfold, before any other, and a home of its own."""
    paths = os.pathsep.join([str(ROOT / "client"), str(ADAPTERS)])
    own = {"PYTHONPATH": paths, "FANFOLD_HOME": home, "SUITES_ENGINE": engine, "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own, **more}


def by_pytest(engine: str, target: str, *options: str, timeout_s: int = 60, **more: str) -> Outcomes:
    """Run somebody's pytest suite with an adapter as a plugin; `timeout_s` is a test's."""
    with tempfile.TemporaryDirectory(prefix="suites-") as folder:
        outcomes = Path(folder) / "outcomes.json"
        names = ["-p", "outcomes", "-p", "no:cacheprovider", "--timeout", str(timeout_s), "-q", "--no-header"]
        command = [environment.fanfold_python(), "-m", "pytest", *names, *options, target]
        around = _surroundings(engine, f"{folder}/home", SUITES_OUTCOMES=str(outcomes), **more)
        done = subprocess.run(command, env=around, cwd=folder, capture_output=True, text=True, check=False)
        said = json.loads(outcomes.read_text()) if outcomes.exists() else {}
        if not said:  # nothing that could be collected
            raise environment.NotAvailable(f"{target}: {(done.stdout + done.stderr)[-600:]}")
        return {name: _of_pytest(*each) for name, each in said.items()}


def _of_pytest(outcome: str, text: str, sent: str) -> tuple[str, str]:
    if outcome == "skipped":
        return "skipped", text
    if outcome == "passed":
        return "works", sent
    return "fails", text


def by_program(engine: str, program: Path, *arguments: str, timeout_s: int = 300, **more: str) -> Outcomes:
    """Run a program of our own whose lines `@@ ["case", "works" or ..., "words"]` are outcomes."""
    with tempfile.TemporaryDirectory(prefix="suites-") as folder:
        python = more.pop("python", "") or environment.fanfold_python()
        around = _surroundings(engine, f"{folder}/home", PYTHONWARNINGS="ignore", **more)
        command = [python, str(program), *arguments]
        output = ""
        try:
            done = subprocess.run(
                command, env=around, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout_s
            )
            output, last = done.stdout, " ".join(done.stderr[-300:].split())
        except subprocess.TimeoutExpired as error:
            output, last = (error.stdout or b"").decode(), f"no end within {timeout_s} s"
        outcomes = _read_lines(output)
        if "@end" not in outcomes:
            outcomes[f"{program.stem} to its end"] = ("fails", last)
        outcomes.pop("@end", None)
        return outcomes


def _read_lines(output: str) -> Outcomes:
    lines = [json.loads(line[3:]) for line in output.splitlines() if line.startswith("@@ ")]
    return {case: (outcome, text) for case, outcome, text in lines}


def _cloudpickle(engine: str) -> Outcomes:
    folder = environment.cloudpickle_tests()
    target = str(folder / "tests" / "cloudpickle_test.py")
    outcomes = by_pytest(engine, target, "-p", "cloudpickle_suite", SUITES_FOLDER=str(folder))
    return _that_send(outcomes)


def _that_send(outcomes: Outcomes) -> Outcomes:
    """A test that passes and sends nothing says nothing of what sends: it is counted apart."""
    return {name: ("aside", "") if said == ("works", "") else said for name, said in outcomes.items()}


def _joblib(engine: str, part: str = "") -> Outcomes:
    options = ("--pyargs", "-p", "joblib_suite", "-p", "part")
    outcomes = by_pytest(engine, "joblib.test.test_parallel", *options, timeout_s=90, SUITES_PART=part)
    return _that_send(outcomes)


def _scikit_learn(engine: str, part: str = "") -> Outcomes:
    outcomes: Outcomes = {}
    for module in ("sklearn.utils.tests.test_parallel", "sklearn.model_selection.tests.test_search"):
        options = ("--pyargs", "-p", "scikit_learn_suite", "-p", "part")
        outcomes |= by_pytest(engine, module, *options, timeout_s=120, SUITES_PART=part)
    return outcomes


def _cpython(engine: str) -> Outcomes:
    folder = environment.cpython_tests()
    return by_pytest(engine, str(ADAPTERS / "cpython_suite.py"), timeout_s=60, SUITES_FOLDER=str(folder))


def _loky(engine: str) -> Outcomes:
    folder = environment.loky_tests()
    marks = ("-o", "markers=broken_pool\nhigh_memory\ntimeout")
    return by_pytest(engine, str(ADAPTERS / "loky_suite.py"), *marks, timeout_s=60, SUITES_FOLDER=str(folder))


def _pool(engine: str) -> Outcomes:
    folder = environment.cpython_tests()
    return by_pytest(engine, str(ADAPTERS / "pool_suite.py"), timeout_s=60, SUITES_FOLDER=str(folder))


#: dill's tests of what it pickles; the others are of its looking into texts, files, sessions and itself.
_OF_DILL = (
    "abc classdef dataclasses dictviews extendpickle fglobals functions functors nested properties"
    " pycapsule recursive restricted selected threads weakref"
).split()


def _dill(engine: str) -> Outcomes:
    outcomes: Outcomes = {}
    for name in _OF_DILL:
        outcomes |= by_program(engine, ADAPTERS / "dill_suite.py", str(environment.dill_tests() / f"test_{name}.py"))
    return outcomes


def _programs(folder: str) -> Callable[[str], Outcomes]:
    def run(engine: str) -> Outcomes:
        outcomes: Outcomes = {}
        for program in sorted((PROGRAMS / folder).glob("*.py")):
            if not program.name.startswith("_"):
                said = by_program(engine, program, timeout_s=240)
                outcomes |= {f"{program.stem}: {case}": outcome for case, outcome in said.items()}
        return outcomes

    return run


def _program(name: str, timeout_s: int = 600) -> Callable[[str], Outcomes]:
    return lambda engine: by_program(engine, PROGRAMS / f"{name}.py", timeout_s=timeout_s)


#: Why a case is not as expected, where that is known.
WHY = {
    "functions: eval": "a name that stands only in a string does not travel",
    **dict.fromkeys(
        (f"cpython_suite.py::{kind}::test_cancel_futures" for kind in ("ProcessPoolShutdownTest", "ShutdownTest")),
        "on a busy machine: no worker has begun a call yet, and all are cancelled",
    ),
    "adaptive": "it asks for the class of the executors that it knows; with `ntasks=2` of its own it works",
    "cloudpickle_test.py::CloudPickleTest::test_importing_multiprocessing_does_not_impact_whichmodule": (
        "it knows other names of numpy's modules"
    ),
    **dict.fromkeys(
        (
            f"cloudpickle_test.py::CloudPickleTest::test_{name}"
            for name in ("locally_defined_class_with_type_hints", "wraps_preserves_function_annotations")
        ),
        "Python 3.14 itself has no annotations there, without any pickle",
    ),
    "cloudpickle_test.py::CloudPickleTest::test_pickle_constructs_from_module_registered_for_pickling_by_value": (
        "it expects a worker not to find a module that workers here do find"
    ),
    **dict.fromkeys(
        ("::test_auto_memmap_on_arrays_from_generator[loky]", "::test_memmapping_leaks[loky]"),
        "a large array is the worker's own, not a file that all share",
    ),
    **dict.fromkeys(
        (
            "::test_parallel_delayed_warnings",
            "::test_search_callbacks_with_partial_fit_failures",
            *(
                f"::test_searchcv_raise_warning_with_non_finite_score[{search}-specialized_params{n}-{flag}]"
                for n, search in enumerate(("GridSearchCV", "RandomizedSearchCV"))
                for flag in (False, True)
            ),
        ),
        "it looks for a warning here that a call has given in its worker",
    ),
    **dict.fromkeys(
        (
            *(f"::test_search_callbacks_receive_search_instance[search{n}]" for n in range(4)),
            "::test_multi_metric_search_forwards_metadata[GridSearchCV-param_grid]",
            "::test_multi_metric_search_forwards_metadata[RandomizedSearchCV-param_distributions]",
        ),
        "it looks here at what a call has done to an object, which was the worker's own",
    ),
    **dict.fromkeys(
        (
            *(f"test_abc: test_abc_{name}" for name in ("local", "non_local")),
            *(f"test_classdef: test_{name}" for name in ("inherit", "namedtuple")),
            "test_dataclasses: test_dataclasses",
        ),
        "it asks that a class comes back as a copy, where the very class comes back",
    ),
    "test_recursive: test_recursive_function": "it asks that a function does not bring itself along",
    "test_pycapsule: test_pycapsule": "what only C knows stays where it is: an address of this process",
    **dict.fromkeys(
        (f"test_threads: test_{name}_thread" for name in ("join", "new", "run")), "a thread goes on where it is"
    ),
    **dict.fromkeys(
        (
            "loky_suite.py::TestExecutor::test_exited_child",
            *(
                f"loky_suite.py::TestCrashes::test_{test}[{case}-BrokenProcessPool-EXIT\\\\(0\\\\)]"
                for test in ("crashes", "in_callback_submit_with_crash")
                for case in ("c_exit-args8", "id-args3", "return_instance-args12")
            ),
        ),
        "the error is the one that is asked for, in other words: it says that the process ended with that exit code",
    ),
    "pool_suite.py::PoolTest::test_traceback": "it asks for multiprocessing's own class of a remote traceback",
    "::test_grid_search_cv_splits_consistency": "it sends a generator, which nothing can pickle",
    "::test_error_capture[loky]": "it asks the backend for loky's own executor",
    "::test_nested_parallel_warnings[threading-loky-True]": (
        "now and then: it catches warnings in several threads, of which one undoes what another has set"
    ),
    **dict.fromkeys(
        (
            f"::test_multiple_generator_call_separated_gc[{one}-{other}-loky-True]"
            for one in ("generator", "generator_unordered")
            for other in ("generator", "generator_unordered")
        ),
        "with loky a loop that is dropped ends the next one, which the test expects; here it goes on",
    ),
}


def _fused(engine: str) -> Outcomes:
    python = str(environment.fused_python() if engine == "fused" else environment.fanfold_python())
    return by_program(engine, PROGRAMS / "fused_calls.py", timeout_s=300, python=python)


ROWS = [
    Row("cloudpickle", "cloudpickle's own tests", "117 of 121", _cloudpickle, "loky", "loky"),
    Row("dill", "dill's own tests of what it pickles", "as dill", _dill, "dill, in one process,", "dill"),
    Row("idioms", "idioms of data-science code", "165 of 177, 0 wrong", _programs("idioms"), "loky", "loky"),
    Row("executed", "source executed again", "all right or refused", _programs("executed"), "loky", "loky"),
    Row("sklearn-functions", "scikit-learn functions with n_jobs", "29", _program("sklearn_functions"), "loky", "loky"),
    Row("sklearn", "scikit-learn's test_parallel and test_search", "as loky", _scikit_learn, "loky", "loky", 8),
    Row("joblib", "joblib's test_parallel", "150 of 156", _joblib, "loky", "loky", 8),
    Row("loky", "loky's own tests of its executor", "all that apply", _loky, "loky", "loky"),
    Row("cpython", "CPython's concurrent.futures", "all that apply", _cpython, "ProcessPoolExecutor", "processes"),
    Row("pool", "CPython's multiprocessing.pool", "all that apply", _pool, "Pool", "processes"),
    Row(
        "science",
        "scipy, emcee, nevergrad, adaptive on the Executor",
        "all",
        _program("science"),
        "ProcessPoolExecutor",
        "processes",
    ),
    Row(
        "dask",
        "dask's collections and xarray on the Executor",
        "all",
        _program("dask_collections"),
        "ProcessPoolExecutor",
        "processes",
    ),
    Row("fused", "public calls of Fused 2.9.5 that need no service", "all", _fused, "Fused", "fused"),
]
