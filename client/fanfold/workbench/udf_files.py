"""The UDF files of a folder: which there are, and their text."""

from __future__ import annotations

import os
from pathlib import Path

from fanfold.errors import InputError

_MOST_FILES = 500
#: Folders that hold other people's code.
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}


def files_in(folder: Path) -> list[str]:
    """The Python files in a folder and below it, as paths from there, a folder's own before those below."""
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not _is_skipped(one))  # and so never walked
        inside = Path(parent).relative_to(folder)
        found += [(inside / one).as_posix() for one in sorted(files) if one.endswith(".py") and not one.startswith(".")]
        if len(found) >= _MOST_FILES:
            break
    return found[:_MOST_FILES]


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


class UdfFile:
    """A file and the text it had when it was last read or written here."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.path = folder / name
        if not self._is_one_of_the_list():  # no way out of the folder
            raise InputError(f"There is no file {name} in {folder}.", next_step="choose one of the list.")
        self.text = self._read()

    def save(self, text: str) -> bool:
        """Write another text; False where it is the same. Raises `InputError` where the file has changed meanwhile."""
        if text == self.text:
            return False
        if self._read() != self.text:
            raise InputError(f"{self.name} has been changed elsewhere.", next_step="copy your text, and open it again.")
        self.path.write_text(text, encoding="utf-8")
        self.text = text
        return True

    def is_same(self, other: UdfFile) -> bool:
        """Whether both are of one file, and it had the same text."""
        return (self.name, self.text) == (other.name, other.text)

    def _is_one_of_the_list(self) -> bool:
        parts = Path(self.name).parts
        inside = not Path(self.name).is_absolute() and not any(map(_is_skipped, parts))  # ".." is skipped as well
        return inside and self.path.suffix == ".py" and self.path.is_file()

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise InputError(f"{self.name} cannot be read: {error}.", next_step="look at the file.") from error
