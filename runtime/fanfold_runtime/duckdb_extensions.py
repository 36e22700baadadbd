"""DuckDB's extensions as the image has them, where DuckDB looks for them: below a UDF's home, which is empty at first.

They come as wheels of Python (`duckdb-extension-httpfs`), since an image's layers are then pinned by hash as everything
else in it, and a run in a network without internet has them. DuckDB itself checks whose signature they bear.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

#: What DuckDB calls this machine, in the names of its folders.
_PLATFORMS = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}


def link_extensions(home: str, packages: Iterable[str] | None = None) -> None:
    """Let DuckDB find below `home` what the folders `packages`, by default all of this Python's, bring.

    What is there stays: a run may have put it there.
    """
    for extension in _extensions(sys.path if packages is None else packages):
        folder = Path(home, ".duckdb", "extensions", extension.parent.name, _PLATFORMS.get(platform.machine(), ""))
        with suppress(OSError):  # it has made something else of its home
            folder.mkdir(parents=True, exist_ok=True)
            link = folder / extension.name
            if not os.path.lexists(link):
                link.symlink_to(extension)


def _extensions(packages: Iterable[str]) -> Iterator[Path]:
    for folder in packages:
        yield from Path(folder).glob("duckdb_extension_*/extensions/v*/*.duckdb_extension")
