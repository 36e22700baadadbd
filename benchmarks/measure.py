"""Runs one program in a fresh interpreter and reads what it says about itself."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class Measured:
    """What several rounds of one program took: seconds as it tells them, of the whole process, and its peak MiB."""

    seconds: list[float] = field(default_factory=list)
    process_s: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)


def rounds(commands: dict[str, list[str]], count: int) -> dict[str, Measured]:
    """Each program `count` times, taking turns, so that whatever else the machine does meets all of them alike."""
    found = {name: Measured() for name in commands}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(count):
            for name, command in commands.items():
                said, process_s = once(command, home)
                found[name].process_s.append(process_s)
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
