"""The errors' tree is drawn at the top of its file, and the drawing is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fanfold
from fanfold import errors

LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+) *(?P<about>.*)$")


def drawn() -> dict[str, str]:
    """Each class in the drawing, with the class it hangs on."""
    assert errors.__doc__ is not None
    parents, stack = {}, []
    for line in errors.__doc__.splitlines():
        found = LINE.match(line)
        if found is None or not (found["branch"] or found["name"] == "FanfoldError"):
            continue
        depth = len(found["branch"]) // 4
        del stack[depth:]
        parents[found["name"]] = stack[-1] if stack else ""
        stack.append(found["name"])
        assert depth == 0 or found["about"], f"{found['name']} is drawn without a word about it"
    return parents


def defined() -> dict[str, type]:
    own = ((name, value) for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__)
    return {name: value for name, value in own if isinstance(value, type)}


def test_every_class_is_drawn_where_it_hangs():
    assert {name: kind.__bases__[0].__name__ for name, kind in defined().items() if name != "FanfoldError"} == {
        name: parent for name, parent in drawn().items() if parent
    }


@pytest.mark.parametrize("name", sorted(defined()))
def test_every_error_is_reachable_from_the_package(name):
    assert getattr(fanfold, name) is defined()[name]
    assert issubclass(defined()[name], fanfold.FanfoldError)


@pytest.mark.parametrize(
    ("error", "also"),
    [
        ("InputError", ValueError),
        ("CodecError", TypeError),
        ("WaitTimeout", TimeoutError),
        ("MissingPackage", ImportError),
    ],
)
def test_some_are_the_errors_that_python_s_own_code_expects(error, also):
    assert issubclass(getattr(fanfold, error), also)


def test_an_error_says_the_next_step():
    assert str(fanfold.StoreError("It broke.", next_step="fix it")) == "It broke.\n  Next: fix it"


def test_a_failed_run_carries_where_it_was():
    error = fanfold.RunFailed("It failed.", job_id="j", index=3, input={"x": 1}, error_type="ValueError")
    assert (error.job_id, error.index, error.input, error.error_type) == ("j", 3, {"x": 1}, "ValueError")


def test_every_next_step_begins_as_the_others_do():
    steps = re.compile(r"""next_step=\(?f?["'][A-Z][a-z]+ """)
    client = Path(fanfold.__file__).parent
    assert [path for path in client.rglob("*.py") if steps.search(path.read_text(encoding="utf-8"))] == []
