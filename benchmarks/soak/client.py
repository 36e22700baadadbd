"""The process of a person: submits one job of a soak, or comes back to it, waits, and writes down what it got.

It is killed like all others. A restart gives it the same command line: `FOLDER` and the task as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import fanfold
from benchmarks.soak.work import digest

#: None of what goes wrong here is the code's own fault, so no try is the last.
_TRIES = 1_000


def main() -> None:
    """Write `<number>.json` in the folder when the job is done."""
    folder, task = Path(sys.argv[1]), json.loads(sys.argv[2])
    began = time.monotonic()
    job = _job(folder / f"{task['number']}.id", task)
    seen = [run.index for run in job.as_completed()]
    done_s = time.monotonic() - began
    runs = [(run.status.value, job.state.attempt_of(run.index)) for run in job]
    errors = [f"{index}: {error}" for index, error in job.errors().items()] if job.status != "Completed" else []
    values = [] if errors else job.results()
    told = {
        "job": job.id, "seen": seen, "values": values, "runs": runs, "errors": errors, "took_s": done_s,
        "verified": bool(job.verify()),
    }  # fmt: skip
    _write(folder / f"{task['number']}.json", json.dumps(told))


def _job(id_file: Path, task: dict[str, Any]) -> fanfold.Job:
    """The job: the one that an earlier process has started where that goes on without it, else the same submit."""
    if task["goes_on"] and id_file.exists():
        return fanfold.get_job(id_file.read_text())
    first, count = task["first"], task["count"]
    inputs = range(first, first + count)
    job: fanfold.Job = fanfold.submit(digest, inputs, collect=False, max_retry=_TRIES, **task["options"])
    _write(id_file, job.id)
    return job


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.rename(path)


if __name__ == "__main__":
    main()
