"""The memory and CPU time one call took, measured from inside the worker for the price of a few microseconds.

Imported by workers: cheap standard library only.
"""

import os
import resource
import sys
import time
from contextlib import suppress

_MIB = 1024 * 1024
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / _MIB
#: Below this a call is over before a reading of the kernel's high-water mark (some 20 µs) pays.
_SHORT_S = 0.005
#: Below this, before any reading does: what so short a call can take shows in one of the next.
_INSTANT_S, _INSTANT_CALLS = 0.001, 64
#: From here on the pool has looked at the call while it ran (`pool.limits`).
_LOOKED_AT_S = 0.2


class CpuTime:
    """CPU seconds of this process, and of the children it has waited for."""

    def __init__(self) -> None:
        self._own_s = time.process_time()
        self._children_s = 0.0
        self._unread = 0

    def since_last(self, duration_s: float) -> float:
        """CPU seconds since the last call of this, for a call that took `duration_s`."""
        if duration_s < _INSTANT_S and self._unread < _INSTANT_CALLS:  # it will have done nothing but compute
            self._unread += 1
            self._own_s += duration_s
            return duration_s
        self._unread = 0
        before, self._own_s = self._own_s, time.process_time()
        if duration_s < _SHORT_S:  # children are counted in hundredths of a second
            return max(0.0, self._own_s - before)
        times, children_before = os.times(), self._children_s
        self._children_s = times.children_user + times.children_system
        return max(0.0, self._own_s - before) + self._children_s - children_before


class PeakMemory:
    """Peak memory between `restart` and `peak_mib`: what the kernel cannot take back, so no pages of mapped files.

    Linux keeps a high-water mark that can be reset, in which mapped files count as well: it serves for calls that are
    too short for the pool to look at while they run. Elsewhere the peak of the whole process so far must do.
    """

    def __init__(self) -> None:
        self._linux = sys.platform == "linux"
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if self._linux else -1
        self._files = 0.0
        self._start = self._last = self._now()
        self._mark_is_high = True
        self._unread = 0

    def restart(self) -> None:
        """Begin a new call."""
        if self._linux and self._mark_is_high:
            self._mark_is_high = False
            with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")  # 5: reset the peak resident set size, see proc(5)
        self._start = self._last

    def peak_mib(self, duration_s: float) -> float:
        """MiB at the peak since `restart`, for a call that took `duration_s`."""
        if duration_s < _INSTANT_S and self._unread < _INSTANT_CALLS:
            self._unread += 1
            return self._last
        self._unread = 0
        now = self._last = self._now()
        if not self._linux or duration_s < _SHORT_S:
            return now
        peak = _high_water_mark_mib() - self._files
        self._mark_is_high = peak > now + 1
        return max(peak, now) if duration_s < _LOOKED_AT_S else now

    def left_mib(self) -> float:
        """MiB that the call has left behind."""
        return self._last - self._start

    def _now(self) -> float:
        if not self._linux:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB  # macOS counts bytes
        try:
            resident, files = os.pread(self._statm, 64, 0).split()[1:3]
        except OSError:  # the run has closed it
            return 0.0
        self._files = int(files) * _PAGE_MIB
        return int(resident) * _PAGE_MIB - self._files


def _high_water_mark_mib() -> float:
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
