"""The worker's half: an interpreter that has a lock's wheels, laid over the packages that are there already.

The environment is a venv made by hand: a link to the Python, three lines of `pyvenv.cfg`, and the wheels' files. What
is in it comes before what is below, and the standard library before both, which PYTHONPATH cannot do; a process that a
UDF starts with `sys.executable`, and multiprocessing's spawn, see the same. It appears at once, whole, by a rename: no
run begins in half of one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from fanfold.contract.records import NamedTuple
from fanfold.core.processes import Locked
from fanfold.environments.lock import Lock, Wheel
from fanfold.errors import ResultDamaged, StoreError, StoreFull

#: The bytes of a blob, by its hash, from one place up to another.
GetRange = Callable[[str, int, int], bytes]

_RANGE_BYTES = 8 << 20
_FETCHES, _UNPACKS = 16, 4
_MIB = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Parent(NamedTuple):
    """The interpreter that environments are laid over: its program, and the folders of its packages."""

    program: str
    version: str
    sites: tuple[str, ...]
    #: Whether it is a venv itself: then its packages are named one by one, else Python finds them.
    is_venv: bool


def this_parent() -> Parent:
    """This process's own interpreter."""
    import site

    program = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    version = ".".join(map(str, sys.version_info[:3]))
    sites = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return Parent(program, version, tuple(sites), sys.prefix != sys.base_prefix)


