"""How commands print: tables for people, JSON for programs, both on stdout; all else goes to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import typer

#: Where nobody looks (a pipe, a file) nothing is cut, whatever width a terminal would have.
_UNCUT = 10_000

_STYLES = {
    "Completed": "green",
    "succeeded": "green",
    "cached": "green",
    "Running": "blue",
    "running": "blue",
    "Failed": "red",
    "failed": "red",
    "timed out": "red",
    "out of memory": "red",
    "lost": "red",
}


class Column(NamedTuple):
    """A table's column; a `flexible` one is cut where the terminal is too narrow for all."""

    title: str
    right: bool = False
    flexible: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under one another, aligned, coloured where there is a terminal and NO_COLOR does not forbid it."""
    print_text(table_text(columns, rows))


def table_text(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """The table that `print_table` prints."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        justify, overflow = "right" if column.right else "left", "ellipsis" if column.flexible else "fold"
        table.add_column(
            column.title,
            justify=justify,  # type: ignore[arg-type]
            overflow=overflow,  # type: ignore[arg-type]
            no_wrap=True,
            min_width=6 if column.flexible else None,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console = Console(width=_width(), highlight=False)
    # Captured, for rich itself would end the process when a pipe is closed early.
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def print_json(document: Any) -> None:
    """Print one JSON document, readable; values that JSON has no form for stand there as text."""
    print_text(json.dumps(document, indent=2, default=str))


def print_json_line(document: Mapping[str, Any]) -> None:
    """Print one line of JSON, at once."""
    print_text(json.dumps(document, default=str))


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text as it is: what runs have printed keeps its colours in a pipe."""
    sys.stdout.write(f"{text}{end}")
    sys.stdout.flush()  # now, where a closed pipe can be caught, not when the interpreter ends


def note(text: str) -> None:
    """Say something beside the output, on stderr."""
    typer.echo(text, err=True)


def _width() -> int | None:
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _UNCUT
