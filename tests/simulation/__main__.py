"""Carry out schedules: `python -m tests.simulation --schedules 100000`, or show one: `--seed 4711`."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "runtime"))  # as pytest has it
from tests.simulation.schedule import Outcome, rare_collections, run_schedule

_CHUNK = 250


def main() -> int:
    """The exit code: 1 where a schedule has violated anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="show this schedule")
    parser.add_argument("--calls", action="store_true", help="show each call of AWS as well")
    parser.add_argument("--schedules", type=int, default=100_000, help="how many to carry out")
    parser.add_argument("--first", type=int, default=2_000, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at once")
    asked = parser.parse_args()
    if asked.seed is not None:
        outcome = run_schedule(asked.seed, notes_calls=asked.calls)
        print(outcome)
        return bool(outcome.violations)
    return carry_out(range(asked.first, asked.first + asked.schedules), asked.processes)


def carry_out(seeds: range, at_once: int) -> int:
    """Carry out these schedules in so many processes; 1 where one has violated anything, which is printed."""
    began, wrong = time.monotonic(), 0
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    with ProcessPoolExecutor(at_once) as processes:
        for number, found in enumerate(processes.map(_carry_out, chunks), 1):
            for outcome in found:
                print(outcome)
            wrong += len(found)
            done, took_s = min(number * _CHUNK, len(seeds)), time.monotonic() - began
            sys.stderr.write(f"\r{done:,} schedules, {wrong} wrong, {took_s:.0f} s, {done / took_s:.0f} a second ")
    sys.stderr.write("\n")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    each_ms = 1000 * (used.ru_utime + used.ru_stime) / len(seeds)
    print(
        f"{len(seeds):,} schedules in {took_s:.0f} s with {at_once} processes: {len(seeds) / took_s:.0f} a second,"
        f" {each_ms:.1f} ms of CPU each; {wrong} wrong"
    )
    return int(wrong > 0)


def _carry_out(seeds: range) -> list[Outcome]:
    with rare_collections():
        return [outcome for seed in seeds if (outcome := run_schedule(seed)).violations]


if __name__ == "__main__":
    sys.exit(main())
