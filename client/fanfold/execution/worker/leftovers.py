"""What goes on after a run is over: its threads and processes. A worker in which anything does performs no other run.

Imported by workers: cheap standard library only.
"""

import os
import sys
import time
from types import FrameType
from typing import Any

from fanfold.source.load import is_loaded_source

#: A resource tracker needs so long at most to remove what was left to it.
_TRACKER_S = 1.0


class Leftovers:
    """Looks for threads and child processes that were not there when this was made: after the bundle was loaded."""

    def __init__(self) -> None:
        self._threads = set(sys._current_frames())
        self._trackers = {id(tracker) for tracker in _trackers()}
        self._children = set(_children()) if _has_living_children() else set()

    def found(self) -> bool:
        """True where a child process is alive, or a thread still runs the UDF's own code.

        A library's idle thread (a connection pool, a progress monitor) is no leftover: it belongs to a module that
        stays imported, and a new process for each call would make every call pay that import again.
        """
        if _has_living_children():
            self._end_helpers()
            if _has_living_children() and set(_children()) - self._children:
                return True
        frames = sys._current_frames()
        if len(frames) <= len(self._threads):
            return False
        new = {ident: frame for ident, frame in frames.items() if ident not in self._threads}
        return any(_runs_users_code(frame) for frame in new.values()) or _will_run_users_code(self._threads)

    def _end_helpers(self) -> None:
        """End the processes that libraries keep for the next call of theirs: they have no part in the next run.

        A resource tracker then removes shared memory and semaphores that the run has left.
        """
        executors = sys.modules.get("joblib.externals.loky.reusable_executor")
        executor: Any = getattr(executors, "_executor", None)
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)
        for tracker in _trackers():
            if id(tracker) not in self._trackers and tracker._fd is not None:
                _end_tracker(tracker)


def _trackers() -> list[Any]:
    """The resource trackers that run: multiprocessing's, and loky's."""
    names = ("multiprocessing.resource_tracker", "joblib.externals.loky.backend.resource_tracker")
    found = [getattr(sys.modules.get(name), "_resource_tracker", None) for name in names]
    return [tracker for tracker in found if tracker is not None and tracker._fd is not None]


def _end_tracker(tracker: Any) -> None:
    """Close its pipe: it then removes what it was told of, and ends. The next use starts another."""
    os.close(tracker._fd)
    pid, tracker._fd, tracker._pid = tracker._pid, None, None
    deadline = time.monotonic() + _TRACKER_S
    while time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.002)


def _has_living_children() -> bool:
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if not ended:
            return True


def _children() -> list[int]:
    if os.path.exists("/proc/self/stat"):
        from fanfold.execution.worker.descendants import children_of

        return children_of(os.getpid())
    import psutil

    return [child.pid for child in psutil.Process().children()]


def _runs_users_code(frame: FrameType | None) -> bool:
    while frame is not None:
        if is_loaded_source(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def _will_run_users_code(known: "set[int]") -> bool:
    """Whether a thread waits to call the UDF's code later, such as a timer."""
    import threading

    for thread in threading.enumerate():
        if thread.ident in known:
            continue
        target = getattr(thread, "function", None) or getattr(thread, "_target", None)
        code = getattr(target, "__code__", None)
        if code is not None and is_loaded_source(code.co_filename):
            return True
    return False
