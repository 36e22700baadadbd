"""Large arguments: files named after their bytes, each checked once, and read as seldom as can be.

An array is mapped anew for each run, copy-on-write: nothing is read that is not used, and what one run writes into it
no other sees. What else is large and comes again, a worker decodes once, and gives each run a copy.
"""

import os
from collections.abc import Callable
from typing import Any

from fanfold.codec.results import decode, decode_json
from fanfold.errors import CodecError
from fanfold.execution.worker.hashing import sha256

#: Below this, decoding costs less than keeping.
_LARGE_BYTES = 64 * 1024
#: Decoded values that are kept, at most; a job's constants are few.
_KEPT = 16
_BLOCK_BYTES = 1 << 20


class Blobs:
    """The folder of large values by hash, as one worker reads it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        #: Gives the classes and functions of the UDF's own that arguments refer to.
        self.from_source: Callable[[Any], Any] | None = None
        self._checked: set[str] = set()
        #: Of values that came once already, so that what comes only once is not kept beside its copy.
        self._seen: set[tuple[str, str]] = set()
        self._kept: dict[tuple[str, str], Any] = {}

    def decode(self, text: str) -> Any:
        """The value of an encoded text. Raises `CodecError`, naming the file where it is damaged."""
        return decode_json(
            text, get_value=self._value, trusted=True, from_source=self.from_source
        )  # the submitter's own code runs here

    def bytes_of(self, name: str) -> bytes:
        """The bytes of that hash."""
        try:
            with open(os.path.join(self._folder, name), "rb") as file:
                data = file.read()
        except FileNotFoundError as error:
            raise _missing(name) from error
        if name not in self._checked and sha256(data).hex() != name:
            raise _damaged(name)
        self._checked.add(name)
        return data

    def _value(self, codec: str, name: Any) -> Any:
        path, key = os.path.join(self._folder, name), (codec, name)
        if key in self._kept:
            return _copied(self._kept[key])
        if os.path.exists(path) and os.path.getsize(path) < _LARGE_BYTES:
            return decode(codec, self.bytes_of(name), allow_pickle=True)
        if codec == "npy/1":
            return self._mapped(path, name)
        value = decode(codec, self.bytes_of(name), allow_pickle=True)
        if key in self._seen and len(self._kept) < _KEPT and _can_be_copied(value):
            self._kept[key] = value
            return _copied(value)
        self._seen.add(key)
        return value

    def _mapped(self, path: str, name: str) -> Any:
        """An array over the file itself: pages are read as they are used, and copied as they are written."""
        import numpy as np

        try:
            self._check(path, name)
            mapped = np.load(path, mmap_mode="c", allow_pickle=False)
        except FileNotFoundError as error:
            raise _missing(name) from error
        except ValueError:  # of a kind that cannot be mapped
            return decode("npy/1", self.bytes_of(name))
        return mapped.view(np.ndarray)

    def _check(self, path: str, name: str) -> None:
        if name in self._checked:
            return
        import hashlib

        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        if digest.hexdigest() != name:
            raise _damaged(name)
        self._checked.add(name)


def _can_be_copied(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("pandas", "geopandas", "polars", "pyarrow", "builtins")


def _copied(value: Any) -> Any:
    """A copy that a run may change as it likes. What cannot be changed is its own copy."""
    package = type(value).__module__.partition(".")[0]
    if package in ("pandas", "geopandas"):
        return value.copy()
    return value.clone() if package == "polars" else value


def _damaged(name: str) -> CodecError:
    return CodecError(
        f"A large argument is damaged: the bytes of blobs/{name} do not match their name.",
        next_step="submit the job again, which stores it anew.",
    )


def _missing(name: str) -> CodecError:
    return CodecError(
        f"A large argument is not there any more: blobs/{name}.",
        next_step="submit the job again, which stores it anew.",
    )
