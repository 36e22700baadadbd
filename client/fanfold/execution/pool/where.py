"""Asking a worker of this machine, from any process of its user, where its run stands now."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from fanfold.errors import InputError
from fanfold.execution.pool.process import users_part

_WAIT_S, _LOOK_S = 1.0, 0.01
_STACK_BYTES = 200_000


def ask_where(pid: int, started_at: float) -> str:
    """The Python stack of a worker, as far as it is the user's own code: nothing is stopped by that.

    `started_at` is when its run began (seconds since 1970). Raises `InputError` where it is no such worker (any more).
    """
    import psutil

    try:
        process = psutil.Process(pid)
        trace = next((Path(file.path) for file in process.open_files() if Path(file.path).name == "trace"), None)
        is_it = trace is not None and process.create_time() <= started_at + 1.0 and _catches(pid)
    except psutil.Error:
        trace, is_it = None, False
    if trace is None or not is_it:
        raise InputError(
            "The worker of this run cannot be asked.", next_step="look again: the run may have ended just now."
        )
    return users_part(_asked(pid, trace))


def _catches(pid: int) -> bool:
    """Whether the signal that asks would be caught: to any other process it would be the end."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1)
    return False


def _asked(pid: int, trace: Path) -> str:
    before = size = trace.stat().st_size
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR2)
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        previous, size = size, trace.stat().st_size
        if size == previous > before:
            break
    with trace.open("rb") as file:
        file.seek(before)
        return file.read(_STACK_BYTES).decode(errors="replace")
