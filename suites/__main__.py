"""`make suites`, or `make suites ROW=joblib ON=3.12`: run the suites, print the table, keep it in RESULTS.md.

    python -m suites [ROW ...] [--peers] [--part 2/8]

`--peers` runs each row on the peer as well. What was measured before stays in the table until its row is run again.
`--part` runs a part of a long row; the table has the row once all parts were run. On another Python than the table's
(`SUITES_PYTHON`) the numbers go into a table beside it, with what differs there alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from suites.environment import CACHE, OF_TABLE, PYTHON, NotAvailable
from suites.rows import ROWS, WHY, Outcomes, Row

HERE = Path(__file__).parent
#: What the table is made of: counts and differences by row and engine.
_KEPT = HERE / "results.json"
_TABLE = HERE / "RESULTS.md"


def main() -> int:
    """Run what is asked for; 1 where a row could not be run."""
    asked = _arguments()
    rows = [row for row in ROWS if not asked.rows or row.name in asked.rows]
    everything = json.loads(_KEPT.read_text()) if _KEPT.exists() else {}
    kept = everything if PYTHON == OF_TABLE else everything.setdefault("pythons", {}).setdefault(PYTHON, {})
    missed = 0
    for row in rows:
        for engine in ("fanfold", row.peer_engine if asked.peers else ""):
            if engine:
                missed += not _run(row, engine, kept, asked.part)
    _KEPT.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")
    _TABLE.write_text(_document(everything))
    print(_table(kept))
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m suites", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[[], *(row.name for row in ROWS)])
    parser.add_argument("--part", default="", metavar="N/M", help="of joblib and sklearn: one part, such as 2/8")
    parser.add_argument("--peers", action="store_true", help="run each row on its peer as well")
    return parser.parse_args()


def _run(row: Row, engine: str, kept: dict[str, dict], part: str) -> bool:
    began = time.monotonic()
    try:
        outcomes = row.run(engine, part) if part else row.run(engine)
    except NotAvailable as error:
        print(f"{row.name} was NOT RUN: {error}", flush=True)
        return False
    if part:
        outcomes, is_whole = _all_parts(row.name, engine, part, outcomes)
        if not is_whole:
            print(f"{row.name} on {engine}, part {part}: {_words(_summary(outcomes))} so far", flush=True)
            return True
    summary = _summary(outcomes)
    kept.setdefault(row.name, {})[engine] = summary
    counts = ", ".join(f"{count} {kind}" for kind, count in summary["counts"].items())
    print(f"{row.name} on {engine}: {counts}; {time.monotonic() - began:.0f} s", flush=True)
    for case, (kind, text) in summary["differences"].items():
        print(f"    {kind} {case}: {text[:200]}", flush=True)
    return True


def _all_parts(row: str, engine: str, part: str, outcomes: Outcomes) -> tuple[Outcomes, bool]:
    """What the parts that were run since the first one gave, this one included, and whether that is all of them."""
    path = CACHE / f"parts-{row}-{engine}-{PYTHON}.json"
    known = json.loads(path.read_text()) if path.exists() and not part.startswith("1/") else {}
    known[part] = outcomes
    path.write_text(json.dumps(known))
    found = {name: (said[0], said[1]) for each in known.values() for name, said in each.items()}
    return found, len(known) == int(part.partition("/")[2])


def _summary(outcomes: Outcomes) -> dict:
    applying = {case: said for case, said in outcomes.items() if said[0] not in ("skipped", "aside")}
    aside = sum(said[0] == "aside" for said in outcomes.values())
    counts = Counter(kind for kind, _ in applying.values())
    unlike = sorted((case, said) for case, said in applying.items() if said[0] != "works")
    differences = {case: [kind, _plain(text)] for case, (kind, text) in unlike}
    return {"of": len(applying), "aside": aside, "counts": dict(counts.most_common()), "differences": differences}


def _table(kept: dict[str, dict]) -> str:
    lines = ["| tests that nobody here wrote | now | peer | goal |", "| --- | --- | --- | --- |"]
    for row in ROWS:
        known = kept.get(row.name, {})
        peer = f"{row.peer} {_words(known.get(row.peer_engine))}" if row.peer else "-"
        lines.append(f"| {row.what} | {_words(known.get('fanfold'))} | {peer} | {row.goal} |")
    return "\n".join(lines)


def _words(summary: dict | None) -> str:
    if summary is None:
        return "not run"
    others = [f"{count} {kind}" for kind, count in summary["counts"].items() if kind != "works"]
    others += [f"{aside} more send nothing and pass"] if (aside := summary.get("aside")) else []
    return ", ".join([f"{summary['counts'].get('works', 0)} of {summary['of']}", *others])


def _document(kept: dict[str, dict]) -> str:
    parts = [
        f"# The suites, as they last ran\n\nMade by `make suites` on Python {OF_TABLE}; each remaining difference is"
        " named below.\n",
        _table(kept),
    ]
    for row in ROWS:
        known = kept.get(row.name, {})
        peers = known.get(row.peer_engine, {}).get("differences", {})
        lines = [
            f"- `{case}` {kind}{f' ({row.peer} as well)' if case in peers else ''}: {WHY.get(case, text)}"
            for case, (kind, text) in known.get("fanfold", {}).get("differences", {}).items()
        ]
        if lines:
            parts.append(f"\n## {row.name}\n\n" + "\n".join(lines))
    if pythons := dict(sorted(kept.get("pythons", {}).items(), key=lambda each: int(each[0].partition(".")[2]))):
        parts.append(_on_other_pythons(kept, pythons))
    return "\n".join(parts) + "\n"


def _on_other_pythons(kept: dict[str, dict], pythons: dict[str, dict]) -> str:
    """The numbers of other Pythons, and what differs there and not in the table's."""
    lines = [
        "\n## On other Pythons\n\nBy `make suites ON=3.12`: what differs there as well as above is not said again.\n"
    ]
    lines += [f"| tests that nobody here wrote | {' | '.join(pythons)} |", f"| --- |{' --- |' * len(pythons)}"]
    apart = []
    for row in ROWS:
        found = {python: known.get(row.name, {}).get("fanfold") for python, known in pythons.items()}
        if any(found.values()):
            lines.append(f"| {row.what} | {' | '.join(_words(each) for each in found.values())} |")
        known = kept.get(row.name, {}).get("fanfold", {}).get("differences", {})
        for python, summary in found.items():
            differences = (summary or {}).get("differences", {}).items()
            apart += [f"- {python}, {row.name}: `{case}` {kind}: {WHY.get(case, text)}"
                      for case, (kind, text) in differences if case not in known]  # fmt: skip
    return "\n".join([*lines, "", *apart])


def _plain(text: str) -> str:
    """One line without this machine's folders."""
    words = [word if "/" not in word else word.rpartition("/")[2] for word in text.split()]
    return " ".join(words)[:160].replace("|", "/")


if __name__ == "__main__":
    sys.exit(main())
