"""What cannot travel is refused before anything starts: which variable, in which line of whose file, what to do."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from fanfold.errors import CaptureError
from fanfold.source.capture import capture
from tests.source.conftest import Desk


def refusal(function: Any) -> str:
    with pytest.raises(CaptureError) as refused:
        capture(function)
    return str(refused.value)


@pytest.mark.parametrize(
    ("definition", "said", "next_step"),
    [
        ("sign = lambda x: -x", "a lambda", "Write it as a function: `def sign(...): return ...`."),
        (
            "import io\nsign = io.StringIO()",
            "an open file",
            "Open it inside the function, and pass its path instead of 'sign'.",
        ),
        (
            "import threading\nsign = threading.Lock()",
            "a live _thread.lock",
            "Make it inside the function: each run has a process to itself.",
        ),
        (
            "import mmap\nsign = mmap.mmap(-1, 8)",
            "a live object (mmap.mmap)",
            "Make 'sign' inside the function, or pass what it is made from as a parameter.",
        ),
        (
            "def make(n):\n    def add(x): return x + n\n    return add\nsign = make(3)",
            "a function made inside another (make.<locals>.add), which holds 'n'",
            "Write 'sign' as a `def` at the top level, or make it inside 'main'.",
        ),
        (
            "def one(): pass\nsign = {'f': one}\nsign.update(g=one)",
            "a live object (dict)",
            "Make 'sign' inside the function, or pass what it is made from as a parameter.",
        ),
        (
            "import functools\ndef sign(x): return x\nsign = functools.partial(sign, 1)",
            "a live object (functools.partial)",
            "Make 'sign' inside the function, or pass what it is made from as a parameter.",
        ),
    ],
)
def test_a_global_that_is_no_source_and_no_value(desk: Desk, definition: str, said: str, next_step: str) -> None:
    module = desk.module(f"{definition}\n\ndef main(x):\n    y = x\n    return sign(y)\n")
    line = definition.count("\n") + 5
    assert refusal(module.main) == (
        f"{module.__file__}:{line}: 'main' uses 'sign', {said}; it cannot travel.\n  Next: {next_step}"
    )


def test_a_proxy_that_raises_whatever_it_is_asked(desk: Desk) -> None:
    module = desk.module("""
        class Proxy:
            def __getattr__(self, name): raise RuntimeError("no application")
            def __call__(self): ...
        sign = Proxy()
        def main(): return sign()
        """)
    assert "'main' uses 'sign', a live object (work.Proxy); it cannot travel." in refusal(module.main)


def test_the_line_is_that_of_the_function_that_uses_it(desk: Desk) -> None:
    module = desk.module(
        "import io; f = io.StringIO()\ndef inner():\n    return f.read()\ndef main():\n    return inner()\n"
    )
    assert refusal(module.main).startswith(f"{module.__file__}:3: 'inner' uses 'f', an open file")


def test_a_closure_over_a_local_variable(desk: Desk) -> None:
    module = desk.module("def make(k):\n    def main(x):\n        return (x +\n            k)\n    return main\n")
    assert refusal(module.make(1)) == (
        f"{module.__file__}:4: 'main' uses 'k', a local variable of the function around it; it cannot travel.\n"
        "  Next: Pass 'k' as a parameter, or move it to the top level of the file."
    )


@pytest.mark.parametrize("head", ["def main(x=k): pass", "@k\n    def main(): pass", "def main(x: k): pass"])
def test_a_local_variable_used_by_the_definition_itself(desk: Desk, head: str) -> None:
    module = desk.module(f"import functools\ndef make(k):\n    {head}\n    return main\n")
    line = 3
    assert refusal(module.make(functools.cache)).startswith(
        f"{module.__file__}:{line}: 'main' uses 'k', a local variable of the function around it"
    )


def test_a_decorator_that_hides_what_it_wraps(desk: Desk) -> None:
    module = desk.module("""
        def deco(fn):
            def inner():
                return fn()
            return inner

        @deco
        def main(): ...
        """)
    assert refusal(module.main) == (
        f"{module.__file__}:3: 'inner' uses 'fn', a local variable of the function around it; it cannot travel.\n"
        "  Next: Move 'fn' to the top level of the file; if 'inner' is a decorator's wrapper, "
        "add `@functools.wraps` to it."
    )


WRAPPER = """
import functools
def timed(fn):
    @functools.wraps(fn)
    def inner():
        return fn()
    return inner
