"""SHA-256 that starts without OpenSSL, whose loading would take a tenth of every worker's start."""

import sys
from typing import Any

#: Python's own takes 3 ms for this much.
_OWN_BYTES = 256 * 1024


class Hasher:
    """Digests of one piece of data after another."""

    def __init__(self) -> None:
        self._hash = _pythons_own()
        self._left_bytes = _OWN_BYTES

    def sha256(self, data: bytes) -> bytes:
        """The digest of `data`, 32 bytes."""
        if self._left_bytes > 0:
            self._left_bytes -= len(data)
            if self._left_bytes <= 0:
                import hashlib

                self._hash = hashlib.sha256
        digest: bytes = self._hash(data).digest()
        return digest


def _pythons_own() -> Any:
    name = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
    try:
        return __import__(name).sha256
    except ImportError:  # built without
        import hashlib

        return hashlib.sha256


#: This process's.
sha256 = Hasher().sha256
