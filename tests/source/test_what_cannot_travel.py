"""What cannot travel is refused before anything starts: which variable, in which line of whose file, what to do."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from fanfold.errors import CaptureError
from fanfold.source.capture import capture
from fanfold.source.load import load
from fanfold.source.texts import compiled, tree_of
from tests.source.conftest import Desk, arrived, shipped


def refusal(function: Any) -> str:
    with pytest.raises(CaptureError) as refused:
        capture(function)
    return str(refused.value)


@pytest.mark.parametrize(
    ("definition", "inside", "said", "next_step"),
    [
        (
            "import threading\nsign = threading.Lock()\nsign.acquire()",
            "",
            "a lock that a thread of this process holds",
            "let go of 'sign' before you submit, or make it inside the function.",
        ),
        (
            "import mmap\nsign = mmap.mmap(-1, 8)",
            "",
            "a live object (mmap.mmap)",
            "make 'sign' inside the function, or pass what it is made from as a parameter.",
        ),
        (
            "sign = {'f': [open(__file__)]}\n",
            " (sign['f'][0])",
            "an open file",
            "open it inside the function, and pass its path instead of \"sign['f'][0]\".",
        ),
        (
            "import queue\nclass Client:\n    pass\nsign = Client()\nsign.waiting = queue.Queue()\nsign.waiting.put(1)",
            " (sign.waiting)",
            "a queue that holds 1 item",
            "empty 'sign.waiting' before you submit, or make it inside the function.",
        ),
        (
            "import multiprocessing\nsign = multiprocessing.Lock()",
            "",
            "a live multiprocessing.synchronize.Lock",
            "make it inside the function: each run has a process to itself.",
        ),
        (
            "import threading\nsign = threading.Thread(target=print)",
            "",
            "a live object (threading.Thread)",
            "make 'sign' inside the function, or pass what it is made from as a parameter.",
        ),
        (
            "class Template(str):\n    def __new__(c, text, by): return str.__new__(c, text)\nsign = Template('a', 1)",
            "",
            "a live object (work.Template)",
            "make 'sign' inside the function, or pass what it is made from as a parameter.",
        ),
    ],
)
def test_a_global_that_takes_none_of_the_lanes(
    desk: Desk, definition: str, inside: str, said: str, next_step: str
) -> None:
    module = desk.module(f"{definition}\n\ndef main(x):\n    y = x\n    return sign(y)\n")
    line = definition.count("\n") + 5
    try:
        assert refusal(module.main) == (
            f"{module.__file__}:{line}: 'main' uses 'sign'{inside}, {said}; it cannot travel.\n  Next: {next_step}"
        )
    finally:
        if "open(" in definition:
            module.sign["f"][0].close()


def test_a_proxy_that_raises_whatever_it_is_asked(desk: Desk) -> None:
    module = desk.module("""
        class Proxy:
            def __getattr__(self, name): raise RuntimeError("no application")
            def __call__(self): return 3
        sign = Proxy()
        def main(): return sign()
        """)
    assert arrived(capture(module.main))() == 3


def test_an_object_that_answers_every_question_with_itself(desk: Desk) -> None:
    text = """
        class Odd:
            def __getattribute__(self, name): return getattr(self, name)
        sign = Odd()
        def main(): return sign
        """
    assert "'main' uses 'sign', a live object (work.Odd)" in refusal(desk.module(text).main)


def test_the_line_is_that_of_the_function_that_uses_it(desk: Desk) -> None:
    module = desk.module(
        "import threading; f = threading.Thread()\ndef inner():\n    return f.name\ndef main():\n    return inner()\n"
    )
    assert refusal(module.main).startswith(f"{module.__file__}:3: 'inner' uses 'f', a live object (threading.Thread)")


def test_a_live_object_in_a_closure_or_a_default(desk: Desk) -> None:
    text = "def make(k):\n    def main(x):\n        return (x +\n            k)\n    return main\n"
    module = desk.module(text)
    held = threading.RLock()
    with held:
        assert refusal(module.make(held)).startswith(f"{module.__file__}:4: 'main' uses 'k', a lock that a thread")
    module = desk.module("import threading\ndef main(x=threading.Thread()): return x\n")
    assert refusal(module.main).startswith(f"{module.__file__}:2: 'main' uses 'main.x', a live object (threading.")


def test_what_contains_itself_too_deeply(desk: Desk) -> None:
    module = desk.module("deep = object\nfor _ in range(9000): deep = [deep]\ndef main(): return deep\n")
    assert refusal(module.main) == (
        f"{module.__file__}:3: 'main' uses 'deep', which contains itself, or is nested too deeply to be taken apart.\n"
        "  Next: make 'deep' inside the function, or pass what it is made from as a parameter."
    )


def test_what_cannot_be_called() -> None:
    assert refusal(5) == "5 cannot be called (int).\n  Next: give a function, or any other callable."


def test_a_file_that_has_changed_since(desk: Desk) -> None:
    module = desk.module("def main(): return 1\n")
    desk.write("work.py", "# a new line\ndef main(): return 1\n")
    capture(module.main)  # moved, and still what it was
    desk.write("work.py", "# a new line\ndef main(): return 2\n")
    assert refusal(module.main) == (
        f"{module.__file__}:1: 'main' does not stand there as it was loaded: the file has changed since.\n"
        "  Next: restart Python, or reload the module, so that what runs is what the file says."
    )
    desk.write("work.py", "def main(x): return 1\n")
    assert "has changed" in refusal(module.main)


def test_what_is_from_before_a_reload(desk: Desk) -> None:
    """The reload that an edited file asks for does not reach what was imported by name: import that again."""
    module = desk.module("def main(): return 1\nclass Model:\n    def fit(self): return 1\n")
    main, fit = module.main, module.Model.fit
    desk.write("work.py", "def main(): return 1000\nclass Model:\n    def fit(self): return 1000\n")
    assert "reload the module" in refusal(main)
    importlib.reload(module)
    for old, name in ((main, "main"), (fit, "Model")):
        asked = f"Next: run `from work import {name}` again: what you hold is from before the module was reloaded."
        assert refusal(old).endswith(asked)
    capture(module.main)
    capture(module.Model.fit)


def test_what_is_from_before_a_reload_and_decorated_since(desk: Desk) -> None:
    module = desk.module("def main(): return 1\n")
    main = module.main
    desk.write("work.py", "import functools\n@functools.lru_cache\ndef main(): return 1000\n")
    importlib.reload(module)
    assert "run `from work import main` again" in refusal(main)


def test_a_decorator_s_function_is_not_one_of_a_reload(desk: Desk) -> None:
    text = "def other(f):\n    def inner(): return f()\n    return inner\n@other\ndef main(): return 1\n"
    module = desk.module(text)
    main = module.main.__closure__[0].cell_contents
    desk.write("work.py", text.replace("return 1", "return 1000"))
    assert "reload the module" in refusal(main)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def main(x): return x + 1", "def main(x): return x + 1000"),
        ("def main(x): return x + 1", "def main(x): return x - 1"),
        ("def main(x): return x.a", "def main(x): return x.b"),
        ("def main(x): return (lambda: x + 1)()", "def main(x): return (lambda: x + 2)()"),
        ("def main(x): return x in {1, 2}", "def main(x): return x in {1, 3}"),
    ],
)
def test_a_function_that_has_been_edited_since(desk: Desk, before: str, after: str) -> None:
    module = desk.module(before + "\n")
    desk.write("work.py", f"{before}  # only a remark\n\nLATER = 1\n")
    capture(module.main)
    desk.write("work.py", after + "\n")
    assert refusal(module.main).startswith(
        f"{module.__file__}:1: 'main' does not stand there as it was loaded: the file has changed"
    )
    importlib.reload(module)
    capture(module.main)


def test_a_module_of_the_project_that_has_been_edited_since(desk: Desk) -> None:
    desk.write("tool.py", "def f(): return 1\nclass A:\n    def g(self): return 2\n")
    module = desk.module("import tool\ndef main(): return tool.f()\n")
    capture(module.main)
    desk.write("tool.py", "def f(): return 1\nclass A:\n    def g(self): return 3\n")
    assert refusal(module.main).startswith(
        f"{desk.root}/tool.py:3: 'g' does not stand there as it was loaded: the file has changed"
    )


def test_an_edit_of_a_function_that_nobody_uses_is_none_of_the_udf_s_business(desk: Desk) -> None:
    before = "def f(): return 1\ndef other(): return 2\ndef third(): return other()\n"
    desk.write("tool.py", before)
    module = desk.module("import tool\ndef main(): return tool.f()\ndef any_of(n): return getattr(tool, n)()\n")
    desk.write("tool.py", before.replace("return other()", "return -other()"))
    assert desk.elsewhere(capture(module.main)) == 1
    assert "tool.py:3: 'third'" in refusal(module.any_of)  # which may be asked for any
    desk.write("tool.py", before.replace("return 2", "return 3"))
    assert "tool.py:2: 'other'" in refusal(module.main)  # which `third` calls


def test_code_that_was_compiled_from_something_else_than_its_file_travels_as_it_is(desk: Desk) -> None:
    assert "def refusal" in shipped(capture(refusal))  # pytest has rewritten the assertions of this file: known
    module = desk.module("def main(): return 1000\n")  # a number that no code has within itself
    module.__spec__.loader = object()
    code = module.main.__code__
    consts = tuple(2000 if each == 1000 else each for each in code.co_consts)  # 3.14 has no None before it
    module.main.__code__ = code.replace(co_consts=consts)
    assert arrived(capture(module.main))() == 2000


def test_a_file_that_is_gone_and_text_that_was_executed_and_not_kept(desk: Desk) -> None:
    module = desk.module("def main(): return 1\n")
    Path(str(module.__file__)).unlink()
    assert arrived(capture(module.main))() == 1
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def main(): return " + str(1), namespace)
    assert arrived(capture(namespace["main"]))() == 1


def test_two_definitions_of_one_name_are_two(desk: Desk) -> None:
    text = "def f(): return 1\nold = f\ndef f(): return old() + 1\ndef main(): return f() + old()\n"
    assert desk.result(text) == 3


def test_a_function_that_uses_what_it_is_defined_in(desk: Desk) -> None:
    module = desk.module(
        "def make():\n    def main(): return helper()\n    return main\ndef helper(): return make.__name__\n"
    )
    assert arrived(capture(module.make()))() == "make"


def test_a_project_module_that_is_not_python_source(desk: Desk) -> None:
    desk.write("fast.so", "")
    module = desk.module("def main():\n    import fast\n    return fast\n")
    sys.modules["fast"] = type(sys)("fast")
    sys.modules["fast"].__file__ = str(desk.root / "fast.so")
    try:
        assert refusal(module.main) == (
            f"{module.__file__}:2: module 'fast' of your project is not Python source ({desk.root}/fast.so); "
            "only .py files travel.\n"
            "  Next: install the package that 'fast' belongs to where the UDF runs, or leave the import out."
        )
    finally:
        del sys.modules["fast"]


PATCHED = """
import time
from unittest import mock
def now():
    return time.strftime("%Y")
