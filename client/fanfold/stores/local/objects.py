"""Objects as files: written under a scratch name, then renamed, so that a key holds all of its bytes or none."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.errors import ResultDamaged, StoreError, StoreFull
from fanfold.stores.disk import MAKE_ROOM, NO_ROOM, Syncer
from fanfold.stores.keys import blob_key, checked_bytes, checked_key, hash_of, sha256_in

if TYPE_CHECKING:
    from io import FileIO
    from mmap import mmap

_count = itertools.count()
#: Read and compared at once: what a processor keeps near.
_BLOCK_BYTES = 1 << 17
#: From here on a file is mapped, not read: a process may have some 65,000 files mapped.
_MAPPED_BYTES = 4 << 20
#: Keys of large arguments, which workers would read in whole to know that they are what they should be.
_LARGE_ARGUMENTS = "blobs/"

#: Size, moment of change in nanoseconds, number of the file: what says that it is the one that it was.
FileFacts = tuple[int, int, int]

#: What an object is made of, one after the other.
Pieces = Sequence[bytes | memoryview]


class FileObjectStore:
    """Bytes under `root`, by key. Any process may write at any time; readers never see half an object."""

    def __init__(self, root: Path, scratch: Path, *, syncer: Syncer | None = None) -> None:
        self.root = root
        self.scratch = scratch
        self._syncer = syncer or Syncer(enabled=False)
        #: What this process has put, or found to be what it would have put, and what the file was then.
        self._seen: dict[str, FileFacts] = {}

    def seen(self, key: str) -> FileFacts | None:
        """What the file of an object was when this process put it, by which others know it without reading it."""
        return self._seen.get(key)

    def path(self, key: str) -> Path:
        """Where the object of `key` is, or would be. Raises `InputError` for what is not a key."""
        return self.root / checked_key(key)

    def put(self, key: str, data: bytes) -> None:
        """Keep `data` under `key`, whole or not at all. Raises `StoreFull`."""
        target = self.path(key)
        with self._explained(key), self._written((data,)) as written:
            self._place(os.replace, written, target)

    def put_file(self, key: str, path: Path) -> None:
        """Keep the file at `path` under `key`, whole or not at all, and take the file away. Raises `StoreFull`."""
        target = self.path(key)
        with self._explained(key):
            try:
                self._place(os.replace, path, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy_across(path, target)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Keep `data` unless something is there already; True where it was kept. Raises `StoreFull`.

        An object that is named after these bytes and has others is damaged, by a power cut or a bad disk: it is
        replaced.
        """
        return self._put_if_absent(key, (data,))

    def put_by_hash(self, key_of: Callable[[str], str], pieces: Pieces) -> str:
        """Keep what `pieces` make up under the key that their SHA-256 gives, unless it is there; the hash.

        To compare them with the file that this process has put under such a key takes a fifth of the time of hashing.
        """
        size = sum(map(len, pieces))
        for key, (known_size, *_) in list(self._seen.items()):
            name = sha256_in(key)
            if name and size == known_size and key == key_of(name) and _holds(self.path(key), pieces):
                self._put_if_absent(key, pieces, known=True)
                return name
        sha256 = hash_of(pieces)
        self._put_if_absent(key_of(sha256), pieces)
        return sha256

    def _put_if_absent(self, key: str, pieces: Pieces, *, known: bool = False) -> bool:
        """`known`: what is there has just been found to be the same."""
        target = self.path(key)
        with self._explained(key):
            try:
                os.utime(target)  # seen as new by a sweep of what nothing refers to
            except FileNotFoundError:
                pass
            else:
                if known or not _is_damaged(key, target, pieces):
                    self._see(key, target)
                    self._note(target)  # it may be another process's, and not on the disk yet
                    return False
                with self._written(pieces) as written:
                    self._place(os.replace, written, target)
                return True
            with self._written(pieces) as written:
                try:
                    self._place(os.link, written, target)
                except FileExistsError:
                    self._note(target)
                    return False
                self._see(key, target)
                return True

    def _see(self, key: str, target: Path) -> None:
        if key.startswith(_LARGE_ARGUMENTS):
            about = target.stat()
            self._seen[key] = (about.st_size, about.st_mtime_ns, about.st_ino)

    def sync(self) -> None:
        """Return when all that this process has put so far outlives a power cut. Raises `StoreError`."""
        self._syncer.sync()

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises `ResultDamaged` where there are none, or not those it is named after."""
        with self._explained(key):
            data = self.path(key).read_bytes()
        return checked_bytes(key, data, place=self.root)

    def get_several(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes under each of these keys, one after the other; None where that did not do: `get` says why."""
        found: list[bytes | None] = []
        for key in keys:
            found.append(None)
            with suppress(StoreError):
                found[-1] = self.get(key)
        return found

    def get_writable(self, key: str) -> bytearray | mmap:
        """The same, in memory that its caller may change and keep; of a large file its pages, as they are used."""
        with self._explained(key), self.path(key).open("rb", buffering=0) as file:
            data = _in_memory(file)
        return checked_bytes(key, data, place=self.root)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`; fewer at the end. Raises `ResultDamaged`."""
        with self._explained(key), self.path(key).open("rb") as file:
            file.seek(start)
            return file.read(max(0, stop - start))

    def exists(self, key: str) -> bool:
        """Whether anything is under `key`."""
        return self.path(key).is_file()

    def refer(self, key: str) -> str:
        """The key of a second name of the same file, among large arguments: the first goes with the job that made it.

        Raises `ResultDamaged` where there is no such object.
        """
        name, path = blob_key(key.rpartition("/")[2]), self._scratch_path()
        with self._explained(key):
            os.link(self.path(key), path)
            try:
                self._place(os.replace, path, self.path(name))  # what is there may be damaged
            finally:
                path.unlink(missing_ok=True)  # where both were one file before
            os.utime(self.path(name))  # seen as new by a sweep of what nothing refers to
        return name

    def delete(self, keys: Iterable[str]) -> None:
        """Take away what is under `keys`; what is not there already is passed over."""
        for key in keys:
            path = self.path(key)
            with self._explained(key), suppress(FileNotFoundError):
                path.unlink()
            with suppress(OSError):  # not empty, or a writer is about to use it
                path.parent.rmdir()

    def sync_soon(self) -> None:
        """Begin with it now, while other work goes on."""
        self._syncer.sync_soon()

    @contextmanager
    def _written(self, pieces: Pieces) -> Iterator[Path]:
        path = self._scratch_path()
        try:
            with path.open("wb") as file:
                file.writelines(pieces)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _copy_across(self, path: Path, target: Path) -> None:
        import shutil  # costs 3 ms, and most homes are on one file system

        copy = self._scratch_path()
        try:
            shutil.copyfile(path, copy)
            self._place(os.replace, copy, target)
        finally:
            copy.unlink(missing_ok=True)
        path.unlink()

    def _place(self, how: Callable[[Path, Path], None], source: Path, target: Path) -> None:
        try:
            how(source, target)
        except FileNotFoundError:
            self._place_in_new_folder(how, source, target)
            self._note(target, in_new_folder=True)
        else:
            self._note(target)

    @staticmethod
    def _place_in_new_folder(how: Callable[[Path, Path], None], source: Path, target: Path) -> None:
        # `delete` may take an emptied directory away between the two steps: hence a few tries, not one.
        for _ in range(10):
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                return how(source, target)
        return how(source, target)

    def _note(self, target: Path, *, in_new_folder: bool = False) -> None:
        above = [folder for folder in target.parents if folder.is_relative_to(self.root)]
        self._syncer.note(target, [*above, self.root.parent] if in_new_folder else above[:1])

    def _scratch_path(self) -> Path:
        return self.scratch / f"{os.getpid()}-{next(_count)}.part"

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain(error, key) from error

    def _explain(self, error: OSError, key: str) -> StoreError:
        if isinstance(error, FileNotFoundError):
            return ResultDamaged(
                f"There is no object {key} in {self.root}.",
                next_step="submit again: a result that is missing is computed afresh.",
            )
        if error.errno in NO_ROOM:
            return StoreFull(
                f"No room left to keep {key} in {self.root}; what was stored before is unharmed.",
                next_step=MAKE_ROOM,
            )
        return StoreError(
            f"The object {key} in {self.root} cannot be read or written: {error.strerror}.",
            next_step="check that the directory is there, on a working disk, and yours to write.",
        )


def _in_memory(file: FileIO) -> bytearray | mmap:
    """All of an open file, as memory that may be changed without changing the file."""
    size = os.fstat(file.fileno()).st_size
    if size >= _MAPPED_BYTES:
        from mmap import ACCESS_COPY, mmap

        with suppress(OSError):  # some file systems cannot, and a process may have only so many
            return mmap(file.fileno(), size, access=ACCESS_COPY)
    data, at = bytearray(size), 0
    with memoryview(data) as view:
        while count := file.readinto(view[at:]):
            at += count
    return data[:at] if at < size else data


def _is_damaged(key: str, path: Path, pieces: Pieces) -> bool:
    """Whether the file of an object that is named after `pieces` has other bytes than these."""
    return not _holds(path, pieces) and sha256_in(key) == hash_of(pieces)


def _holds(path: Path, pieces: Pieces) -> bool:
    """Whether the file is there and has these bytes."""
    try:
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != sum(map(len, pieces)):
                return False
            return all(file.read(len(block)) == block for piece in pieces for block in _blocks(piece))
    except FileNotFoundError:  # taken away just now
        return False


def _blocks(piece: bytes | memoryview) -> Iterator[bytes]:
    """As bytes, which are compared 20 times as fast as a view is."""
    for start in range(0, len(piece), _BLOCK_BYTES):
        yield bytes(piece[start : start + _BLOCK_BYTES])
