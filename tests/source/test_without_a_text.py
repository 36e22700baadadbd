"""Classes of which Python has kept no text (`cat script.py | python`), and those that a call has made."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from fanfold.errors import CaptureError
from fanfold.source.capture import capture
from tests.source.conftest import Desk, arrived

#: In bytes: a text in a variable would be found again.
ENUMS = b"""
import enum
class Loud:
    def loud(self): return self.name + "!"
class Colour(Loud, str, enum.Enum):
    RED = "red"
    CRIMSON = "red"
    @classmethod
    def _missing_(cls, value): return cls.RED if value == "Rouge" else None
    def __str__(self): return "a " + self.value
class Planet(enum.Enum):
    MARS = (6, 3)
    def __init__(self, mass, radius): self.density = mass / radius
class Label(str, enum.Enum):
    def __new__(cls, value, text):
        made = str.__new__(cls, value)
        made._value_, made.text = value, text
        return made
    A = "a", "Aye"
class Kept(enum.IntFlag, **({"boundary": enum.KEEP} if hasattr(enum, "KEEP") else {})):
    ONE = 1
By = enum.Enum("By", {"DAY": 1, "NIGHT": 2}, module=__name__)
By.hours = lambda self: 12 * self.value
class Odd(bytes, enum.Enum):
    def __new__(cls, value):
        made = bytes.__new__(cls, [value])
        made._value_ = str(value)
        return made
    A = 1
"""

ENUMS += b"""
class Size(enum.IntEnum):
    S = 1
    __str__ = enum.Enum.__str__
    def __repr__(self): return self.name + "!"
"""

TYPES = b"""
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypedDict, runtime_checkable
class Base(TypedDict):
    a: int
class More(Base, total=False):
    b: str
@runtime_checkable
class HasArea(Protocol):
    def area(self): ...
class Square:
    def area(self): return 4
class Point(NamedTuple):
    x: int
    y: int = 5
    def norm(self): return self.x + self.y
@dataclass(frozen=True, slots=True)
class Fixed:
    size: int
FIXED = Fixed(1)
"""


def _main(monkeypatch: pytest.MonkeyPatch, text: bytes, expression: str) -> Any:
    """A function of a module without a text, as it arrives."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(compile(text + f"def main(): return {expression}".encode(), "<nowhere>", "exec"), vars(module))
    return arrived(capture(module.main))


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("[each.name for each in (Colour('Rouge'), Colour.CRIMSON, Colour('red'))]", ["RED", "RED", "RED"]),
        ("(str(Colour.RED), Colour.RED.loud(), Colour.RED == 'red', list(Colour.__members__))",
         ("a red", "RED!", True, ["RED", "CRIMSON"])),
        ("(Planet.MARS.density, Planet((6, 3)) is Planet.MARS)", (2, True)),
        ("(Label.A.text, Label('a') == 'a')", ("Aye", True)),
        ("int(Kept(9))", 9),
        ("(By.NIGHT.hours(), By(1).name)", (24, "DAY")),
        ("(str(Size.S), repr(Size.S), Size.S + 1)", ("Size.S", "S!", 2)),
    ],
)  # fmt: skip
def test_an_enum_without_a_text_has_its_methods_and_what_its_members_hold(
    monkeypatch: pytest.MonkeyPatch, expression: str, wanted: Any
) -> None:
    assert _main(monkeypatch, ENUMS, expression)() == wanted


def test_an_enum_that_would_come_out_as_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaptureError, match="'Odd', an Enum whose `__new__` makes something else than its value"):
        _main(monkeypatch, ENUMS, "Odd.A")


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("(sorted(More.__required_keys__), sorted(More.__optional_keys__))", (["a"], ["b"])),
        ("(isinstance(Square(), HasArea), isinstance(3, HasArea), Point(1).norm())", (True, False, 6)),
        ("(repr(FIXED), FIXED == replace(FIXED, size=2), FIXED.__slots__)", ("Fixed(size=1)", False, ("size",))),
    ],
)
def test_a_type_without_a_text_is_what_it_was(monkeypatch: pytest.MonkeyPatch, expression: str, wanted: Any) -> None:
    assert _main(monkeypatch, TYPES, expression)() == wanted


def test_a_typed_dict_asks_for_what_its_bases_do(desk: Desk) -> None:
    text = f"{TYPES.decode()}def main(): return sorted(More.__required_keys__), sorted(More.__optional_keys__)"
    assert desk.result(text) == (["a"], ["b"])


def test_slots_are_the_names_that_were_said(desk: Desk) -> None:
    text = """
        class A:
            __slots__ = {"x": "the x"}
        class B(A):
            __slots__ = ["y"]
        def main(): return A.__slots__, B.__slots__
    """
    assert desk.result(text) == ({"x": "the x"}, ["y"])


def test_annotations_that_are_text_find_what_they_name(desk: Desk) -> None:
    text = """
        from __future__ import annotations
        import sqlite3
        from dataclasses import dataclass
        from typing import ClassVar, Optional, get_type_hints
        database = sqlite3.connect(":memory:")
        class Node: pass
        @dataclass
        class A:
            b: Optional[Node] = None
            c: ClassVar[int] = 3
        @dataclass
        class Cannot:
            d: database.total_changes = 4
        def main(): return get_type_hints(A)["b"] == Node | None, A.c, Cannot().d
    """
    module = desk.module(text)
    assert arrived(capture(module.main))() == (True, 3, 4)
    module.database.close()
