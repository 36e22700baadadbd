"""What `packages=` adds to a cold worker, beside one that has the packages: fetch from a store here, unpack, import.

The store is a folder of this machine, so the network's part is left out.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import best
from benchmarks.row import Row
from fanfold.core.processes import python_here
from fanfold.environments.indexes import pip_indexes
from fanfold.environments.lock import Lock
from fanfold.environments.resolve import Target, resolve
from fanfold.environments.unpack import Environments
from fanfold.environments.wheels import store
from fanfold.errors import ResultDamaged

#: Sets that people ask for, and a module of each.
SETS = {
    ("humanize",): "humanize",
    ("rapidfuzz",): "rapidfuzz",
    ("networkx", "sympy"): "sympy",
    ("scikit-learn", "pandas"): "sklearn.ensemble",
}
_ROUNDS = 2
#: What the issue promises: some tenths of a second, and 3.5 s for each 100 MB.
_AT_MOST_S, _S_PER_MB = 0.5, 0.035


def cold_environments() -> Iterator[Row]:
    """A row for each set. What it needs of an index is fetched before."""
    with tempfile.TemporaryDirectory() as folder:
        for requirements, module in SETS.items():
            blobs = _FolderStore(Path(folder, "blobs"))
            target = Target(python_here(), "", {}, "this machine's Python")
            lock = store(resolve(requirements, target, pip_indexes()), target, pip_indexes(), blobs, Path(folder)).lock
            rounds = [_cold(lock, blobs, Path(folder, f"{module}-{n}"), module) for n in range(_ROUNDS)]
            yield _row(requirements, lock, best([cold for cold, _ in rounds]), best([warm for _, warm in rounds]))


def _row(requirements: tuple[str, ...], lock: Lock, cold_s: float, warm_s: float) -> Row:
    size_mb = lock.size / 1e6
    added_s, limit_s = cold_s - warm_s, _AT_MOST_S + _S_PER_MB * size_mb
    wheels = f"{len(lock.wheels)} wheels of {size_mb:.1f} MB"
    work = f"packages= {' '.join(requirements)} ({wheels}) in a cold worker: made and imported"
    return Row(
        work,
        f"{cold_s:.2f} s",
        f"an image that has them {warm_s:.2f} s",
        f"{added_s:+.2f} s",
        f"<= +{limit_s:.2f} s",
        added_s <= limit_s,
    )


def _cold(lock: Lock, blobs: "_FolderStore", folder: Path, module: str) -> tuple[float, float]:
    """Seconds until a process has imported the module: with the environment still to be made, and with it there."""
    began = time.perf_counter()
    python = Environments(folder, kept_bytes=1 << 40).interpreter(lock, blobs.get_range)
    _import(python, module)
    cold_s = time.perf_counter() - began
    began = time.perf_counter()
    _import(python, module)
    return cold_s, time.perf_counter() - began


def _import(python: str, module: str) -> None:
    subprocess.run([python, "-c", f"import {module}"], check=True)


class _FolderStore:
    """Blobs as files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def exists(self, name: str) -> bool:
        return (self._folder / name).exists()

    def get(self, name: str) -> bytes:
        if not self.exists(name):
            raise ResultDamaged(f"{name} is not there", next_step="put it")
        return (self._folder / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)

    def put_file(self, name: str, path: Path) -> None:
        path.replace(self._folder / name)

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        with (self._folder / name).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


if __name__ == "__main__":
    for row in cold_environments():
        sys.stdout.write(f"{row}\n")
