"""The lock of an environment: which wheels it is made of, each by the hash of its bytes.

It travels in the UDF's bundle. A wheel's address stays where it was resolved: it may hold a password.
"""

from __future__ import annotations

import hashlib
import json
import re

from fanfold.contract.records import NamedTuple


class Wheel(NamedTuple):
    """One file of an environment. `pack` is the object that it is a part of, from byte `at`; empty: one of its own."""

    name: str
    version: str
    file: str
    sha256: str
    size: int
    pack: str = ""
    at: int = 0


class Lock(NamedTuple):
    """The wheels that an environment has beyond what is where it is made, for one Python and platform.

    `unpacked` is what they take on a disk, in bytes.
    """

    python: str
    platform: str
    wheels: tuple[Wheel, ...]
    unpacked: int = 0

    @property
    def id(self) -> str:
        """Equal where the installed files are equal, however they are stored."""
        said = [self.python, self.platform, *(f"{one.name}=={one.version} {one.sha256}" for one in self.wheels)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]

    @property
    def size(self) -> int:
        """Bytes to be fetched."""
        return sum(wheel.size for wheel in self.wheels)

    def to_text(self) -> str:
        """The lock as JSON."""
        document = {**self._asdict(), "wheels": [list(wheel) for wheel in self.wheels]}
        return json.dumps(document, separators=(",", ":"))


def lock_from_text(text: str) -> Lock:
    """The lock that `Lock.to_text` wrote."""
    document = json.loads(text)
    wheels = tuple(Wheel(*each) for each in document.pop("wheels"))
    return Lock(**document, wheels=wheels)


def normal_name(name: str) -> str:
    """A package's name as an index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()
