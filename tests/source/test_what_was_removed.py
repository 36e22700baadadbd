"""What somebody has removed since, or put in the place of a library's own: a run has it as it is now."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import fanfold
from fanfold.source.capture import capture

LIB = """
    import json, sys
    LIMIT = 5
    TABLE = {"k": 1, "j": 2}
    if sys.version_info > (3, 8):
        FAST, SAFE = 1, 2
    else:
        SLOW = 3
    try:
        import no_such_module_anywhere as accelerated
    except ImportError:
        accelerated = None
    def fast(): return "fast"
    def slow(n=1): return f"slow {n}"
    slow.unit = "m"
    class Base:
        def m(self): return "Base"
        k = 1
    class Below(Base):
        def m(self): return "Below"
        k = 2
        def __len__(self): return 3
        def __mine(self): return 4
    def told(name): return globals().get(name, "gone")
    for each in (1, 2): pass
    del each
"""

REMOVED: dict[str, tuple[str, str, object]] = {
    "a constant": ("del lib.LIMIT", "hasattr(lib, 'LIMIT')", False),
    "a function": ("monkeypatch.delattr(lib, 'fast')", "lib.told('fast')", "gone"),
    "an import": ("del lib.json", "hasattr(lib, 'json')", False),
    "of an if": ("del lib.FAST", "(lib.told('FAST'), lib.SAFE)", ("gone", 2)),
    "of a try": ("del lib.accelerated", "hasattr(lib, 'accelerated')", False),
    "a method": ("delattr(lib.Below, 'm')", "lib.Below().m()", "Base"),
    "an attribute of a class": ("del lib.Below.k", "lib.Below().k", 1),
    "a special method": ("del lib.Below.__len__", "hasattr(lib.Below(), '__len__')", False),
    "a private method": ("del lib.Below._Below__mine", "hasattr(lib.Below, '_Below__mine')", False),
    "an attribute of a function": ("del lib.slow.unit", "hasattr(lib.slow, 'unit')", False),
    "a default": ("lib.slow.__defaults__ = None", "lib.slow.__defaults__", None),
    "an item": ("del lib.TABLE['k']", "lib.TABLE", {"j": 2}),
}


@pytest.mark.parametrize("what", REMOVED)
def test_what_was_removed_from_a_module_is_gone_in_the_run(desk, monkeypatch, what: str) -> None:
    statement, asked, result = REMOVED[what]
    desk.write("lib.py", LIB)
    module = desk.module(f"import lib\ndef main(): return {asked}\n")
    before = capture(module.main).code_hash
    exec(statement, {"lib": sys.modules["lib"], "monkeypatch": monkeypatch})
    bundle = capture(module.main)
    assert module.main() == result
    assert desk.elsewhere(bundle) == json.loads(json.dumps(result))
    assert bundle.code_hash != before


def test_a_text_that_removes_its_own_names_has_nothing_removed(desk) -> None:
    desk.write("lib.py", LIB)
    module = desk.module("import lib\ndef main(): return lib.told('each'), lib.told('SLOW'), lib.fast()\n")
    assert '"after"' not in capture(module.main).graph


#: What was done to a library, what code asks then, and what it gets.
OF_LIBRARIES: dict[str, tuple[str, str, object]] = {
    "a function that was removed": ("del string.capwords", "hasattr(string, 'capwords')", False),
    "a class's method that was removed": (
        "del string.Template.safe_substitute", "hasattr(string.Template, 'safe_substitute')", False),
    "one in C that was removed": ("del math.sqrt", "hasattr(math, 'sqrt')", False),
    "one of a star import": ("del os.getppid", "hasattr(os, 'getppid')", False),
    "a constant": ("string.digits = 'abc'", "string.digits", "abc"),
    "a constant in C": ("math.pi = 3", "math.pi", 3),
    "a function of the library's own": ("os.getcwd = os.getuid", "os.getcwd.__name__", "getuid"),
    "a function of another library": ("string.capwords = sorted", "string.capwords('ba')", ["a", "b"]),
    "a builtin": ("time.sleep = sorted", "time.sleep('ba')", ["a", "b"]),
    "a partial": ("time.time = functools.partial(int, 5)", "time.time()", 5),
    "a method": ("string.Template.substitute = lambda self: 'mine'", "string.Template('x').substitute()", "mine"),
    "a function within a package": ("os.path.lexists = lambda path: 'mine'", "os.path.lexists('/')", "mine"),
}  # fmt: skip

NAMES = ("string", "math", "os", "posixpath", "time")


@pytest.fixture
def libraries() -> Iterator[Callable[[], None]]:
    """What puts these libraries back."""
    kept = {name: dict(vars(sys.modules[name])) for name in NAMES}
    import string

    members = dict(vars(string.Template))

    def put_back() -> None:
        for name, before in kept.items():
            vars(sys.modules[name]).update(before)
        for name in ("substitute", "safe_substitute"):
            setattr(string.Template, name, members[name])

    yield put_back
    put_back()


@pytest.mark.parametrize("what", OF_LIBRARIES)
def test_what_was_done_to_a_library_is_so_in_the_run(desk, libraries, what: str) -> None:
    statement, asked, result = OF_LIBRARIES[what]
    module = desk.module(f"""
        import functools, math, os, string, time
        def do(): {statement}
        def main(): return {asked}
    """)
    before = capture(module.main).code_hash
    module.do()
    bundle = capture(module.main)
    assert module.main() == result
    libraries()
    assert desk.elsewhere(bundle) == result
    assert bundle.code_hash != before


def test_an_import_within_the_function_and_a_module_of_the_project_have_it_too(desk, libraries) -> None:
    desk.write("lib.py", "import string\ndef g(): return string.capwords('a b')\n")
    module = desk.module("""
        import string, time, lib
        def do():
            time.time = lambda: 5
            string.capwords = lambda text: "mine"
        def main():
            import time as t
            from time import time
            return t.time(), time(), lib.g()
    """)
    module.do()
    bundle = capture(module.main)
    libraries()
    assert desk.elsewhere(bundle) == [5, 5, "mine"]


def test_libraries_as_they_are_bring_nothing(desk) -> None:
    module = desk.module("""
        import functools, logging, math, os, string, time
        import numpy as np, pyarrow as pa
        @functools.total_ordering
        class Ordered:
            def __lt__(self, other): return True
            def __eq__(self, other): return False
        def main(x):
            import json, socket
            return (Ordered, functools._gt_from_lt, pa.array, pa.RecordBatch.from_arrays, pa.lib.Table,
                os.path.join(os.sep, "a"), math.pi, string.digits, logging.INFO, time.time(), np.pi, np.nan,
                np.float64(x), json.loads("1"), socket.AF_INET, np.abs(x), os.linesep, hasattr(np, "float_"))
    """)
    assert '"after"' not in capture(module.main).graph


def test_a_part_of_a_package_that_nobody_has_loaded_yet_is_not_looked_for_in_its_text(desk, monkeypatch) -> None:
    """numpy loads `np.random` as it is asked for; to read its text for that would take longer than the capture."""
    lazy = "# parts\ndef __getattr__(name):\n    import importlib\n    return importlib.import_module(f'lazy.{name}')\n"
    desk.write("../site-packages/lazy/__init__.py", lazy)
    desk.write("../site-packages/lazy/parts.py", "X = 3\n")
    module = desk.module("""
        import lazy
        def main(): return lazy.parts.X
    """)

    def read(module):
        raise AssertionError(f"the text of {module} is read")

    monkeypatch.setattr("fanfold.source.patched._source", read)
    bundle = capture(module.main)
    assert '"after"' not in bundle.graph
    assert "lazy.parts" not in sys.modules
    assert module.main() == 3


def test_a_module_that_cannot_be_imported_and_one_that_a_program_has_made(desk, monkeypatch) -> None:
    made = ModuleType("made_by_hand")
    made.x = 5  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_by_hand", made)
    monkeypatch.setitem(sys.modules, "decimal", None)
    module = desk.module("""
        def main():
            import made_by_hand
            try:
                import decimal
            except ImportError:
                return made_by_hand.x
    """)
    assert desk.elsewhere(capture(module.main)) == 5


def test_what_was_put_into_builtins_is_there_for_modules_of_the_project(desk, monkeypatch) -> None:
    monkeypatch.setattr("builtins.twice_of_tests", lambda x: 2 * x, raising=False)
    desk.write("lib.py", "HERE = twice_of_tests(2)\ndef g(): return twice_of_tests(4)\n")
    module = desk.module("import lib\ndef main(): return lib.g(), lib.HERE\n")
    assert desk.elsewhere(capture(module.main)) == [8, 4]


def test_a_call_of_an_executor_has_it_so_as_well(desk, libraries) -> None:
    desk.write("lib.py", LIB)
    module = desk.module("""
        import math, lib
        def main(): return lib.told("fast"), lib.Below().m(), hasattr(math, "sqrt"), math.pi
    """)
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(module.main).result()[1:3] == ("Below", True)
        del sys.modules["lib"].fast, sys.modules["lib"].Below.m, sys.modules["math"].sqrt
        sys.modules["math"].pi = 3
        assert executor.submit(module.main).result() == ("gone", "Base", False, 3)
