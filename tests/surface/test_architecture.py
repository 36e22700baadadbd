"""The house stays small enough to walk through."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("client/**/*.py"), *ROOT.glob("runtime/**/*.py"), *ROOT.glob("infra/*.py")]


def test_no_file_has_more_than_600_lines():
    assert [str(path.relative_to(ROOT)) for path in SOURCES if path.read_text().count("\n") > 600] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_has_more_than_40_lines(path):
    functions = (
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [f.name for f in functions if f.end_lineno - _first_line_of_body(f) > 40] == []


def _first_line_of_body(function):
    """Where its statements begin: a signature with its types and a docstring are read, not followed."""
    body = function.body[1:] if ast.get_docstring(function) and function.body[1:] else function.body
    return body[0].lineno


def test_the_top_of_the_package_has_about_a_dozen_names():
    top = [p.name for p in (ROOT / "client" / "fanfold").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    assert len(top) <= 18
