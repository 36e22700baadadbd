"""Measure, print the table, and write it to RESULTS.md: `python -m benchmarks`.

`python -m benchmarks CASE ...` measures and prints some; with `--keep` their lines take the place of the older ones.
"""

import os
import platform
import sys
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.row import Row

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """0 where every target is met."""
    keeps = "--keep" in sys.argv
    asked = [name for name in sys.argv[1:] if name != "--keep"] or list(CASES)
    rows: list[Row] = []
    for name in asked:
        for row in CASES[name]():
            rows.append(row)
            print(f"{'ok  ' if row.met else 'MISS'} {row.work}: {row.ours} | {row.peer} | {row.ratio} | {row.target}")
    if len(asked) == len(CASES):
        RESULTS.write_text(_page(rows), encoding="utf-8")
    elif keeps:
        RESULTS.write_text(_with(RESULTS.read_text(encoding="utf-8"), rows), encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


def _page(rows: list[Row]) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    lines = [
        "# What was measured",
        "",
        f"By `make bench` on {machine}. Each program runs in fresh interpreters that take turns with its",
        "peer's; the best round of each counts.",
        "",
        "| work | here | peer | ratio | target | met |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_line, rows),
        "",
    ]
    return "\n".join(lines)


def _with(page: str, rows: list[Row]) -> str:
    """The page with these rows in the place of those of the same work, or at the table's end."""
    lines = page.rstrip("\n").split("\n")
    for row in rows:
        place = next((n for n, line in enumerate(lines) if line.startswith(f"| {row.work} |")), len(lines))
        lines[place : place + 1] = [_line(row)]
    return "\n".join([*lines, ""])


def _line(row: Row) -> str:
    met = "yes" if row.met else "**no**"
    return f"| {row.work} | {row.ours} | {row.peer} | {row.ratio} | {row.target} | {met} |"


if __name__ == "__main__":
    sys.exit(main())
