"""Measure, print the table, and write it to RESULTS.md, or RESULTS-3.14.md: `python -m benchmarks`.

`python -m benchmarks CASE ...` measures and prints some; with `--keep` their lines take the place of the older ones.
"""

import sys
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.row import Row, page

#: From 3.14 on a process pool starts interpreters where it forked before: other figures, in a table of their own.
RESULTS = Path(__file__).parent / ("RESULTS.md" if sys.version_info < (3, 14) else "RESULTS-3.14.md")
HOW = (
    "Each program runs in fresh interpreters that take turns with its\npeer's; the middle of pairs counts, or where"
    " none are told the best round of each."
)


def main() -> int:
    """0 where every target is met."""
    keeps = "--keep" in sys.argv
    asked = [name for name in sys.argv[1:] if name != "--keep"] or list(CASES)
    rows: list[Row] = []
    for name in asked:
        for row in CASES[name]():
            rows.append(row)
            print(row)
    if len(asked) == len(CASES):
        RESULTS.write_text(page("What was measured", "make bench", HOW, rows), encoding="utf-8")
    elif keeps and RESULTS.exists():
        RESULTS.write_text(_with(RESULTS.read_text(encoding="utf-8"), rows), encoding="utf-8")
    elif keeps:
        RESULTS.write_text(page("What was measured", "make bench", HOW, rows), encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


def _with(text: str, rows: list[Row]) -> str:
    """The page with these rows in the place of those of the same work, or at the table's end."""
    lines = text.rstrip("\n").split("\n")
    for row in rows:
        place = next((n for n, line in enumerate(lines) if line.startswith(f"| {row.work} |")), len(lines))
        lines[place : place + 1] = [row.to_line()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
