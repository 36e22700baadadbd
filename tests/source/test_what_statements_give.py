"""What a module's names hold by now, however its text has given it to them."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from fanfold.source.capture import capture
from tests.source.conftest import Desk, arrived

LIBRARY = """
    def pair(): return 1, 2
    width, height = 640, 480
    left = right = 1
    [a, (b, c)] = 1, (2, {"n": 3})
    first, second = pair()
    *rest, last = 1, 2, 3
    one = other = []
    again = other
    if (asked := 1): pass
    for step in range(3): at = step
    def begin():
        global begun
        begun = 5
    class Box:
        x, y = 1, 2
        u = v = 1
"""
#: What is done to the module, and the names that show it.
CHANGES = {
    "one of two that are given at once": ("width = 9", "width, height"),
    "one of two names of a number": ("left = 9", "left, right"),
    "within one that is given within another": ("c['n'] = 9", "a, b, c"),
    "of what a call gave": ("second = 9", "first, second"),
    "what was left over": ("rest.append(9)", "rest, last"),
    "one list under three names": ("one.append(9)", "one, other, again, one is other is again"),
    "given by an expression": ("asked = 9", "asked"),
    "a loop's": ("step = 9", "step, at"),
    "what a function has made global": ("begin()", "begun"),
    "a class's, of two": ("Box.x = 9", "Box.x, Box.y"),
    "a class's, under two names": ("Box.v = 9", "Box.u, Box.v"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_name_that_was_given_another_value_has_it_there(desk: Desk, what: str) -> None:
    change, shown = CHANGES[what]
    desk.module(LIBRARY + f"\n    def show(): return {shown}\n", "library")
    work = desk.module("import library\ndef main():\n    return library.show()\n")
    library = sys.modules["library"]
    exec(change, vars(library))
    expected = library.show()
    assert "9" in str(expected) or what.startswith("what a function")
    assert arrived(capture(work.main))() == expected


def test_what_was_left_alone_is_left_to_the_text(desk: Desk) -> None:
    desk.module(LIBRARY + "\n    def show(): return width, height, left, right, a, b, one, Box.x, Box.u\n", "library")
    work = desk.module("import library\ndef main():\n    return library.show()\n")
    bundle = capture(work.main)
    assert "·now" not in bundle.graph
    assert arrived(bundle)() == (640, 480, 1, 1, 1, 2, [], 1, 1)


ALTERNATIVES = """
    import os
    import functools
    try:
        limit = int(os.environ["NOBODY_SETS_THIS"])
    except KeyError:
        limit = 3
    try:
        import there_is_no_such_module as json
        has_it = True
    except ImportError:
        import json
        has_it = False
    try:
        table = {"a": 1}
    finally:
        pass
    def keep(function): return function
    @keep
    def decorated(): return "old"
    once = lambda: "old"
    made = keep(decorated)
    def plain(): return "old"
    also = plain
    class Box:
        def get(self): return "old"
        take = get
"""
REPLACED = {
    "in a try, by a call": ("limit = 9", "limit"),
    "in a try, changed within": ("table['b'] = 2", "table"),
    "an import in a try": ("json = Fake()", "json.dumps(1)"),
    "a function under a decorator": ("decorated = new", "decorated()"),
    "a lambda": ("once = new", "once()"),
    "what a call has made": ("made = new", "made()"),
    "a function by its other name": ("plain = also = new", "plain(), also()"),
    "a method by its other name": ("Box.get = Box.take = new", "Box().get(), Box().take()"),
}
NEW = """
    def new(*args): return "new"
    class Fake:
        def dumps(self, value): return "new"
"""


@pytest.mark.parametrize("what", REPLACED)
def test_what_was_put_in_the_place_of_what_a_statement_gave_is_there(desk: Desk, what: str) -> None:
    change, shown = REPLACED[what]
    desk.module(ALTERNATIVES + f"\n    def show(): return {shown}\n", "library")
    work = desk.module("import library\n" + textwrap.dedent(NEW) + "def main():\n    return library.show()\n")
    library = sys.modules["library"]
    before = repr(library.show())
    vars(library).update(new=work.new, Fake=work.Fake)
    exec(change, vars(library))
    del library.new, library.Fake
    expected = library.show()
    assert repr(expected) != before
    assert arrived(capture(work.main))() == expected


def test_which_of_several_statements_gave_a_name_its_value_is_up_to_the_worker(desk: Desk) -> None:
    shown = "has_it, json.dumps(1), table, decorated(), once(), made(), also(), Box().take()"
    desk.module(ALTERNATIVES + f"\n    def show(): return {shown}\n", "library")
    work = desk.module("import library\ndef main():\n    return library.show()\n")
    bundle = capture(work.main)
    assert "has_it·" not in bundle.graph
    assert not json.loads(bundle.graph).get("after")
    assert arrived(bundle)() == (False, "1", {"a": 1}, "old", "old", "old", "old", "old")
