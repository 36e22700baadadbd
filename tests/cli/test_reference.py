"""docs/cli.md says of every command what its help says; `FANFOLD_UPDATE_DOCS=1` writes it anew."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from fanfold.cli.app import COMMANDS, GROUPS, app
from tests.cli.reference import every_command, help_of, reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
EXAMPLES = {
    **{name: command.examples for name, command in COMMANDS.items()},
    **{f"{group} {name}": one.examples for group, (_, commands) in GROUPS.items() for name, one in commands.items()},
}


def test_the_page_is_what_the_commands_say():
    if os.environ.get("FANFOLD_UPDATE_DOCS"):
        PAGE.write_text(reference(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_command_stands_there_with_its_help():
    page = PAGE.read_text(encoding="utf-8")
    assert set(every_command()) == set(EXAMPLES)
    for command in every_command():
        assert help_of(command) in page


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_command_has_an_example_that_it_understands(command):
    text = help_of(command)
    for example in EXAMPLES[command]:
        assert f"  {example}\n" in text
        # What a shell would hand to the command: without `JOB=$(...)` around it or a pipe behind it.
        line = re.sub(r"^JOB=\$\((.*)\)$", r"\1", example).split(" | ")[0]
        program, *arguments = shlex.split(line)
        assert program == "fanfold"
        assert " ".join(arguments).startswith(command)
        _understand(arguments)


def _understand(arguments: list[str]) -> None:
    group = get_command(app)
    while hasattr(group, "commands"):
        name, *arguments = arguments
        group = group.commands[name]
    group.make_context(group.name, arguments)  # raises where an option or argument is not known


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_the_list_of_commands_cuts_no_sentence(group):
    assert "..." not in help_of(group).replace("[ARGS]...", "")


@pytest.mark.parametrize("command", ["", *EXAMPLES])
def test_help_fits_80_columns(command):
    assert max(map(len, help_of(command).splitlines())) <= 80
