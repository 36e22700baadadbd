"""A first submit has its workers' interpreter come up while it still imports, with what it is to see and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux alone")

_PROGRAM = """
import json, os, sys
import fanfold, psutil

_, pipe = os.pipe()
os.set_inheritable(pipe, True)  # as a library of C leaves it

def children():
    return [child.pid for child in psutil.Process().children()]

def seen(x: int):
    of = [f"/proc/{pid}/fd" for pid in ("self", os.getppid())]
    files = [f"{each}/{fd}" for each in of for fd in os.listdir(each)]
    return os.environ.get("COLOUR"), [os.readlink(file) for file in files if os.path.lexists(file)]

try:
    fanfold.submit(seen, ["no number"])
except fanfold.InputError:
    refused = children()
if "changed" in sys.argv:
    os.environ["COLOUR"] = "red"
job = fanfold.submit(seen, [1, 2], collect=False)
colours, files = zip(*job.results())
print(json.dumps([refused, children(), colours, os.readlink(f"/proc/self/fd/{pipe}") in files[0]]))
"""


def told_by(*arguments: str, home: str) -> list:
    environment = {**os.environ, "FANFOLD_HOME": home, "COLOUR": "blue"}
    program = [sys.executable, "-c", _PROGRAM, *arguments]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_one_that_came_up_for_a_refused_submit_serves_the_next(tmp_path):
    refused, later, colours, inherits = told_by(home=str(tmp_path))
    assert len(refused) == 1
    assert later == refused
    assert colours == ["blue", "blue"]
    assert not inherits


def test_where_the_environment_is_another_by_then_it_makes_room(tmp_path):
    refused, later, colours, _ = told_by("changed", home=str(tmp_path))
    assert len(later) == 1
    assert later != refused
    assert colours == ["red", "red"]
