"""What is typed at Python's own prompt, on a terminal: the plain one, and the one with colours of 3.13 and later."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest

from tests import pythons

ROOT = Path(__file__).parents[2]
HERE = "{}.{}".format(*sys.version_info)
#: What each calls the text that was typed.
FILES = {"plain": "<stdin", "with colours": "<python-input-"}


def kinds(version: str) -> list[str]:
    """The prompts that a Python has."""
    return [*FILES] if int(version.partition(".")[2]) >= 13 else ["plain"]


#: What is typed, each with what is printed then. A line of input never has what is printed.
TYPED = (
    ("import fanfold", ""),
    ("by = 2", ""),
    ("def scaled(x: int): return x * by\r", ""),
    ("print('got', fanfold.submit(scaled, [1, 2], collect=False).results())", "got [2, 4]"),
    ("by = 3", ""),
    ("print('got', fanfold.submit(scaled, [1, 2], collect=False).results())", "got [3, 6]"),
    ("def scaled(x: int): return [x, by]\r", ""),  # the same name and the same file, with another text
    ("print('got', fanfold.run(scaled, x=1))", "got [1, 3]"),
    ("class Scale:\r    def __init__(self, by): self.by = by\r\b\b\b\b", ""),
    ("made = fanfold.udf(lambda x: Scale(x * by).by)", ""),
    ("print('got', fanfold.run(made, x=5))", "got 15"),
    ("with fanfold.Executor(1) as executor: print('got', executor.submit(lambda: Scale(7)).result().by)\r", "got 7"),
    ("import enum", ""),
    ("class Size(enum.IntEnum): S = 1; __str__ = enum.Enum.__str__\r", ""),  # without a function that says where it is
    ("print('got', fanfold.run(lambda: str(Size.S)))", "got Size.S"),
    ("def fails(x: int): raise ValueError(f'{x} is of no use')\r", ""),
    ("fanfold.run(fails, x=8)", "ValueError: 8 is of no use"),
    ("print('typed in', fails.__code__.co_filename)", "typed in {file}"),
)
#: The same where Python keeps what was typed, since 3.13: settings are executed again.
SETTINGS = (
    ("import decimal", ""),
    ("decimal.getcontext().prec = 5", ""),
    ("def third(): return str(decimal.Decimal(1) / 3)\r", ""),
    ("print('got', fanfold.run(third))", "got 0.33333\r"),
    ("with fanfold.Executor(1) as executor: print('got', executor.submit(third).result())\r", "got 0.33333\r"),
    ("print('got', 'needs the same' in str(fanfold.explain(third)))", "got False"),
)


@pytest.fixture
def typed(tmp_path):
    """Types at the prompt of an interpreter; what was printed after each line."""
    children = []

    def start(python: str, kind: str, lines: tuple[tuple[str, str], ...]) -> list[str]:
        around = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        around |= {"FANFOLD_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "TERM": "xterm"}
        around |= {"PYTHONPATH": str(ROOT / "client"), "PYTHON_COLORS": "0"}
        if kind == "plain":
            around["PYTHON_BASIC_REPL"] = "1"
        child = pexpect.spawn(python, ["-q"], env=around, encoding="utf-8", dimensions=(50, 200), timeout=120)
        children.append(child)
        child.expect(r">>> ")
        said = []
        for number, (line, _) in enumerate(lines):
            child.send(f"{line}\r")
            child.send(f"print('no', 'w', {number}, sep='-')\r")
            child.expect(rf"no-w-{number}\b")
            said.append(_plain(child.before))
        return said

    yield start
    for child in children:
        child.close(force=True)


def _plain(text: str) -> str:
    """What a terminal shows of it, roughly: without what moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>()][AB0]?", "", text)


def typed_in(version: str) -> tuple[tuple[str, str], ...]:
    return (*TYPED, *SETTINGS) if int(version.partition(".")[2]) >= 13 else TYPED


def assert_printed(typed, python: str, kind: str, version: str) -> None:
    lines = typed_in(version)
    said = typed(python, kind, lines)
    wanted = [text.format(file=FILES[kind]) for _, text in lines]
    assert [(line, text) for line, text in zip(wanted, said, strict=True) if line not in text] == []


@pytest.mark.parametrize("kind", kinds(HERE))
def test_functions_and_classes_that_were_typed_run_as_they_are_now(typed, kind):
    assert_printed(typed, sys.executable, kind, HERE)


@pytest.mark.long
@pytest.mark.parametrize(("version", "kind"), [(one, kind) for one in pythons.others() for kind in kinds(one)])
def test_they_do_at_the_prompts_of_other_pythons(typed, version, kind):
    try:
        python = pythons.with_client(version)
    except pythons.NotInstallableError as error:
        pytest.skip(str(error))
    assert_printed(typed, python, kind, version)
