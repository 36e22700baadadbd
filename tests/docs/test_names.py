"""Commands, options and methods that a message, a docstring or a page names are there: a next step can be followed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import fanfold
from fanfold.cli.app import app
from fanfold.job import Job, Run

ROOT = Path(__file__).parents[2]
_COMMANDS = re.compile(r"`(fanfold [^`]+)`|^(?:\$ |    )(fanfold [a-z].*)$", re.M)
#: Where names stand, and whose they are.
_NAMES = (
    (re.compile(r"\bjob\.(\w+)\("), {*dir(Job)}),
    (re.compile(r"\bjob\[\w+\]\.(\w+)\b"), {*dir(Run)}),
    (re.compile(r"(?<![\w./-])fanfold\.(\w+)\("), {*dir(fanfold)}),
)
_COMMAND: Any = typer.main.get_command(app)


def text_of(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return ""


def texts() -> Iterator[tuple[str, str]]:
    """Where a text stands, and the text: each of the code, and each page."""
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        yield path.name, path.read_text(encoding="utf-8")
    for path in [path for room in ("client", "runtime", "infra") for path in (ROOT / room).rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if id(node) not in within and ("fanfold" in (text := text_of(node)) or "job" in text):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text


def what_is_wrong(command: str) -> str | None:
    """Why a command's line cannot be typed like this; None where it can."""
    words, here = command.split()[1:], _COMMAND
    while words and hasattr(here, "commands"):
        if words[0].startswith("-"):
            return None
        if words[0] not in here.commands:
            return f"no command {words[0]}"
        here = here.commands[words.pop(0)]
    known = {"-h", "--help"}.union(*((*each.opts, *each.secondary_opts) for each in here.params))
    given = [found[0] for word in words if (found := re.match(r"--?[a-zA-Z][\w-]*", word))]
    return next((f"{here.name} has no {option}" for option in given if option not in known), None)


def test_whatever_a_text_names_is_there():
    wrong = []
    for place, text in texts():
        commands = [" ".join((inline or line).split()) for inline, line in _COMMANDS.findall(text)]
        wrong += [f"{place}: {line}: {why}" for line in commands if (why := what_is_wrong(line))]
        wrong += [
            f"{place}: {found}" for pattern, known in _NAMES for found in pattern.findall(text) if found not in known
        ]
    assert wrong == []


@pytest.mark.parametrize("line", ["fanfold stats -", "fanfold status - --wach", "fanfold cache empty"])
def test_what_is_not_there_is_found(line):
    assert what_is_wrong(line)
