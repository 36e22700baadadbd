"""`make soak`: 20,000 runs here and 2,000 in the local cloud, killed at random; what was lost, and what it cost.

MINUTES bounds it (half of them for each), SEED draws what happens. Exits with 1 where anything is lost, duplicated,
wrong or unexplained.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.soak.chaos import Chaos, blows_here, blows_in_cloud, processes_of
from benchmarks.soak.ledger import Ledger, carry_out
from tests.cloud.cloud import LocalCloud

_HERE, _IN_CLOUD = 20_000, 2_000
#: Seconds between two blows.
_PAUSE_HERE_S, _PAUSE_CLOUD_S = (0.3, 2.0), (1.0, 6.0)
#: Of AWS's waits between tries.
_WAIT_SCALE = 0.1


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--here", type=int, default=_HERE, help="runs on this machine")
    parser.add_argument("--cloud", type=int, default=_IN_CLOUD, help="runs in the local cloud")
    asked = parser.parse_args()
    clean, columns = True, []
    with TemporaryDirectory(prefix="fanfold-soak-") as folder:
        for soak, runs in ((_soak_here, asked.here), (_soak_cloud, asked.cloud)):
            place = Path(folder) / soak.__name__
            place.mkdir()
            if runs:
                columns.append(soak(place, asked.seed, runs, asked.minutes * 30))
                clean &= columns[-1].clean
    print("\n".join(table(columns, f"make soak MINUTES={asked.minutes:g} SEED={asked.seed}")))
    return int(not clean)


def _soak_here(folder: Path, seed: int, runs: int, lasts_s: float) -> Soak:
    chance = random.Random(f"here {seed}")

    def options() -> dict[str, Any]:
        machine = chance.random() < 0.3
        return {"instance_type": "small", "n_processes_per_worker": 2} if machine else {}

    tasks = _tasks(runs, 1_000, options, goes_on=bool)
    home = {"FANFOLD_HOME": str(folder / "home"), "FANFOLD_ENGINE": "local"}
    chaos = Chaos(f"here {seed}", _PAUSE_HERE_S)
    chaos.blows = blows_here(chaos, home["FANFOLD_HOME"])
    calm = _calm(tasks, folder / "calm", {**home, "FANFOLD_HOME": str(folder / "calm-home")})
    try:
        ledger = carry_out(tasks, folder, home, chaos, time.monotonic() + lasts_s)
    finally:
        for process in processes_of("FANFOLD_HOME", home["FANFOLD_HOME"], lambda _: True):
            with suppress(psutil.Error):
                process.kill()
    return Soak("this machine", ledger, calm, chaos)


def _soak_cloud(folder: Path, seed: int, runs: int, lasts_s: float) -> Soak:
    chance = random.Random(f"cloud {seed}")

    def options() -> dict[str, Any]:
        return chance.choice(({}, {"max_workers": 20}, {"instance_type": "small", "max_workers": 2}))

    tasks = _tasks(runs, 50, options, goes_on=lambda _: True)
    with LocalCloud(folder, wait_scale=_WAIT_SCALE) as cloud:
        cloud.deploy()
        home = {**cloud.environment(), "FANFOLD_HOME": str(folder / "home"), "FANFOLD_ENGINE": "aws"}
        calm = _calm(tasks, folder / "calm", home)
        cloud.forget()
        chaos = Chaos(f"cloud {seed}", _PAUSE_CLOUD_S)
        chaos.blows = blows_in_cloud(chaos, cloud, home["FANFOLD_HOME"])
        ledger = carry_out(tasks, folder, home, chaos, time.monotonic() + lasts_s)
        return Soak("the local cloud", ledger, calm, chaos)


def _tasks(runs: int, at_once: int, options: Any, goes_on: Any) -> list[dict[str, Any]]:
    tasks = []
    for number, first in enumerate(range(0, runs, at_once)):
        given = options()
        count = min(at_once, runs - first)
        tasks.append({"number": number, "first": first, "count": count, "options": given, "goes_on": goes_on(given)})
    return tasks


def _calm(tasks: list[dict[str, Any]], folder: Path, home: dict[str, str]) -> float:
    """Seconds for a run when nothing happens: the first of each kind of job, weighted as all of them are."""
    folder.mkdir()
    kinds: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        kinds.setdefault(str(task["options"]), []).append(task)
    seconds = 0.0
    for number, alike in enumerate(kinds.values()):
        ledger = carry_out([{**alike[0], "number": number}], folder, home, None, time.monotonic() + 600)
        if not ledger.clean:
            raise SystemExit(f"nothing was killed, and it went wrong: {ledger.unexplained}")
        seconds += ledger.took_s / ledger.runs * sum(task["count"] for task in alike)
    count: int = sum(task["count"] for task in tasks)
    return seconds / count


class Soak:
    """What came of one half, as a column of the table."""

    def __init__(self, place: str, ledger: Ledger, calm_s: float, chaos: Chaos) -> None:
        """`calm_s`: seconds of a run where nothing happens."""
        self.place, self.clean, self.struck = place, ledger.clean, chaos.struck
        overhead = ledger.took_s / (ledger.runs * calm_s) - 1 if ledger.runs else 0.0
        wrong = ledger.lost, ledger.duplicated, ledger.wrong, len(ledger.unexplained)
        self.rows = {
            "runs, jobs": f"{ledger.runs:,} in {ledger.jobs}",
            "runs that were tried again": f"{ledger.again:,}",
            "**lost, duplicated in results, wrong, unexplained**": f"**{', '.join(map(str, wrong))}**",
            "time, against the same jobs undisturbed": f"{ledger.took_s:.0f} s, {overhead:+.0%}",
        }
        for text in ledger.unexplained[:20]:
            print(f"unexplained on {place}: {text}")


def table(columns: list[Soak], title: str) -> list[str]:
    """The table of `docs/durability.md`, line by line."""
    blows = sorted({what for one in columns for what, times in one.struck.items() if times})
    (first, *names), rows = list(columns[0].rows), []
    rows.append((first, [one.rows[first] for one in columns]))
    rows += [(what, [str(one.struck[what] or "") for one in columns]) for what in blows]
    rows += [(name, [one.rows[name] for one in columns]) for name in names]
    head = [(f"`{title}`", [one.place for one in columns]), ("---", ["---"] * len(columns))]
    return [f"| {' | '.join([name, *cells])} |" for name, cells in [*head, *rows]]


if __name__ == "__main__":
    sys.exit(main())
