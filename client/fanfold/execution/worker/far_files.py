"""What libraries remember of files far away, which somebody may have written anew since a run has read them.

GDAL keeps sizes, bytes and refusals of what it has read by HTTP, fsspec the listings of folders, both for as long as
the process lives: the next run would read yesterday's file, and its result would be kept as today's.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from glob import glob
from typing import TYPE_CHECKING, Any

from fanfold.execution.worker.sandbox import OF_GDAL

if TYPE_CHECKING:
    from fanfold.codec.paths import NamedPath

_MAPPED = re.compile(r"(/\S*libgdal[^/\s]*)$")
#: So many paths are known by what they led to.
_MOST_KNOWN = 10_000


def forget() -> None:
    """Have the next reader ask again."""
    loaded = tuple(name for name in OF_GDAL if name in sys.modules)
    for clear in _clear_functions(loaded) if loaded else ():
        clear()
    spec = sys.modules.get("fsspec.spec")
    for system in _file_systems(spec.AbstractFileSystem) if spec is not None else ():
        with suppress(Exception):  # of a class of the user's
            system.invalidate_cache()


_known: dict[NamedPath, str] = {}


def forget_if_changed(found: dict[NamedPath, str]) -> None:
    """The same where one of these paths leads to another thing than it did before an earlier run of this worker."""
    far = {path: stamp for path, stamp in found.items() if path.is_far}
    if any(_known.get(path, stamp) != stamp for path, stamp in far.items()):
        forget()
    if len(_known) + len(far) > _MOST_KNOWN:
        _known.clear()
    _known.update(far)


@cache
def _clear_functions(loaded: tuple[str, ...]) -> list[Any]:
    """C's `VSICurlClearCache` of each GDAL in this process, https://gdal.org/en/stable/api/cpl.html."""
    import ctypes

    found = []
    for path in _libraries(loaded):
        with suppress(OSError, AttributeError):
            found.append(ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW).VSICurlClearCache)
    return found


def _libraries(loaded: tuple[str, ...]) -> list[str]:
    """The files of GDAL that these packages have loaded."""
    if os.path.exists("/proc/self/maps"):
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            return sorted({line[1] for line in map(_MAPPED.search, map(str.rstrip, file)) if line})
    places = [os.path.join(os.path.dirname(str(sys.modules[name].__file__)), ".dylibs") for name in loaded]
    return [path for place in (*places, os.path.join(sys.prefix, "lib")) for path in glob(f"{place}/libgdal*")]


def _file_systems(kind: Any) -> Iterator[Any]:
    """The file systems that fsspec keeps, to be given again where the same is asked for."""
    yield from list(getattr(kind, "_cache", {}).values())
    for each in kind.__subclasses__():
        yield from _file_systems(each)
