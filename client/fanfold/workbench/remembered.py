"""What a Workbench finds again when it is started anew for the same folder: its port, and the file that was open."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from fanfold.core.unfinished import write_privately

_NAME = "workbench.json"
#: As many folders are remembered: those that were used last.
_FOLDERS = 200


class Remembered:
    """What is remembered of one folder of UDF files, in a file of the home that this account alone may read.

    Nothing depends on it: where it cannot be read or written, the next start begins like the first.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self._path, self._folder = home / _NAME, str(folder)

    def get(self, what: str) -> Any:
        """What was put under that name; None where nothing was."""
        found = self._read().get(self._folder)
        return found.get(what) if isinstance(found, dict) else None

    def put(self, what: str, value: Any) -> None:
        """Remember it, in the place of what was put under that name before."""
        known = self._read()
        of_folder = known.pop(self._folder, {})
        if not isinstance(of_folder, dict):
            of_folder = {}
        if of_folder.get(what) == value:
            return
        known[self._folder] = {**of_folder, what: value}
        with suppress(OSError):
            write_privately(self._path, json.dumps(dict(list(known.items())[-_FOLDERS:])).encode())

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