def plain(): return 1
"""


@pytest.mark.parametrize("use", ["main = timed(plain)", "plain = timed(plain)\ndef main(): return plain()"])
def test_a_function_wrapped_by_a_call(desk: Desk, use: str) -> None:
    module = desk.module(WRAPPER + use)
    assert refusal(module.main) == (
        f"{module.__file__}:7: 'plain' was wrapped by a call, of which its source knows nothing.\n"
        "  Next: Wrap it with a decorator line (`@...`) above `def plain`."
    )


def test_a_lambda_a_builtin_an_object() -> None:
    here = Path(__file__)
    line = sys._getframe().f_lineno + 1
    said = refusal(lambda: 1)
    assert said == f"{here}:{line}: a lambda cannot travel.\n  Next: Write it as a function with `def`."
    assert refusal(len).startswith("<built-in function len> is no Python function with source of its own")
    assert refusal(functools.partial(refusal)).endswith("Next: Write a function with `def` that calls it.")
    assert refusal(5).startswith("5 is no Python function")


def test_a_file_that_has_changed_since(desk: Desk) -> None:
    module = desk.module("def main(): return 1\n")
    desk.write("work.py", "# a new line\ndef main(): return 1\n")
    assert refusal(module.main) == (
        f"{module.__file__}:1: 'main' is not there any more: the file has changed since it was loaded.\n"
        "  Next: Restart Python, or reload the module, so that what runs is what the file says."
    )
    desk.write("work.py", "def main(x): return 1\n")
    assert "has changed" in refusal(module.main)


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
    assert refusal(module.main).startswith(f"{module.__file__}:1: 'main' is not there any more: the file has changed")
    importlib.reload(module)
    capture(module.main)


def test_a_module_of_the_project_that_has_been_edited_since(desk: Desk) -> None:
    desk.write("tool.py", "def f(): return 1\nclass A:\n    def g(self): return 2\n")
    module = desk.module("import tool\ndef main(): return tool.f()\n")
    capture(module.main)
    desk.write("tool.py", "def f(): return 1\nclass A:\n    def g(self): return 3\n")
    assert refusal(module.main).startswith(f"{desk.root}/tool.py:3: 'g' is not there any more: the file has changed")


def test_code_that_was_compiled_from_something_else_than_its_file_is_not_taken_for_edited(desk: Desk) -> None:
    # As pytest does with the assertions of this file.
    capture(refusal)
    module = desk.module("def main(): return 1\n")
    module.__spec__.loader = object()
    module.main.__code__ = module.main.__code__.replace(co_consts=(None, 2))
    capture(module.main)


def test_a_file_that_is_gone(desk: Desk) -> None:
    module = desk.module("def main(): return 1\n")
    Path(str(module.__file__)).unlink()
    assert refusal(module.main) == (
        f"{module.__file__}:1: Python has not kept the source of 'main'.\n"
        "  Next: Put the function in a file and run that, or import it; a notebook works too."
    )


def test_text_that_was_executed_and_not_kept() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def main(): return 1", namespace)
    assert refusal(namespace["main"]).startswith("<string>:1: Python has not kept the source of 'main'.")


def test_two_definitions_of_one_name_in_use_at_once(desk: Desk) -> None:
    module = desk.module("def f(): return 1\nold = f\ndef f(): return old() + 1\ndef main(): return f()\n")
    assert re.match(rf"{module.__file__}:\d: 'f' uses 'f', of which two definitions are in use", refusal(module.main))


def test_a_function_that_uses_what_it_is_defined_in(desk: Desk) -> None:
    module = desk.module("def make():\n    def main(): return helper()\n    return main\ndef helper(): return make\n")
    assert refusal(module.make()) == (
        f"{module.__file__}:2: 'main' is defined inside 'make', and uses it.\n"
        "  Next: Move 'main' to the top level of its file."
    )


def test_a_project_module_that_is_not_python_source(desk: Desk) -> None:
    desk.write("fast.so", "")
    module = desk.module("def main():\n    import fast\n    return fast\n")
    sys.modules["fast"] = type(sys)("fast")
    sys.modules["fast"].__file__ = str(desk.root / "fast.so")
    try:
        assert refusal(module.main) == (
            f"{module.__file__}:2: module 'fast' of your project is not Python source ({desk.root}/fast.so); "
            "only .py files travel.\n"
            "  Next: Install the package that 'fast' belongs to where the UDF runs, or leave the import out."
        )
    finally:
        del sys.modules["fast"]


def test_a_timed_cell_whose_text_python_does_not_keep() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("def main(): return 1", "<timed exec>", "exec"), namespace)
    assert refusal(namespace["main"]) == (
        "<timed exec>:1: Python has not kept the source of 'main'.\n"
        "  Next: Define it in a cell without `%%time`, and time the cell that calls it."
    )
