"""The programs of examples/ at full size, by Fanfold and by joblib in turn: `make bench-real [NAMES=...] [ROUNDS=1]`.

Three rounds of each by default, in processes of their own, one after the other; the middle one counts. What is
measured is the whole of a program's main, its data included. Memory is that of all its processes together, at its
highest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
#: What makes each a job of some seconds to a minute on two cores.
FULL: dict[str, dict[str, Any]] = {
    "climatology": {"years": 10, "size": 200},
    "hexagons": {"files": 100, "rows": 20_000},
    "mosaic": {"size": 2560},
    "points_in_polygons": {"points": 2_000_000, "tiles": 64},
    "simulations": {"seeds": 10_000},
    "sweep": {"rows": 5000, "rates": 8},
    "two_stages": {"weeks": 40},
    "zonal_statistics": {"count": 5000, "size": 4000},
}
ROUNDS = 3
_LOOK_S = 0.05


def by_joblib(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by joblib's worker processes."""
    import joblib

    calls = [joblib.delayed(_called)(udf.__fanfold_udf__, one, constants) for one in inputs]
    return list(joblib.Parallel(n_jobs=os.cpu_count())(calls))


def _called(function: Any, one: Any, constants: dict[str, Any]) -> Any:
    return function(**one, **constants) if isinstance(one, dict) else function(one, **constants)


def run_one(name: str, side: str) -> None:
    """One program, in this process."""
    given = dict(FULL[name], **({"fan_out": by_joblib} if side == "joblib" else {}))
    with tempfile.TemporaryDirectory() as folder:
        import_module(f"examples.{name}").main(folder, **given)


def measured(name: str, side: str) -> tuple[float, float]:
    """Seconds, and MiB at the highest."""
    with tempfile.TemporaryDirectory() as home:
        started = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.real_work", "--one", name, side]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "FANFOLD_HOME": home})
        peaks = [0.0]
        watch = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
        watch.start()
        if process.wait() != 0:
            raise SystemExit(f"{name} failed by {side}")
        return time.monotonic() - started, peaks[0]


def _watch(pid: int, peaks: list[float]) -> None:
    try:
        root = psutil.Process(pid)
        while root.is_running():
            peaks[0] = max(peaks[0], sum(map(_own_mib, [root, *root.children(recursive=True)])))
            time.sleep(_LOOK_S)
    except psutil.Error:
        return


def _own_mib(process: psutil.Process) -> float:
    """What the process shares with no other, and its part of what it does."""
    try:
        return float(process.memory_full_info().pss) / 2**20
    except psutil.Error:
        return 0.0


def main() -> None:
    """The table, or one program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which programs; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each; %(default)s by default")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "SIDE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        run_one(*asked.one)
        return
    print(f"{'':20} {'joblib':>8} {'fanfold':>8} {'ratio':>6} {'memory ratio':>13}")
    for name in asked.names or FULL:
        rounds = [(measured(name, "joblib"), measured(name, "fanfold")) for _ in range(asked.rounds)]
        peer, ours = (median(one[side][0] for one in rounds) for side in (0, 1))
        memory = median(one[1][1] / max(one[0][1], 1.0) for one in rounds)
        print(f"{name:20} {peer:7.1f}s {ours:7.1f}s {ours / peer:6.2f} {memory:13.2f}", flush=True)


if __name__ == "__main__":
    main()
