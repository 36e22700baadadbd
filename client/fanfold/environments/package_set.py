"""What came of the packages that a UDF asks for."""

from __future__ import annotations

from fanfold.contract.records import NamedTuple
from fanfold.environments.lock import Lock
from fanfold.errors import InputError

_MB = 1_000_000
_MIB = 1 << 20
#: From here on it is worth a word.
_WARN_BYTES = 100 * _MB
#: What a set takes, however small, and each 100 MB of wheels.
_STARTS_S, _S_PER_100_MB = 0.2, 3.0


class PackageSet(NamedTuple):
    """What a UDF brings along: the lock, its modules, and what stands for it in cache keys."""

    lock: Lock | None = None
    modules: frozenset[str] = frozenset()
    identity: str = ""

    @property
    def lock_text(self) -> str:
        """The lock as its bundle carries it; empty for none."""
        return "" if self.lock is None else self.lock.to_text()

    @property
    def making_s(self) -> float:
        """Seconds that a cold worker is likely to take to fetch and unpack it; 0 for none."""
        return 0.0 if self.lock is None else making_s(self.lock)

    def check_room(self, room_mib: int | None, setting: str) -> None:
        """Raises `InputError` where the packages do not fit the disk that a run has; `setting` gives it more."""
        if self.lock is None or room_mib is None:
            return
        needed_mib = (self.lock.unpacked + self.lock.size) / _MIB
        if needed_mib > room_mib:
            raise InputError(
                f"packages: unpacking {largest(self.lock)} takes {needed_mib:,.0f} MiB; a run there has"
                f" {room_mib:,} MiB of disk.",
                next_step=smaller(self.lock) or f"ask for fewer packages, or deploy with more disk ({setting}).",
            )


def making_s(lock: Lock) -> float:
    """Seconds that a cold worker is likely to take for it, by what `make bench` has measured of wheels."""
    return _STARTS_S + _S_PER_100_MB * lock.size / (100 * _MB)


def size_warning(lock: Lock) -> str:
    """A word on what is so large that each cold worker takes seconds for it; empty for what is not."""
    if lock.size <= _WARN_BYTES:
        return ""
    more = smaller(lock)
    return (
        f"the packages are {lock.size / _MB:,.0f} MB to fetch for each cold worker, some {making_s(lock):.0f} s:"
        f" {largest(lock)}.{f' {more}' if more else ''}"
    )


def largest(lock: Lock) -> str:
    """The largest wheels, with their sizes."""
    by_size = sorted(lock.wheels, key=lambda wheel: -wheel.size)[:3]
    return ", ".join(f"{one.name} {one.version} ({one.size / _MB:,.1f} MB)" for one in by_size)


def smaller(lock: Lock) -> str:
    """What makes less of it, where that is known; else nothing."""
    names = {one.name for one in lock.wheels}
    if "torch" in names and any(name.startswith("nvidia-") for name in names):
        return (
            "of torch there is a CPU build, without nvidia's packages: give its index by PIP_EXTRA_INDEX_URL,"
            ' and ask for "torch==VERSION+cpu".'
        )
    return ""
