"""The UDF files of a folder: which there are, their text, and the UDFs that they define as they are now."""

from __future__ import annotations

import importlib.util
import linecache
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from fanfold.decorator import Udf
from fanfold.errors import InputError

_MOST_FILES = 500
#: Folders that hold other people's code.
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}
#: Importing changes `sys.modules`, which all threads share.
_importing = threading.Lock()


def files_in(folder: Path) -> list[str]:
    """The Python files in a folder and below it, as paths from there."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part in _SKIPPED for part in parts):
            found.append("/".join(parts))
    return found[:_MOST_FILES]


class UdfFile:
    """A file and the text it had when it was last read or written here."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        if name not in files_in(folder):  # no way out of the folder
            raise InputError(f"There is no file {name} in {folder}.", next_step="choose one of the list.")
        self.path = folder / name
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

    def udfs(self) -> dict[str, Udf]:
        """The UDFs that the file defines now, by name. Raises `InputError` with the user's lines where it fails."""
        with _importing:
            module = _imported(self.folder, self.path)
        return {
            name: value
            for name, value in vars(module).items()
            if isinstance(value, Udf) and value.__fanfold_udf__.__module__ == module.__name__
        }

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise InputError(f"{self.name} cannot be read: {error}.", next_step="look at the file.") from error


def _imported(folder: Path, path: Path) -> ModuleType:
    """The file as a fresh module; what it imports from its folder is read anew as well."""
    _forget(folder)
    linecache.checkcache()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's own code
        told = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-3))
        raise InputError(f"{path.name} cannot be imported:\n{told}", next_step="mend it, then run again.") from None
    return module


def _forget(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        file: Any = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(folder) and not _SKIPPED & set(Path(file).parts):
            del sys.modules[name]
