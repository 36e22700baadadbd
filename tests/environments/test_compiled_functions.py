"""Functions that numba compiles, in an environment of their own: Fanfold's does not have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long

SCRIPT = """
import json
import os

import numba
import numpy as np

import fanfold

BY = 3


@numba.njit
def added(x, y):
    return x + y


@numba.njit
def tripled(x):
    return added(x, x) + x * (BY - 2)


@numba.vectorize(["float64(float64)"])
def halved(x):
    return x / 2


@numba.guvectorize(["(float64[:], float64[:])"], "(n)->()")
def total(values, result):
    result[0] = values.sum()


@numba.njit(parallel=True)
def summed(values):
    found = 0.0
    for n in numba.prange(values.size):
        found += values[n]
    return found


@fanfold.udf
def uses(x: int):
    known = len(added.signatures)
    rows = np.ones((2, x))
    return [tripled(x), float(halved(x)), total(rows).tolist(), summed(rows[0]), added(x, 1), os.getpid(), known]


@fanfold.udf
@numba.njit
def compiled(x):
    return x * BY


@numba.njit
def raises(x):
    raise ValueError("of no use")


if __name__ == "__main__":
    values = fanfold.submit(uses, [1, 2, 3, 4], max_workers=1, collect=False).results()
    said = {"values": [value[:5] for value in values], "pids": [v[5] for v in values], "known": [v[6] for v in values]}
    said["compiled"] = fanfold.submit(compiled, [1, 2], collect=False).results()
    with fanfold.Executor(1) as executor:
        said["called"] = [executor.submit(added, 2, 3).result(), executor.submit(tripled, 2).result()]
        made = (lambda by: numba.njit(lambda x: x * by))(7)
        said["closure"] = executor.submit(made, 6).result()
        said["as argument"] = executor.submit(lambda function, x: function(x), made, 2).result()
        said["error"] = repr(executor.submit(raises, 1).exception())
    print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """A Python with Fanfold as it is here and numba."""
    python = str(tmp_path_factory.mktemp("numba") / "bin" / "python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(Path(python).parents[1])], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", python, "--constraint", "constraints.txt"]
    done = subprocess.run([*install, "numba", "--editable", "."], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"numba cannot be installed here: {done.stderr.strip()[-300:]}")
    return python


def test_compiled_functions_run_as_they_are_and_are_compiled_once_a_worker(python, home, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    around = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [python, "-W", "ignore", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["values"] == [[3 * x, x / 2, [x, x], x, x + 1] for x in (1, 2, 3, 4)]
    assert len({*said["pids"]}) == 1
    assert said["known"][1:] == [1, 1, 1]
    assert said["compiled"] == [3, 6]
    assert said["called"] == [5, 6]
    assert (said["closure"], said["as argument"]) == (42, 14)
    assert said["error"] == "ValueError('of no use')"
