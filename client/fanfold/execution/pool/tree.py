"""A worker and all processes it has started, seen from outside: what they use, and how they end."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_MIB = 2**20
#: Seconds between looks for new children: each look reads the table of all processes, some 5 ms.
_CHILDREN_S = 0.5
#: Below this much memory together, pages that children share with their parent are not worth telling apart.
_SHARING_MATTERS_MIB = 1024


class ProcessTree:
    """Memory and CPU of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._members: list[psutil.Process] = []
        self._listed_at = 0.0
        self._cpu_before = 0.0
        self._cpu_at = 0.0
        #: CPU seconds since `restart`, as of the last look.
        self.cpu_s = 0.0
        self._cpu_base: float | None = None

    def restart(self, now: float) -> None:
        """A new call begins (`now` in time.monotonic seconds)."""
        self.cpu_s = self._cpu_before = 0.0
        self._cpu_base, self._cpu_at = None, now

    def memory_mib(self, now: float) -> float:
        """Memory that the kernel cannot take back, together; what several share counts once where it matters."""
        self._list(now)
        total = sum(held_mib(member.pid) for member in self._members)
        if len(self._members) > 1 and total > _SHARING_MATTERS_MIB:
            total = sum(_proportional_mib(member.pid) for member in self._members)
        self._count_cpu()
        return round(total, 1)

    def cpu_percent(self, now: float) -> float:
        """CPU since the last call of this, 100 for one core."""
        percent = 100 * (self.cpu_s - self._cpu_before) / max(now - self._cpu_at, 0.01)
        self._cpu_before, self._cpu_at = self.cpu_s, now
        return round(max(percent, 0.0), 1)

    def kill(self) -> None:
        """End every descendant, also those that have left the worker's session."""
        import psutil

        with suppress(psutil.Error):
            self._members = [*self._members, *psutil.Process(self._pid).children(recursive=True)]
        self.kill_seen()

    def kill_seen(self) -> None:
        """End every descendant that has been seen: once the worker is dead, no others can be found."""
        for member in self._members:
            if member.pid != self._pid:
                with suppress(_gone()):
                    member.kill()

    def _list(self, now: float) -> None:
        import psutil

        if self._members and now - self._listed_at < _CHILDREN_S:
            return
        self._listed_at = now
        try:
            head = psutil.Process(self._pid)
            self._members = [head, *head.children(recursive=True)]
        except psutil.Error:
            self._members = []

    def _count_cpu(self) -> None:
        import psutil

        total = 0.0
        for member in self._members:
            try:
                total += sum(member.cpu_times()[:2])
            except psutil.Error:
                continue
        if self._cpu_base is None:
            self._cpu_base = total
        self.cpu_s = max(self.cpu_s, total - self._cpu_base)


def _gone() -> type[Exception]:
    import psutil

    return psutil.Error


# Memory that the kernel cannot take back: anonymous and shared, as a container's limit counts it. Pages of files that
# are mapped (np.memmap, arrow, netCDF 3) are the kernel's cache, which it gives up before it ends a process.


def held_mib(pid: int) -> float:
    """MiB that a process holds; 0 where it has ended."""
    if sys.platform != "linux":
        return _resident_mib(pid)
    return _sum_mib(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:"))


def _proportional_mib(pid: int) -> float:
    """As `held_mib`, each page divided by the number of processes that share it."""
    if sys.platform != "linux":
        return _resident_mib(pid)
    rollup = f"/proc/{pid}/smaps_rollup"
    return _sum_mib(rollup, (b"Pss_Anon:", b"Pss_Shmem:")) or held_mib(pid)  # kernels before 5.8 do not tell them apart


def _sum_mib(path: str, names: tuple[bytes, ...]) -> float:
    try:
        with open(path, "rb") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith(names)) / 1024
    except OSError:
        return 0.0


def _resident_mib(pid: int) -> float:
    import psutil

    try:
        return float(psutil.Process(pid).memory_info().rss) / _MIB
    except psutil.Error:
        return 0.0