class Environments(Locked):
    """Environments below a folder, each made once; those used longest ago make room.

    `kept_bytes` is what they may take together. Several processes may share the folder: what one of them uses, by a
    lock on a file that goes with the process, none removes.
    """

    def __init__(self, folder: Path, *, kept_bytes: int, hold_all: bool = True) -> None:
        """`hold_all`: an environment is kept until this process ends; else until the next one is asked for."""
        super().__init__()
        self._folder, self._kept_bytes, self._hold_all = folder, kept_bytes, hold_all
        self._held: dict[str, int] = {}
        self._parent: Parent | None = None
        #: Seconds that the last one took to be made which was asked for; 0 where it was there.
        self.making_s = 0.0

    def interpreter(self, lock: Lock, get_range: GetRange, *, owner: str = "") -> str:
        """The program to start workers with; the environment is made where it is not there. `owner` shares with none.

        Raises `StoreFull` where the disk has no room for it, and `ResultDamaged` for wheels that are not the lock's.
        """
        self._parent = self._parent or this_parent()
        said = repr((lock.id, self._parent, owner))
        name = hashlib.sha256(said.encode()).hexdigest()[:32]
        with self.lock:
            began, self.making_s = time.monotonic(), 0.0
            was_there = (self._folder / name).exists()
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self._hold_all:
                self._let_go(name)
            try:
                self._hold(name, lambda: self._make(name, lock, get_range, self._parent or this_parent()))
            except OSError as error:
                raise _told(error, lock, self._folder) from error
            if not was_there:
                self.making_s = time.monotonic() - began
        return str(self._folder / name / "bin" / "python")

    # Who uses what

    def _hold(self, name: str, make: Callable[[], None]) -> None:
        """Have an environment, and keep others from removing it: as long as this process lives, by a shared lock.

        It is made under a lock of its own. Who would make it under this one would wait for all that have it to end.
        """
        fd = self._held.get(name, -1)
        if fd < 0:
            fd = self._held[name] = os.open(self._folder / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if not (self._folder / name).exists():
                with self._making(name):
                    if not (self._folder / name).exists():  # another may have made it meanwhile
                        make()
        except BaseException:
            os.close(self._held.pop(name))
            raise
        os.utime(fd)

    @contextmanager
    def _making(self, name: str) -> Iterator[None]:
        """One at a time, of all processes, makes that environment."""
        file = self._folder / f"{name}.making"
        fd = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # said: a child that was forked meanwhile has the file open too
            os.close(fd)

    def _let_go(self, but: str) -> None:
        for name in [name for name in self._held if name != but]:
            os.close(self._held.pop(name))

    # Making one

    def _make(self, name: str, lock: Lock, get_range: GetRange, parent: Parent) -> None:
        self._make_room(lock)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=self._folder))
        try:
            tree = _Tree(part / "tree", self._folder / name, parent)
            _fetch(lock.wheels, get_range, part)
            with ThreadPoolExecutor(_UNPACKS) as threads:
                by_size = sorted(lock.wheels, key=lambda wheel: -wheel.size)
                for _ in threads.map(lambda wheel: tree.unpack(wheel, part), by_size):
                    pass
            (part / "tree" / "bytes").write_text(str(lock.unpacked), encoding="utf-8")
            os.rename(part / "tree", self._folder / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _make_room(self, lock: Lock) -> None:
        """Remove what was used longest ago, while there is too much or the disk has no room. Raises `StoreFull`."""
        needed = lock.unpacked + lock.size
        by_use = sorted(self._others(), key=lambda found: found[0].stat().st_mtime)
        total = lock.unpacked + sum(size for _, size in by_use)
        for file, size in by_use:
            if total <= self._kept_bytes and shutil.disk_usage(self._folder).free >= needed:
                return
            total -= size if self._remove(file) else 0
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise _no_room(lock, self._folder, f"it has {free / _MIB:,.0f} MiB free")

    def _others(self) -> Iterator[tuple[Path, int]]:
        for folder in self._folder.glob(".gone-*"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in self._folder.glob("*.lock"):
            with suppress(OSError, ValueError):
                yield file, int((self._folder / file.stem / "bytes").read_text(encoding="utf-8"))

    def _remove(self, file: Path) -> bool:
        """Remove an environment that nobody uses; False where somebody does."""
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = self._folder / f".gone-{file.stem}"
            os.rename(self._folder / file.stem, gone)
            shutil.rmtree(gone, ignore_errors=True)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True


class _Tree:
    """An environment while it is made, at `root`; it is going to be at `home`."""

    def __init__(self, root: Path, home: Path, parent: Parent) -> None:
        major, minor, _ = parent.version.split(".")
        lib = root / "lib" / f"python{major}.{minor}"
        site = lib / "site-packages"
        site.mkdir(parents=True)
        (root / "bin").mkdir()
        os.symlink(parent.program, root / "bin" / "python")
        keeps = "false" if parent.is_venv else "true"
        (root / "pyvenv.cfg").write_text(
            f"home = {os.path.dirname(parent.program)}\ninclude-system-site-packages = {keeps}\n"
            f"version = {parent.version}\n",
            encoding="utf-8",
        )
        if parent.is_venv:
            named = "".join(f"import site; site.addsitedir({folder!r})\n" for folder in parent.sites)
            (site / "zzz_fanfold_parent.pth").write_text(named, encoding="utf-8")
        self._home = home
        self._places = {
            "purelib": site,
            "platlib": site,
            "scripts": root / "bin",
            "data": root,
            "headers": root / "include",
        }
        self._site = site

    def unpack(self, wheel: Wheel, folder: Path) -> None:
        """Write a wheel's files. Raises `ResultDamaged` for bytes that are not the lock's."""
        file = folder / (wheel.pack or wheel.sha256)
        if _sha256(file, wheel) != wheel.sha256:
            raise _damaged(wheel)
        try:
            with zipfile.ZipFile(_opened(file, wheel)) as archive:
                for member in archive.infolist():
                    if not member.is_dir():
                        self._write(archive, member, wheel)
        except zipfile.BadZipFile as error:
            raise _damaged(wheel) from error
        if not wheel.pack:
            file.unlink()  # what there is of it takes room that the others need

    def _write(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, wheel: Wheel) -> None:
        base, below, is_script = self._place(member.filename)
        path = Path(os.path.normpath(base / below))
        if base not in path.parents:
            raise _damaged(wheel)
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, path.open("wb") as target:
            if is_script and (first := source.readline()).startswith(b"#!python"):
                target.write(f"#!{self._home}/bin/python\n".encode())
            elif is_script:
                target.write(first)
            shutil.copyfileobj(source, target, _MIB)
        if is_script or member.external_attr >> 16 & 0o111:
            path.chmod(0o755)

    def _place(self, member: str) -> tuple[Path, str, bool]:
        """Where a member goes: the folder, the path below it, and whether it is a program."""
        top, _, rest = member.partition("/")
        kind, _, inner = rest.partition("/")
        if not top.endswith(".data") or kind not in self._places:
            return self._site, member, False
        return self._places[kind], inner, kind == "scripts"


def _fetch(wheels: Iterable[Wheel], get_range: GetRange, folder: Path) -> None:
    """Fetch the objects that hold these wheels, each as a file of its name; large ones by many ranges at a time."""
    sizes: dict[str, int] = {}
    for wheel in wheels:
        name = wheel.pack or wheel.sha256
        sizes[name] = max(sizes.get(name, 0), wheel.at + wheel.size)
    ranges = [
        (name, start, min(start + _RANGE_BYTES, size))
        for name, size in sizes.items()
        for start in range(0, size, _RANGE_BYTES)
    ]

    def fetch(part: tuple[str, int, int]) -> None:
        name, start, stop = part
        data = get_range(name, start, stop)
        fd = os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            while data:
                written = os.pwrite(fd, data, start)
                data, start = data[written:], start + written
        finally:
            os.close(fd)

    with ThreadPoolExecutor(_FETCHES) as threads:
        for _ in threads.map(fetch, ranges):
            pass


def _opened(file: Path, wheel: Wheel) -> Path | io.BytesIO:
    return io.BytesIO(_part(file, wheel)) if wheel.pack else file


def _part(file: Path, wheel: Wheel) -> bytes:
    with file.open("rb") as opened:
        opened.seek(wheel.at)
        return opened.read(wheel.size)


def _sha256(file: Path, wheel: Wheel) -> str:
    if wheel.pack:
        return hashlib.sha256(_part(file, wheel)).hexdigest()
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_MIB):
            digest.update(block)
    return digest.hexdigest()


def _damaged(wheel: Wheel) -> ResultDamaged:
    return ResultDamaged(
        f"The stored wheel {wheel.file} is damaged: its bytes are not those of the lock.",
        next_step=f"delete the object blobs/{wheel.pack or wheel.sha256} and submit again, which stores it anew.",
    )


def _told(error: OSError, lock: Lock, folder: Path) -> StoreError:
    if error.errno in _NO_ROOM:
        return _no_room(lock, folder, str(error.strerror))
    return StoreError(
        f"The packages of the UDF could not be unpacked in {folder}: {error.strerror or error}.",
        next_step="see that the folder can be written to, and submit again.",
    )


def _no_room(lock: Lock, folder: Path, why: str) -> StoreFull:
    return StoreFull(
        f"The packages of the UDF take {(lock.unpacked + lock.size) / _MIB:,.0f} MiB of the disk of {folder}: {why}.",
        next_step="ask for fewer packages, free some room, or deploy with more disk (realtime_disk_mib, disk_size_gb).",
    )
