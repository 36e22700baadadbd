"""How commands print: tables for people, JSON for programs, both on stdout; all else goes to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import typer

from fanfold.contract.records import NamedTuple
from fanfold.core.plain_json import plain
from fanfold.errors import printable

#: Where nobody looks (a pipe, a file) nothing is cut, whatever width a terminal would have.
_UNCUT = 10_000

#: Blanks between columns; and what is left of a text that is cut, at the least.
_GAP, _LEAST = 2, 6

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


#: What a terminal may be sent of what others have written: colours, and the carriage returns of progress bars.
_KEPT = re.compile(r"(\x1b\[[0-9;]*m|\r)")


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

    cells = [[Text(printable(cell.replace("\n", " ")), style=_STYLES.get(cell, "")) for cell in row] for row in rows]
    wanted = [
        max(len(column.title), *(row[position].cell_len for row in cells), 1) for position, column in enumerate(columns)
    ]
    console = Console(width=_width(), highlight=False)
    widths = _fit_widths(columns, wanted, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        justify: Any = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, overflow="ellipsis", no_wrap=True, width=width)
    for row in cells:
        table.add_row(*row)
    console.width = max(console.width, sum(widths) + _GAP * len(widths))  # rather too wide than an id that is cut
    # Captured, for rich itself would end the process when a pipe is closed early.
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def _fit_widths(columns: Sequence[Column], wanted: Sequence[int], total: int) -> list[int]:
    """The columns' widths: each as wide as it wants, but for the flexible ones, which share what the others leave."""
    widths = list(wanted)
    flexible = sorted((wanted[position], position) for position, column in enumerate(columns) if column.flexible)
    left = total - _GAP * (len(columns) - 1) - sum(wanted) + sum(width for width, _ in flexible)
    for rank, (width, position) in enumerate(flexible):  # the narrowest first: what they leave is for the others
        widths[position] = max(min(width, left // (len(flexible) - rank)), min(width, _LEAST))
        left -= widths[position]
    return widths


def print_json(document: Any) -> None:
    """Print one JSON document, readable and whole; values that JSON has no form for stand there as text."""
    print_text(json.dumps(document, indent=2, default=plain))


def print_json_line(document: Mapping[str, Any]) -> None:
    """Print one line of JSON, at once."""
    print_text(json.dumps(document, default=plain))


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text; in a pipe as it is, on a terminal without what would steer it: colours are kept."""
    sys.stdout.write(f"{_harmless(text) if sys.stdout.isatty() else text}{end}")
    sys.stdout.flush()  # now, where a closed pipe can be caught, not when the interpreter ends


def note(text: str) -> None:
    """Say something beside the output, on stderr."""
    typer.echo(_harmless(text), err=True)


def _harmless(text: str) -> str:
    """Text in which control characters are written out, but for those of colours and of lines."""
    pieces = _KEPT.split(text)  # those at odd places are what is kept
    return "".join(piece if place % 2 else printable(piece) for place, piece in enumerate(pieces))


def _width() -> int | None:
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _UNCUT


# Times, sizes and arguments as people read them.

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
#: From here on a date says more than a count of days.
_DATED_AFTER_S = 30 * _DAY_S


def ago(at: float, now: float) -> str:
    """How long before `now` a moment was (both in seconds since 1970): just now, 3 min ago, 2 days ago, 2026-01-31."""
    passed_s = max(0.0, now - at)
    if passed_s < 5:
        return "just now"
    if passed_s < _MINUTE_S:
        return f"{passed_s:.0f} s ago" if passed_s < 59.5 else "1 min ago"
    if passed_s < _HOUR_S:
        return f"{passed_s // _MINUTE_S:.0f} min ago"
    if passed_s < _DAY_S:
        return f"{passed_s // _HOUR_S:.0f} h ago"
    if passed_s < _DATED_AFTER_S:
        days = int(passed_s // _DAY_S)
        return "1 day ago" if days == 1 else f"{days} days ago"
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%d")


def moment(at: float) -> str:
    """A moment (seconds since 1970) as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, tz=timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(count: int) -> str:
    """Bytes as people say them: 512 B, 1.5 MB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def arguments(given: Mapping[str, Any]) -> str:
    """A run's arguments on one line: day='2013-01-01', n=3."""
    from fanfold.core.shown import short

    return ", ".join(f"{name}={short(value)}" for name, value in given.items())
