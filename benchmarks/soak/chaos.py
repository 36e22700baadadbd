"""What happens to a soak, at moments and to victims that a seed draws."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

#: What a request may meet (see `tests.cloud.faults`), and whose requests do.
_KINDS = ("throttle", "server error", "unavailable", "slow", "closed", "answer lost")
_SERVICES = ("dynamodb", "s3", "states", "lambda")

Blow = Callable[[], int]


class Chaos:
    """Strikes now and then. `blows`: what may be done, each with its name; it returns how many it hit."""

    def __init__(self, seed: str, pause_s: tuple[float, float]) -> None:
        self.random = random.Random(seed)
        self.struck: Counter[str] = Counter()
        self.blows: list[tuple[str, Blow]] = []
        self._pause_s = pause_s
        self._due = time.monotonic() + self.random.uniform(*pause_s)

    def strike_if_due(self) -> None:
        """One blow, where it is time for one."""
        if time.monotonic() < self._due or not self.blows:
            return
        name, blow = self.random.choice(self.blows)
        self.struck[name] += blow()
        self._due = time.monotonic() + self.random.uniform(*self._pause_s)

    def kill_one(self, processes: list[psutil.Process]) -> int:
        """Kill one of them that is still there; how many that were."""
        if not processes:
            return 0
        with suppress(psutil.Error):
            self.random.choice(sorted(processes, key=lambda one: one.pid)).send_signal(signal.SIGKILL)
            return 1
        return 0


def processes_of(variable: str, value: str, named: Callable[[list[str]], bool]) -> list[psutil.Process]:
    """Processes that have this in their environment, and a command line of that kind: no others are touched."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(variable) == value and named(process.cmdline()):
                found.append(process)
    return found


def blows_here(chaos: Chaos, home: str) -> list[tuple[str, Blow]]:
    """What may happen on this machine, to processes that use this home."""

    def client(line: list[str]) -> bool:
        return "benchmarks.soak.client" in line

    def runner(line: list[str]) -> bool:
        return any("fanfold.engines.local.runner" in word or word.endswith("runner.py") for word in line)

    def worker(line: list[str]) -> bool:
        return not client(line) and not runner(line)

    def kill(named: Callable[[list[str]], bool]) -> Blow:
        return lambda: chaos.kill_one(processes_of("FANFOLD_HOME", home, named))

    often = ("workers killed", kill(worker))
    return [*[often] * 8, ("clients killed", kill(client)), ("runners killed", kill(runner))]


def blows_in_cloud(chaos: Chaos, cloud: Any, home: str) -> list[tuple[str, Blow]]:
    """What may happen to a deployment in the local cloud, and to those who use it.

    No environment is killed as Lambda does for its memory: that is the end of a run, which nothing would bring back.
    """
    chance = chaos.random

    def refuse() -> int:
        cloud.refuse(chance.choice(_KINDS), chance.choice(_SERVICES), times=5, every=chance.randint(2, 9))
        return 5

    def limit() -> int:
        cloud.limit_concurrency(chance.choice((2, 4, None, None)))
        return 1

    def twice() -> int:
        cloud.deliver_twice(1)
        return 1

    def client(line: list[str]) -> bool:
        return "benchmarks.soak.client" in line

    return [
        ("environments crashed", cloud.crash_environments),
        ("machines lost", cloud.lose_machines),
        ("machines interrupted", cloud.interrupt_machines),
        ("requests refused", refuse),
        ("limits of concurrency", limit),
        ("emulator frozen", lambda: cloud.freeze(chance.uniform(0.5, 3.0))),
        ("executions delivered twice", twice),
        ("clients killed", lambda: chaos.kill_one(processes_of("FANFOLD_HOME", home, client))),
    ]
