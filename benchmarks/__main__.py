"""Measure everything, print the table, and write it to RESULTS.md: `python -m benchmarks [CASE ...]`."""

import os
import platform
import sys
from pathlib import Path

from benchmarks.cases import CASES, Row

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """0 where every target is met."""
    asked = sys.argv[1:] or list(CASES)
    rows: list[Row] = []
    for name in asked:
        for row in CASES[name]():
            rows.append(row)
            print(f"{'ok  ' if row.met else 'MISS'} {row.work}: {row.ours} | {row.peer} | {row.ratio} | {row.target}")
    if len(asked) == len(CASES):
        RESULTS.write_text(_page(rows), encoding="utf-8")
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


def _line(row: Row) -> str:
    met = "yes" if row.met else "**no**"
    return f"| {row.work} | {row.ours} | {row.peer} | {row.ratio} | {row.target} | {met} |"


if __name__ == "__main__":
    sys.exit(main())
