"""What SQLAlchemy has mapped in a script, for what is pickled: in a bundle, with the functions and classes beside it.

Each process makes the objects of a bundle once, and a pickle refers to them by their numbers. Classes that go back are
found by their names where they came from.
"""

from __future__ import annotations

import linecache
import sys
from operator import attrgetter
from types import ModuleType
from typing import Any

from fanfold.core.models import sha256
from fanfold.source.load import Bundle, Program
from fanfold.source.rebuild import Builder


class _OpenBundle:
    """The objects of one bundle in this process, and the module that its code takes for the script."""

    def __init__(self, data: bytes) -> None:
        self.program = Program(Bundle.from_bytes(data), None)
        self.builder = Builder(self.program.graph, self.program)
        self.main: ModuleType | None = None
        linecache.cache.update(self.program.lines)

    def part(self, number: int) -> Any:
        """One of the objects, with all that it holds."""
        before = sys.modules["__main__"]
        sys.modules["__main__"] = self.main or before
        try:
            return self.builder.build(number)
        finally:  # a statement may have looked its names up in the script, which is another one for this process
            self.main = sys.modules["__main__"]
            sys.modules["__main__"] = before
            for each in list(self.builder.made.values()):
                if isinstance(each, type) and each.__module__ == "__main__" and "<locals>" not in each.__qualname__:
                    _classes[each] = (each.__module__, each.__qualname__)


_known: dict[str, _OpenBundle] = {}
#: The classes of bundles that this process has made, with their modules and names.
_classes: dict[type, tuple[str, str]] = {}


def part_of(data: bytes, number: int) -> Any:
    """An object of a bundle, as this process has it."""
    key = sha256(data).hexdigest()
    if key not in _known:
        _known[key] = _OpenBundle(data)
    return _known[key].part(number)


def name_of(made: type) -> tuple[str, str] | None:
    """Module and name of a class of a bundle that this process has made; None for any other."""
    return _classes.get(made)


def found_again(module: str, name: str) -> Any:
    """The class of that name, where its statement stands."""
    return attrgetter(name)(sys.modules[module])
