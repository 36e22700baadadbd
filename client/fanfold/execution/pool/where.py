"""Asking a worker of this machine, from any process of its user, where its run stands now."""

from __future__ import annotations

from pathlib import Path

from fanfold.errors import InputError
from fanfold.execution.pool.process import ask_for_stack, users_part, where_signal_is

_WAIT_S = 1.0
_STACK_BYTES = 200_000


def ask_where(pid: int, started_at: float) -> str:
    """The Python stack of a worker, as far as it is the user's own code: nothing is stopped by that.

    `started_at` is when its run began (seconds since 1970). Raises `InputError` where it is no such worker (any more):
    to any process that does not catch the signal which asks it would be the end.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        trace = next((Path(file.path) for file in process.open_files() if Path(file.path).name == "trace"), None)
        is_it = trace is not None and process.create_time() <= started_at + 1.0 and "SigCgt" in where_signal_is(pid)
    except psutil.Error:
        trace, is_it = None, False
    if trace is None or not is_it:
        raise InputError(
            "The worker of this run cannot be asked.", next_step="look again: the run may have ended just now."
        )
    return users_part(_asked(pid, trace))


def _asked(pid: int, trace: Path) -> str:
    before = ask_for_stack(pid, lambda: trace.stat().st_size, wait_s=_WAIT_S, at_most_s=10.0)
    with trace.open("rb") as file:
        file.seek(before)
        return file.read(_STACK_BYTES).decode(errors="replace")
