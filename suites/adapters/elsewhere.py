"""Where the suites send their calls: SUITES_ENGINE is `fanfold`, or `loky` as the peer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ENGINE = os.environ.get("SUITES_ENGINE", "fanfold")
_executors: dict[int, object] = {}


def executor(max_workers: int = 1):
    """An executor of the engine, one for each number of workers."""
    if ENGINE == "loky":
        from loky import get_reusable_executor

        return get_reusable_executor(max_workers=max_workers)
    if max_workers not in _executors:
        import fanfold

        _executors[max_workers] = fanfold.Executor(max_workers=max_workers)
    return _executors[max_workers]


def run(function, /, *args, **kwargs):
    """Call a function elsewhere; what it returns, or raises."""
    note()
    return executor().submit(function, *args, **kwargs).result()


def echo(value):
    """What comes back of a value that was sent there."""
    return run(same, value)


def same(value):
    return value


def memory_bytes():
    import psutil

    return psutil.Process().memory_info().rss


def note() -> None:
    """Leave a mark that something was sent: the runner counts the tests that do."""
    if mark := os.environ.get("SUITES_MARK"):
        Path(mark).touch()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
