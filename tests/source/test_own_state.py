"""Objects of one's own classes arrive as what they are: one of a kind, or with a state that others hold."""

from __future__ import annotations

from pickle import PicklingError
from types import FunctionType
from typing import Any

import pytest

import fanfold
from fanfold.errors import CaptureError
from fanfold.source.capture import capture
from tests.source.conftest import Desk, arrived

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
    "what extends a source of random numbers": (
        """
        import random
        class Dice(random.Random):
            made = 0
            def __init__(self, seed, name):
                type(self).made += 1
                super().__init__(seed)
                self.name = name
        DICE = Dice(3, "d")
        DICE.gauss(0, 1)
        OTHER = random.Random(3)
        OTHER.gauss(0, 1)
        def main(): return DICE.name, DICE.gauss(0, 1) == OTHER.gauss(0, 1), DICE.random() == OTHER.random(), Dice.made
        """,
        ("d", True, True, 1),
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


def test_a_source_of_random_numbers_keeps_its_own_attributes_as_an_argument_and_as_a_result(desk: Desk) -> None:
    module = desk.module("""
        import random
        class Dice(random.Random):
            def __init__(self, name):
                super().__init__(3)
                self.name = name
        def main(dice): return dice
    """)
    given = module.Dice("d")
    (got,) = fanfold.submit(module.main, [{"dice": given}], collect=False, cache=False).results()
    assert (type(got), got.name, got.random()) == (module.Dice, "d", given.random())
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(vars, given).result()["name"] == "d"


PROXIES = """
    from flask import Flask, request, session
    from werkzeug.local import Local
    held = Local()
    held.name = "a"
    name = held("name")
    def main():
        app = Flask("of_tests")
        app.secret_key = "of tests"
        with app.test_request_context("/?a=7"):
            session["n"] = 1
            return request.args["a"], session["n"]
    def named(): return str(name)
"""


def test_what_stands_for_the_request_of_flask_goes_by_its_name(desk: Desk) -> None:
    module = desk.module(PROXIES)
    assert arrived(capture(module.main))() == ("7", 1)
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(typed_here(module.main)).result() == ("7", 1)


def typed_here(function: Any) -> Any:
    """The same function as one of a script, whose variables go along."""
    space = {**function.__globals__, "__name__": "__main__"}
    made = FunctionType(function.__code__, space, function.__name__)
    made.__module__ = "__main__"
    return made


def test_what_stands_for_what_a_context_holds_is_refused_by_name(desk: Desk) -> None:
    module = desk.module(PROXIES)
    with pytest.raises(CaptureError, match=r"'named' uses 'name', it stands for what is there where it is asked"):
        capture(module.named)
    with fanfold.Executor(max_workers=1) as executor, pytest.raises(PicklingError, match="LocalProxy"):
        executor.submit(typed_here(module.named)).result()


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
