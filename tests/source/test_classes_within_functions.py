"""Classes that libraries make of a statement within a function: what the statement read of that function is gone."""

from __future__ import annotations

import textwrap

import pytest

from fanfold.errors import CaptureError
from tests.source.conftest import Desk

#: What a function imports itself, what it was given, and the like; and what the class makes of it.
WITHIN = {
    "attrs that the function imports": (
        """
        import attr
        @attr.s
        class A:
            n = attr.ib(default=3)
        return A()
        """,
        "A(n=3)",
    ),
    "a module by another name": (
        """
        import pydantic as p
        class A(p.BaseModel):
            n: int = p.Field(default=3, ge=1)
        return A()
        """,
        "A(n=3)",
    ),
    "names of a module": (
        """
        from enum import Enum, auto
        class A(Enum):
            one = auto()
            two = auto()
        return A.two
        """,
        "<A.two: 2>",
    ),
    "a parameter as a default": (
        """
        import attr
        @attr.s
        class A:
            n = attr.ib(default=given)
        return A()
        """,
        "A(n=7)",
    ),
    "a function beside it": (
        """
        import attrs
        def twice(x): return 2 * x
        @attrs.define
        class A:
            n: int = attrs.field(converter=twice, default=given)
        return A()
        """,
        "A(n=14)",
    ),
    "a model as another's field": (
        """
        from pydantic import BaseModel
        class Inner(BaseModel):
            k: int = 1
        class A(BaseModel):
            inner: Inner = Inner()
        return A()
        """,
        "A(inner=Inner(k=1))",
    ),
    "a list of another's": (
        """
        from pydantic import BaseModel
        class Inner(BaseModel):
            k: int = 1
        class A(BaseModel):
            many: list[Inner]
        return A(many=[{"k": given}])
        """,
        "A(many=[Inner(k=7)])",
    ),
    "an import that may have failed": (
        """
        try:
            from enum import IntEnum as Kind
        except ImportError:
            Kind = int
        class A(Kind):
            one = 1
        return A.one
        """,
        "<A.one: 1>",
    ),
}


@pytest.mark.parametrize("what", WITHIN)
def test_a_class_of_a_library_s_within_a_function_travels(desk: Desk, what: str) -> None:
    text, expected = WITHIN[what]
    body = textwrap.indent(textwrap.dedent(text), "    ")
    assert desk.result(f"def make(given):\n{body}\nmade = make(7)\ndef main():\n    return repr(made)\n") == expected


def test_a_name_of_the_file_and_one_of_the_function_are_told_apart(desk: Desk) -> None:
    text = """
        from enum import Enum
        def make():
            from enum import IntEnum as Enum
            class A(Enum):
                one = 1
            return A
        class B(Enum):
            one = 1
        A = make()
        def main():
            return A.one == 1, B.one == 1
    """
    assert desk.result(text) == (True, False)


#: msgspec's own metaclass is in C, and makes fields of the body it is given, once.
STRUCT = """
    import msgspec
    def make(k):
        class A(msgspec.Struct):
            n: int = {}
        return A
    A = make(3)
    def main():
        return A().n
"""


def test_a_struct_whose_statement_reads_no_variable_travels(desk: Desk) -> None:
    assert desk.result(STRUCT.format("3")) == 3


def test_a_struct_whose_statement_reads_a_variable_that_is_gone_is_refused_by_name(desk: Desk) -> None:
    with pytest.raises(CaptureError, match=r"'make\.<locals>\.A' is a struct of msgspec's") as refused:
        desk.capture(STRUCT.format("max(k, 3)"))
    assert "define 'A' at the top level" in str(refused.value)
