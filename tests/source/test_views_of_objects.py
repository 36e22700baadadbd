"""Views, proxies and weak references show the very object that they showed; what extends `property` is what it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.source.conftest import Desk

TEXT = """
import array
import types
import weakref
from collections import OrderedDict
REGISTRY = {"a": 1}
VIEW = types.MappingProxyType(REGISTRY)
KEYS = REGISTRY.keys()
ORDERED = OrderedDict(b=1)
ITEMS = ORDERED.items()
BYTES = bytearray(b"abcd")
WHOLE = memoryview(BYTES)
PART = WHOLE[1:3]
READ_ONLY = WHOLE.toreadonly()[2:]
BACK = memoryview(b"xyz")[::-1]
HELD = array.array("d", [1.5, 2.5, 3.5])
NUMBERS = memoryview(HELD)
TAIL, TURNED, NONE = NUMBERS[1:], NUMBERS[::-2], NUMBERS[1:1]
GRID = memoryview(bytes(range(6))).cast("B", [2, 3])
class Log:
    def __init__(self): self.lines = []
    def size(self): return len(self.lines)
log = Log()
gone = []
PROXY, METHOD, TOLD = weakref.proxy(log), weakref.WeakMethod(log.size), weakref.ref(log, gone.append)
def main():
    REGISTRY["n"], ORDERED["q"], BYTES[0], BYTES[2], HELD[2] = 2, 5, 122, 121, 4.5
    PROXY.lines.append(1)
    return {
        "mapping": (VIEW["n"], list(KEYS), list(ITEMS)),
        "bytes": (WHOLE.tobytes(), PART.tobytes(), PART.readonly, READ_ONLY.tobytes(), READ_ONLY.readonly,
                  BACK.tobytes(), BACK.readonly),
        "items": (NUMBERS.format, NUMBERS.tolist(), TAIL.tolist(), TURNED.tolist(), NONE.tolist(), GRID.tolist()),
        "weak": (log.lines, METHOD()(), PROXY.size(), TOLD() is log, TOLD.__callback__ is not None),
    }
"""


@pytest.fixture(scope="module")
def wanted() -> dict[str, Any]:
    return {
        "mapping": (2, ["a", "n"], [("b", 1), ("q", 5)]),
        "bytes": (b"zbyd", b"by", False, b"yd", True, b"zyx", True),
        "items": ("d", [1.5, 2.5, 4.5], [2.5, 4.5], [4.5, 1.5], [], [[0, 1, 2], [3, 4, 5]]),
        "weak": ([1], 1, 1, True, True),
    }


@pytest.mark.parametrize("kind", ["mapping", "bytes", "items", "weak"])
def test_what_is_done_to_one_is_seen_in_the_other(desk: Desk, wanted: dict[str, Any], kind: str) -> None:
    assert desk.result(TEXT)[kind] == wanted[kind]


def test_what_extends_a_property_keeps_its_own_ways(desk: Desk) -> None:
    text = """
        class Noted(property):
            def __init__(self, fget, unit="m"):
                super().__init__(fget)
                self.unit = unit
            def __get__(self, one, kind=None):
                return self if one is None else (super().__get__(one, kind), self.unit)
        class ofclass(classmethod):
            def __get__(self, one, kind=None):
                return "own", super().__get__(one, kind)()
        class A:
            size = Noted(lambda self: 3, "km")
            @ofclass
            def name(cls): return cls.__name__
        def main(): return A().size, A.name, type(A.size).__name__
    """
    assert desk.result(text) == ((3, "km"), ("own", "A"), "Noted")


def test_a_view_of_a_part_does_not_bring_along_a_large_object_that_nothing_else_does(desk: Desk) -> None:
    text = "PART = memoryview(bytearray(20_000_000))[:3]\ndef main(): return PART.tolist()\n"
    assert len(desk.capture(text).to_bytes()) < 100_000
    assert desk.result(text) == [0, 0, 0]
