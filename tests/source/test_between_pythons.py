"""What one Python captures and another makes is exactly that, or is refused by the names of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pythons
from tests.source import of_any_python

HERE = f"3.{sys.version_info.minor}"
PATHS = {HERE: sys.executable, **pythons.others()}
SCRIPT = Path(of_any_python.__file__)
#: The oldest and the newest that this machine has; those between at length.
OTHERS = sorted(pythons.others(), key=lambda version: int(version.partition(".")[2]))
OTHERS[1:-1] = [pytest.param(version, marks=pytest.mark.long) for version in OTHERS[1:-1]]
#: Refused wherever another Python wrote it, whatever it is that differs.
NEVER = {"function: code without text"}


@pytest.fixture(scope="module")
def written_by(tmp_path_factory):
    """The file of all that a Python has written, by its version; none needs an environment, nor any package."""
    folder = tmp_path_factory.mktemp("written")

    def file_of(version):
        file = folder / f"{version}.json"
        if not file.exists():
            run(PATHS[version], "write", file)
        return file

    return file_of


@pytest.fixture(scope="module", params=OTHERS)
def other(request):
    """Another Python."""
    return request.param


@pytest.fixture(scope="module")
def outcomes(other, written_by):
    """What became of all that was written, in both directions."""
    there, here = run(PATHS[other], "read", written_by(HERE)), run(PATHS[HERE], "read", written_by(other))
    return {f"{HERE} to {other}": json.loads(there), f"{other} to {HERE}": json.loads(here)}


def run(python, *arguments):
    done = subprocess.run([python, "-W", "ignore", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_made_as_something_else_and_no_error_is_anybody_elses(outcomes):
    for direction, said in outcomes.items():
        assert len(said) > 60
        assert {name: words for name, (kind, *words) in said.items() if kind == "other"} == {}, direction


@pytest.mark.parametrize("version", [HERE, *OTHERS])
def test_a_python_reads_all_that_it_has_written_itself(version, written_by):
    said = json.loads(run(PATHS[version], "read", written_by(version)))
    assert {name: words for name, words in said.items() if words != ["same"]} == {}


def test_what_both_can_say_is_the_same(outcomes, other):
    minors = {sys.version_info.minor, int(other.partition(".")[2])}
    for direction, said in outcomes.items():
        for name, case in of_any_python.FUNCTIONS.items():
            if case.first <= min(minors) and max(minors) <= case.last and name not in CHANGED:
                assert said[f"function: {name}"] == ["same"], (direction, name)


#: What the standard library's classes keep, or what Python makes of code, has changed between some of the Pythons.
CHANGED = {
    "a parser of arguments", "a parser of settings", "a parser of HTML of the user's", "an adapter of logs",
    "what shortens", "an email", "a cookie", "code without text",
}  # fmt: skip


def test_a_refused_function_names_both_pythons(outcomes, other):
    for direction, said in outcomes.items():
        refused = {name: words for name, (kind, *words) in said.items() if kind == "refused" and name[:8] == "function"}
        assert refused.keys() >= NEVER, direction
        for name, (words,) in refused.items():
            if ": Python " not in words and "The pattern" not in words:  # a text that cannot be read names its line
                assert HERE in words, (direction, name, words)
                assert other in words, (direction, name, words)
            assert "Next: " in words
