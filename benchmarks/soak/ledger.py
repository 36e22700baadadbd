"""The book of a soak: what was asked for, what came of it, and what of that nobody can explain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.soak.chaos import Chaos
from benchmarks.soak.work import digest

ROOT = Path(__file__).parents[2]
#: A client that ends by itself this often without an answer is not started again.
_FAULTS = 3
_GOOD = ("succeeded", "cached")


class Ledger:
    """Counts. `lost`, `duplicated`, `wrong` and `unexplained` have to be 0."""

    def __init__(self) -> None:
        self.jobs = self.runs = self.again = self.lost = self.duplicated = self.wrong = 0
        self.unexplained: list[str] = []
        self.took_s = 0.0

    def note(self, task: dict[str, Any], told: dict[str, Any]) -> None:
        """What a client has got, against what it had to get."""
        count = task["count"]
        expected = [digest(x) for x in range(task["first"], task["first"] + count)]
        often = Counter(told["seen"])
        self.jobs, self.runs = self.jobs + 1, self.runs + count
        self.lost += sum(1 for index in range(count) if not often[index])
        self.duplicated += sum(times - 1 for times in often.values())
        self.wrong += sum(1 for got, due in zip(told["values"], expected, strict=False) if got != due)
        self.again += sum(1 for _, attempt in told["runs"] if attempt > 0)
        bad = [status for status, _ in told["runs"] if status not in _GOOD]
        self.unexplained += [f"{told['job']}: {text}" for text in told["errors"] or bad]
        if not told["verified"] or (not told["errors"] and len(told["values"]) != count):
            self.unexplained.append(f"{told['job']} is not complete, says verify()")

    @property
    def clean(self) -> bool:
        """Whether all is as it has to be."""
        return not (self.lost or self.duplicated or self.wrong or self.unexplained)


class Client:
    """One job's client, started again whenever it is gone before it has answered."""

    def __init__(self, folder: Path, task: dict[str, Any], environment: Mapping[str, str]) -> None:
        self._folder, self.task, self._environment = folder, task, environment
        self._log = folder / f"{task['number']}.log"
        self.faults = 0
        self._start()

    def answer(self) -> dict[str, Any] | None:
        """What it has got, when it has; starts it again where it was killed."""
        code = self._process.poll()
        if code is None:
            return None
        answer = self._folder / f"{self.task['number']}.json"
        if answer.exists():
            return dict(json.loads(answer.read_text()))
        self.faults += code != -signal.SIGKILL
        if self.faults < _FAULTS:
            self._start()
        return None

    def says(self) -> str:
        """The last that it has printed."""
        return self._log.read_text(errors="replace").strip().rpartition("\n")[2][:300]

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak.client", str(self._folder), json.dumps(self.task)],
                env={**os.environ, **self._environment}, stdout=log, stderr=log, cwd=ROOT,
            )  # fmt: skip

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def carry_out(
    tasks: list[dict[str, Any]], folder: Path, environment: Mapping[str, str], chaos: Chaos | None, ends_at: float
) -> Ledger:
    """One job after the other, with `chaos` beside them, until all are done or it is time to begin no more."""
    ledger, began = Ledger(), time.monotonic()
    for task in tasks:
        if time.monotonic() > ends_at:
            break
        client = Client(folder, task, environment)
        patience_at = max(ends_at, time.monotonic()) + 300
        while (told := client.answer()) is None:
            if client.faults >= _FAULTS or time.monotonic() > patience_at:
                ledger.lost += task["count"]
                ledger.unexplained.append(f"job {task['number']} {task['options']}: {client.says() or 'no answer'}")
                client.stop()
                break
            if chaos is not None:
                chaos.strike_if_due()
            time.sleep(0.05)
        else:
            ledger.note(task, told)
        print(f"\r{ledger.runs:,} runs, {time.monotonic() - began:.0f} s ", end="", file=sys.stderr, flush=True)
    ledger.took_s = time.monotonic() - began
    print(file=sys.stderr)
    return ledger
