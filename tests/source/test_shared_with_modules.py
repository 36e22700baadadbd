"""What the UDF's file and a module of the project both hold: one object in the run as well."""

from __future__ import annotations

import textwrap

import pytest

from fanfold.source.capture import capture
from fanfold.source.explain import Travels, explain, explain_bundle
from fanfold.source.load import unload
from tests.source.conftest import Desk, arrived

LIB = """
    import threading
    from collections import Counter, deque
    from contextvars import ContextVar
    from types import SimpleNamespace
    from typing import NewType, TypeVar

    NAMES, CACHE, RECENT, COUNTS = ["a"], {}, deque(maxlen=3), Counter("aa")
    KNOWN = set()
    FIRST = AGAIN = []
    MADE = list(range(3))
    MISSING, UNKNOWN = object(), object()
    USER, OPEN = ContextVar("user"), ContextVar("open", default=[])
    T, Id, LOCK = TypeVar("T"), NewType("Id", int), threading.Lock()
    CONFIG = SimpleNamespace(x=1)
    CACHE["names"] = NAMES
    def put(x):
        for each in (NAMES, RECENT, FIRST, MADE, OPEN.get()): each.append(x)
        CACHE[x], COUNTS[x] = x, 1
        KNOWN.add(x), USER.set(x)
    def is_marked(x=MISSING, y=UNKNOWN): return x is MISSING, y is UNKNOWN
    """
MAIN = """
    import lib, other
    from lib import CACHE, CONFIG, COUNTS, FIRST, AGAIN, Id, LOCK, MADE, MISSING, OPEN, RECENT, T, UNKNOWN, USER
    from lib import NAMES as OURS

    class Store:
        def __init__(self, known): self.known = known
    STORE = Store(lib.KNOWN)

    def main():
        lib.put(7)
        ones = [CACHE is lib.CACHE, CONFIG is lib.CONFIG, COUNTS is lib.COUNTS, FIRST is AGAIN is lib.AGAIN]
        ones += [MADE is lib.MADE, OPEN is lib.OPEN, RECENT is lib.RECENT, T is lib.T, Id is lib.Id, USER is lib.USER]
        ones += [LOCK is lib.LOCK, OURS is lib.NAMES is CACHE["names"], STORE.known is lib.KNOWN]
        held = OURS, CACHE, list(RECENT), dict(COUNTS), FIRST, MADE, OPEN.get(), USER.get(), STORE.known
        return [*ones, *lib.is_marked(), *lib.is_marked(MISSING, UNKNOWN), *other.ones()], held
    """
#: Which has them under names of its own.
OTHER = """
    import lib
    from lib import *
    from lib import NAMES as LISTED, UNKNOWN as WITHOUT
    def ones(): return LISTED is NAMES is lib.NAMES, WITHOUT is lib.UNKNOWN, MADE is lib.MADE, CONFIG is lib.CONFIG
    """


@pytest.mark.parametrize("is_changed", [False, True])
def test_it_is_one_object_also_where_it_was_changed_since_the_module_was_loaded(desk: Desk, is_changed: bool) -> None:
    desk.write("lib.py", LIB)
    desk.write("other.py", OTHER)
    module = desk.module(MAIN)
    if is_changed:
        module.lib.NAMES.append(5)
        module.lib.CACHE["x"] = module.lib.COUNTS["z"] = 4
        module.lib.MADE[0], module.lib.CONFIG.x = 9, 2
        module.lib.USER.set("me")
        module.lib.OPEN.set([1])
    bundle = capture(module.main)
    assert capture(module.main).code_hash == bundle.code_hash
    got = arrived(bundle)()
    unload()
    assert got == module.main()


def test_a_module_that_nothing_else_needs_does_not_travel_for_a_list_of_it(desk: Desk) -> None:
    desk.write("lib.py", "NAMES = ['a']\nprint(open('/nowhere/else').read()) if __name__ == 'here' else None\n")
    bundle = desk.capture("from lib import NAMES\ndef main(): return NAMES\n")
    assert [source.module for source in bundle.sources] == ["work"]
    assert arrived(bundle)() == ["a"]


def test_what_only_a_module_mentions_that_is_not_imported_yet_is_what_it_is_now(desk: Desk) -> None:
    desk.write("scale.py", "FACTOR = 2\n")
    desk.write("late.py", "import scale\ndef scaled(x): return x * scale.FACTOR\n")
    module = desk.module("import scale\ndef main(x):\n    import late\n    return late.scaled(x)\n")
    module.scale.FACTOR = 5
    assert arrived(capture(module.main))(3) == 15


SHELF = """
    from contextvars import ContextVar
    class Book:
        def __init__(self, title): self.title = title
    RULES = ContextVar("rules", default=["strict"])
    BOOKS = {"first": Book("A"), "second": Book("B")}
    """


def test_explain_says_by_name_of_what_the_module_has_and_by_value_of_what_it_is_given(desk: Desk) -> None:
    desk.write("shelf.py", textwrap.dedent(SHELF))
    module = desk.module("""
        import shelf
        from shelf import BOOKS, RULES as OURS
        OWN = {"b": 2}
        def main(): return BOOKS["first"], OURS, OWN, shelf.Book
        """)
    by_name = Travels("name", "OURS", "shelf.RULES")
    for explained in (explain(module.main), explain_bundle(capture(module.main))):
        assert by_name in explained.things
        assert {each.lane for each in explained.things if each.name.startswith("OURS")} == {"name"}
        assert {each.lane for each in explained.things if each.name == "OWN"} == {"value"}
        assert "object" in {each.lane for each in explained.things if each.name.startswith("BOOKS")}


def test_explain_tells_a_part_of_a_module_s_object_that_the_code_holds_besides(desk: Desk) -> None:
    desk.write("shelf.py", textwrap.dedent(SHELF))
    module = desk.module("""
        import shelf
        from shelf import RULES
        STRICT = RULES.get()
        def main(): return RULES, STRICT, shelf.Book
        """)
    lanes = {(each.lane, each.name) for each in explain(module.main).things}
    assert {("name", "RULES"), ("value", "STRICT")} <= lanes


def test_a_list_that_a_container_of_the_module_holds_as_well_is_one(desk: Desk) -> None:
    desk.write(
        "lib.py",
        """
        NAMES = ["a"]
        CACHE = {}
        CACHE["names"] = NAMES
        def put(x): NAMES.append(x)
        """,
    )
    text = """
        import lib
        from lib import CACHE, NAMES as OURS
        def main():
            lib.put(7)
            return CACHE is lib.CACHE, OURS is lib.NAMES, lib.NAMES is CACHE["names"], OURS
    """
    assert desk.result(text) == (True, True, True, ["a", 7])
