"""What people who come from another tool are told to write works as it stands there: each cell of the right column."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import joblib
import pytest

import fanfold

PAGE = (Path(__file__).parents[2] / "docs" / "coming-from.md").read_text(encoding="utf-8")
#: Of a row, the code on the right. What is no code of Python's (a command, a part of a call) is not run.
CELLS = sorted({code for row in re.findall(r"^\|.*\|(.*)\|$", PAGE, re.M) for code in re.findall(r"`([^`]+)`", row)})


def f(x, y=1):
    return x * 10 + y


def g(values):
    return sum(values)


def statement(cell):
    """A cell as a program; None for what is none."""
    text = f"{cell}\ndef decorated(x):\n    return x" if cell.startswith("@") else cell
    text = text.replace("@udf", "@fanfold.udf").replace("setup=f", "setup=None").replace("...", "")
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    runs = (ast.Call, ast.Import, ast.FunctionDef)
    return compile(tree, cell, "exec") if any(isinstance(node, runs) for node in ast.walk(tree)) else None


PROGRAMS = {
    cell: program for cell in CELLS if (program := statement(cell)) and "secret" not in cell and "=f(" not in cell
}


def test_most_cells_are_programs():
    assert len(PROGRAMS) >= 20


@pytest.mark.parametrize("cell", PROGRAMS)
def test_what_stands_there_works(cell):
    xs, pairs, x = [1, 2], [(1, 2), (3, 4)], 3
    udf = fanfold.udf(f)
    job = fanfold.submit(f, xs, collect=False)
    names = {"fanfold": fanfold, "f": udf, "g": g, "xs": xs, "pairs": pairs, "x": x, "job": job}
    names |= {"parallel_config": joblib.parallel_config, "udf": fanfold.udf}
    exec("import fanfold.joblib_backend", names)
    with joblib.parallel_config(backend="threading"):  # which puts back what a row configures
        exec(PROGRAMS[cell], names)
    job.wait()
