"""What UDFs and people keep below `fanfold.data_path()` on this machine: a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fanfold.core.matches import files_below
from fanfold.core.unfinished import unfinished
from fanfold.errors import InputError, StoreError
from fanfold.stores.protocols import DataFile

#: What a copy is called until it is whole.
_UNFINISHED = ".fanfold-copy-"


class FolderData:
    """The files below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def beginning(self, prefix: str) -> Iterator[DataFile]:
        """The files whose name begins so, by name."""
        top = self._folder / prefix.rpartition("/")[0]
        for name in sorted(Path(path).relative_to(self._folder).as_posix() for path in files_below(str(top))):
            path = self._folder / name
            if name.startswith(prefix) and _UNFINISHED not in name and path.is_file():
                facts = path.stat()
                yield DataFile(name, facts.st_size, facts.st_mtime)

    def upload(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """Keep copies of files under names. Raises `StoreError` where the folder takes none."""
        for path, name in pairs:
            _copy(path, self._folder / name)

    def download(self, pairs: Sequence[tuple[str, Path]]) -> None:
        """Copy files to where people want them. Raises `InputError` where there is none, and `StoreError`."""
        for name, path in pairs:
            if not (self._folder / name).is_file():
                raise InputError(f"There is no data:{name}.", next_step="`fanfold ls` shows what there is.")
            _copy(self._folder / name, path)


def _copy(source: Path, target: Path) -> None:
    part = unfinished(target, _UNFINISHED)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise StoreError(
            f"{source} could not be copied to {target}: {error.strerror or error}.",
            next_step="see that the file can be read, that its folder can be written to, and that there is room.",
        ) from error