def main():
    return now()
def patched_inside():
    with mock.patch("time.strftime", return_value="1999"):
        return now()
"""


def test_what_has_no_end_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # A mock that has been called has a call, which has a call for each attribute that it is asked for.
    module = desk.module(PATCHED)
    with monkeypatch.context() as patches:
        patches.setattr("time.strftime", mock.MagicMock(return_value="1999"))
        assert module.main() == "1999"
        assert refusal(module.main) == (
            f"{module.__file__}:3: 'now' uses 'time.strftime', which contains itself, or is nested too deeply to be "
            "taken apart.\n"
            "  Next: put it in the place of 'time.strftime' inside the function, or pass what it is made from as a "
            "parameter."
        )
    assert desk.elsewhere(capture(module.patched_inside)) == "1999"


#: Texts that Python's parser or its compiler give up on, each in another way.
GIVEN_UP = {
    "nulls": "x = 1\0\n",
    "too many brackets": "x = " + "(" * 2000 + ")" * 2000 + "\n",
    "too deep": "x = " + "-" * 20_000 + "1\n",
}


@pytest.mark.parametrize("how", GIVEN_UP)
def test_a_module_of_the_project_that_python_gives_up_on_is_named(desk: Desk, how: str) -> None:
    desk.write("broken.py", GIVEN_UP[how])
    module = desk.module("def main():\n    import broken\n    return broken.x\n")
    said = refusal(module.main)
    assert f"{module.__file__}:2: module 'broken' of your project cannot be read ({desk.root}/broken.py: " in said
    assert f"Next: correct {desk.root}/broken.py" in said


@pytest.mark.parametrize("how", [*GIVEN_UP, "outside"])
def test_texts_nearby_that_python_gives_up_on_are_no_texts_of_a_function(how: str) -> None:
    # Of a function that came as a text, any text in the variables around may be the one.
    nearby = "def other(): pass\n" + GIVEN_UP.get(how, "return 1\n")
    namespace: dict[str, Any] = {"__name__": "made"}
    exec("".join(["def main():", " return ", str(len(nearby))]), namespace)
    assert arrived(capture(namespace["main"]))() == len(nearby)


def test_a_text_is_read_or_a_syntax_error_whatever_is_wrong_with_it() -> None:
    for text in GIVEN_UP.values():
        with pytest.raises(SyntaxError):
            compiled(text, "<any>")
        with pytest.raises(SyntaxError):
            tree_of(text)
    with pytest.raises(SyntaxError):
        tree_of("x = '\udc80'")
    with pytest.raises(SyntaxError, match="outside function"):
        compiled("return 1", "<any>")
    with pytest.raises(SyntaxError, match=r"recursion|Stack overflow"):
        compiled("x = " + "+".join(["1"] * 200_000), "<any>")


def test_a_class_whose_statement_the_python_of_the_run_cannot_read_is_named(desk: Desk) -> None:
    bundle = capture(desk.module("import enum\nclass Colour(enum.Enum):\n    RED = 1\n").Colour)
    # As where a newer Python has captured it, whose syntax this one does not know.
    newer = tuple(source._replace(text=source.text + "x = = 1\n") for source in bundle.sources)
    with pytest.raises(CaptureError, match=r"work.py:4: Python 3\.\d+, which runs this, cannot read it \(invalid"):
        load(bundle._replace(sources=newer))()
