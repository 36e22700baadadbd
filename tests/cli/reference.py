"""Puts docs/cli.md together from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from typer.testing import CliRunner

from fanfold.cli.app import COMMANDS, GROUPS, app
from fanfold.cli.exits import MEANINGS
from fanfold.cli.records import KEYS, LISTS

INTRODUCTION = """\
# The command line

Everything that a job can do has a command. Results go to stdout, all else (progress, notes, errors) to stderr.

- A UDF is named by its file, `flights.py`, or where the file has several, `flights.py:delays`. The file is imported as
  the module it is: what stands under `if __name__ == "__main__"` does not run.
- Values are text until the UDF's annotations make something of them: `n=5` is a number for `n: int`, `tags='["a"]'` a
  list for `tags: list[str]`. An empty cell of a CSV file is empty text.
- `--json` prints JSON with the keys below; keys are only ever added. Errors are text on stderr nonetheless.
- Tables fit a terminal of 80 columns, and in a pipe no cell is cut; `NO_COLOR` is respected. `times` and `errors` show
  50 rows, and say so, unless `--limit` asks for more; `--json` has all.
- `fanfold --install-completion` has the shell complete commands, options and the ids of jobs.
- Ctrl-C cancels the job that a command has started and waits for. With `--no-wait` the job goes on by itself.

## Exit codes

| code | meaning |
| ---: | --- |
"""


def reference() -> str:
    """The whole page."""
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    sections = "".join(_section(command) for command in every_command())
    return f"{INTRODUCTION}{codes}\n## Commands\n\n```text\n{help_of('')}```\n{sections}"


def every_command() -> Iterator[str]:
    """The commands by the words that they are called with."""
    yield from COMMANDS
    yield from (f"{group} {name}" for group, (_, commands) in GROUPS.items() for name in commands)


@cache
def help_of(command: str) -> str:
    """A command's help, as it is in a terminal of 80 columns."""
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"}, prog_name="fanfold")
    assert shown.exit_code == 0, shown.output
    return shown.output


def _section(command: str) -> str:
    shown = f"\n### fanfold {command}\n\n```text\n{help_of(command)}```\n"
    if command == "mcp":  # which speaks JSON alone
        return shown
    form = {"logs": "one object a line"}.get(command, "an array of objects" if command in LISTS else "an object")
    rows = "".join(f"| `{key}` | {meaning} |\n" for key, meaning in KEYS[command].items())
    return f"{shown}\n`--json` prints {form}:\n\n| key | meaning |\n| --- | --- |\n{rows}"
