"""Objects of one's own classes arrive as what they are: one of a kind, or with a state that others hold."""

from __future__ import annotations

import pytest

from fanfold.source.capture import capture
from tests.source.conftest import Desk

CASES = {
    "one of its class": (
        """
        class One:
            held = None
            def __new__(cls):
                if cls.held is None:
                    cls.held = super().__new__(cls)
                return cls.held
        ONE = One()
        ONE.count = 5
        def main(): return One() is ONE, One().count
        """,
        (True, 5),
    ),
    "a class that counts its objects": (
        """
        class Counted:
            count = 0
            def __new__(cls, *args):
                cls.count += 1
                return super().__new__(cls)
        ITEMS = [Counted(), Counted()]
        def main(): return len(ITEMS), Counted.count
        """,
        (2, 2),
    ),
    "a class whose objects are made of more than they say": (
        """
        class Template:
            def __new__(cls, text):
                made = super().__new__(cls)
                made.text = text
                return made
        SIGN = Template("a")
        def main(): return SIGN.text, type(SIGN) is Template
        """,
        ("a", True),
    ),
    "objects that share one state": (
        """
        class Shared:
            state = {"a": 1}
            def __init__(self): self.__dict__ = self.state
        FIRST = Shared()
        FIRST.b = 2
        def main():
            FIRST.c = 3
            return Shared().b, Shared().c, FIRST.__dict__ is Shared.state
        """,
        (2, 3, True),
    ),
    "an object's attributes under a name": (
        """
        class Plain: ...
        OBJECT = Plain()
        OBJECT.items = [1]
        NAMES = vars(OBJECT)
        def main():
            NAMES["more"] = 2
            return OBJECT.more
        """,
        2,
    ),
    "the module's own names": (
        """
        from typing import Generic, TypeVar
        T = TypeVar("T")
        class Page(Generic[T]): ...
        NAMES = globals()
        def main():
            NAMES["new"] = 3
            return new, NAMES is globals()
        """,
        (3, True),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_it_is_the_object_that_is_there(desk: Desk, kind: str) -> None:
    text, expected = CASES[kind]
    assert desk.result(text) == expected


def test_what_holds_a_module_s_names_does_not_depend_on_the_module_s_text(desk: Desk) -> None:
    pytest.importorskip("pydantic")
    text = """
    import pydantic
    from typing import Generic, TypeVar
    T = TypeVar("T")
    class Page(pydantic.BaseModel, Generic[T]): ...
    @pydantic.validate_call
    def more(x: int): return x + 1
    def main(): return more("3")
    """
    assert desk.result(text) == 4
    assert "Page" not in capture(desk.module(text).main).graph


def test_a_compiled_function_of_a_library_goes_by_name(desk: Desk) -> None:
    text = "import numpy\nRANDOM = numpy.random.default_rng(3)\ndef main(): return RANDOM.integers(10)\n"
    assert desk.result(text) == desk.module(text).main()
