"""Runs one program in a fresh interpreter and reads what it says about itself."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_BECOME_SUBREAPER = 36
PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class Measured:
    """What several rounds of one program took.

    Seconds as it tells them, and of the whole process; seconds of CPU of all its processes, where asked for; peak MiB.
    """

    seconds: list[float] = field(default_factory=list)
    process_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)


def rounds(commands: dict[str, list[str]], count: int, *, with_cpu: bool = False) -> dict[str, Measured]:
    """Each program `count` times, taking turns, so that whatever else the machine does meets all of them alike.

    `with_cpu`: waits until every process below this one has ended.
    """
    found = {name: Measured() for name in commands}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(count):
            for name, command in commands.items():
                before = cpu_of_children_s() if with_cpu else 0.0
                said, process_s = once(command, home)
                found[name].process_s.append(process_s)
                if with_cpu:
                    found[name].cpu_s.append(cpu_of_children_s() - before)
                if "seconds" in said:
                    found[name].seconds.append(said["seconds"])
                if "peak_mib" in said:
                    found[name].peak_mib.append(said["peak_mib"])
    return found


def once(command: list[str], home: str) -> tuple[dict[str, float], float]:
    """One program: what its last line of JSON says, and the seconds its whole process took."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        env={**_environment(), "FANFOLD_HOME": home},
        cwd=PROGRAMS,
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    lines = done.stdout.strip().splitlines()
    said = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return said, took_s


def cpu_of_children_s() -> float:
    """CPU of every process that has ended below this one: those too whose parent has gone before them (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0)
        with suppress(ChildProcessError):
            while True:
                os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ratio_of_pairs(ours: list[float], peer: list[float]) -> float:
    """The middle of what one round of ours is to the peer's that ran beside it."""
    return statistics.median(one / other for one, other in zip(ours, peer, strict=True))


def best(values: list[float]) -> float:
    """The least disturbed round."""
    return min(values)


def middle(values: list[float]) -> float:
    """The middle round."""
    return statistics.median(values)


def _environment() -> dict[str, str]:
    """As here, but with compiled modules, or each start measures the compiler; and this `python` first, for Lithops."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}
