"""Capture works wherever Python keeps the source: scripts, modules, IPython, notebooks, doctests, `python -c`."""

from __future__ import annotations

import ast
import doctest
import linecache
import os
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Any

import pytest

from fanfold.errors import CaptureError
from fanfold.source.capture import capture
from fanfold.source.load import Bundle, load
from fanfold.source.texts import tree_of
from tests.source.conftest import Desk, arrived, interpreters, shipped

CLIENT = Path(__file__).parents[2] / "client"
SEND = "from fanfold.source.capture import capture\nprint(capture(main).to_bytes().decode())\n"


def run(command: list[str], desk: Desk, **options: Any) -> subprocess.CompletedProcess[str]:
    paths = [str(desk.installed), str(CLIENT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)


def test_a_script_that_needs_no_guard(desk: Desk) -> None:
    desk.write("tool.py", "def f(): return 'tool'\n")
    script = desk.write(
        "script.py",
        """
        import fan, tool

        class Thing:
            name = "thing"

        @fan.udf
        def main():
            return [tool.f(), Thing.name, Thing.__module__]

        """,
    )
    script.write_text(script.read_text() + SEND + "raise SystemExit\n")
    sent = run([sys.executable, str(script)], desk)
    assert desk.elsewhere(Bundle.from_bytes(sent.stdout.encode())) == ["tool", "thing", "__main__"]


def test_a_module_run_with_dash_m(desk: Desk) -> None:
    desk.write("app/util.py", "def f(): return 'util'\n")
    desk.write("app/jobs.py", "from .util import f\ndef main(): return f()\n" + SEND)
    sent = run([sys.executable, "-m", "app.jobs"], desk, cwd=desk.root)
    assert desk.elsewhere(Bundle.from_bytes(sent.stdout.encode())) == "util"


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: path.split("/")[-3])
@pytest.mark.parametrize("how", ["-c", "-Bc attached", "-W error -X utf8 --check-hash-based-pycs default -c", "<"])
def test_a_text_given_on_the_command_line_or_as_a_file(desk: Desk, python: str, how: str) -> None:
    text = "import math\ndef main():\n    return math.floor(2.5)\n" + SEND
    if how == "<":
        with desk.write("typed.py", text).open() as file:
            sent = run([python], desk, stdin=file)
    else:
        *switches, last = how.removesuffix(" attached").split()
        sent = run([python, *switches, *([last + text] if "attached" in how else [last, text])], desk)
    assert sent.returncode == 0, sent.stderr
    bundle = Bundle.from_bytes(sent.stdout.encode())
    assert "math.floor" in shipped(bundle)
    assert arrived(bundle)() == 2


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Python takes away what indents the whole text since 3.14")
def test_a_text_on_the_command_line_that_is_indented_as_a_whole(desk: Desk) -> None:
    text = textwrap.indent("class A: x = 1\nkept = A\ndel A\ndef main():\n    return kept.x + 1\n" + SEND, "    ")
    bundle = Bundle.from_bytes(run([sys.executable, "-c", text], desk).stdout.encode())
    assert bundle.needs == ()
    assert arrived(bundle)() == 2


def test_a_text_that_came_through_a_pipe_is_gone_and_its_code_travels_as_it_is(desk: Desk) -> None:
    sent = run([sys.executable], desk, input="def main(): return 1\n" + SEND)
    bundle = Bundle.from_bytes(sent.stdout.encode())
    assert arrived(bundle)() == 1
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert bundle.needs == (("<stdin>: 'main', of which Python has no text,", "Python", here),)
    with pytest.raises(CaptureError, match="'main', of which Python has no text, needs Python 2"):
        load(bundle._replace(needs=((bundle.needs[0][0], "Python", "2.7"),)))
    assert bundle.left_statements == ("line 1: what the script sets up at its top, of which Python has kept no text",)


def test_that_a_script_came_through_a_pipe_is_said_once_when_it_is_submitted(desk: Desk) -> None:
    submits = "def main(): return 1\nfor _ in range(2): fanfold.submit(main, [{}], plan=True)\n"
    sent = run([sys.executable], desk, input=f"import fanfold\n{submits}")
    assert sent.returncode == 0, sent.stderr
    assert sent.stderr.count("what the script sets up at its top") == 1
    assert "`python < script.py`" in sent.stderr
    with desk.write("typed.py", f"import fanfold\n{submits}").open() as file:
        assert "sets up" not in run([sys.executable], desk, stdin=file).stderr


@pytest.fixture
def shell() -> Any:
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell

    before = dict(linecache.cache)
    main = sys.modules["__main__"]
    shell = InteractiveShell()
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()
    sys.modules["__main__"] = main
    linecache.cache.clear()
    linecache.cache.update(before)


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_cells_of_ipython(shell: Any, desk: Desk) -> None:
    cells = [
        "from __future__ import annotations",
        "import math as m, re\nWORD = re.compile('x')",
        "class Base:\n    kind = 'old'",
        "class Base:\n    kind = 'older'\ndef main(x: Missing):\n    return [helper(x), Sub.kind, WORD.pattern]",
        "class Base:\n    kind = 'new'",
        "class Sub(Base): ...",
        "%time pass\ndef helper(x):\n    return m.floor(x)",
        "def broken(x):\n    return 1 / x",
    ]
    for cell in cells:
        assert shell.run_cell(cell, store_history=True).success
    bundle = capture(shell.user_ns["main"])
    broken = capture(shell.user_ns["broken"])
    linecache.cache.clear()
    assert desk.elsewhere(bundle, 2.5) == [2, "new", "x"]
    with pytest.raises(ZeroDivisionError) as failed:
        load(broken)()(0)
    assert traceback.extract_tb(failed.value.__traceback__)[-1].line == "return 1 / x"


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_cell_that_imports_what_its_functions_call_travels_as_text(shell: Any, desk: Desk) -> None:
    cell = """
        import math as m
        class Own:
            def floor(self, x):
                return m.floor(x)
        up = lambda x: m.ceil(x); down = lambda x: m.floor(x)
        def main(x):
            nearest = lambda x: m.floor(x + 0.5)
            return [Own().floor(x), up(x), down(x), nearest(x)]
        """
    assert shell.run_cell(textwrap.dedent(cell), store_history=True).success
    bundle = capture(shell.user_ns["main"])
    assert not bundle.needs
    assert desk.elsewhere(bundle, 2.6) == [2, 3, 2, 3]


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    "awaits",
    ["await asyncio.sleep(0)", "async with N(): pass", "[n async for n in numbers()]"],
)
def test_functions_of_a_cell_that_awaits_travel_as_text(shell: Any, desk: Desk, awaits: str) -> None:
    cell = f"""
        import asyncio, contextlib
        import math as m
        class N:
            async def __aenter__(self): return 1
            async def __aexit__(self, *_): pass
        async def numbers():
            yield 1
        def helper(x):
            return m.floor(x)
        {awaits}
        """
    assert shell.run_cell(textwrap.dedent(cell), store_history=True).success
    assert shell.run_cell("def main(x):\n    return helper(x)", store_history=True).success
    bundle = capture(shell.user_ns["main"])
    assert not bundle.needs
    assert desk.elsewhere(bundle, 2.6) == 2


def test_the_inputs_of_pythons_own_shell_which_keeps_them_from_3_13_on(desk: Desk) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    inputs = [
        "class Sub(Base): ...",  # run again further up, once there is a Base
        "from math import floor",
        "class Base:\n    n = 2.5",
        "def main(): return floor(Sub.n)",
    ]
    try:
        for n, text in enumerate(inputs):
            name = f"<python-input-{n}>"
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        for n in (1, 2, 0, 3):
            exec(compile(inputs[n], f"<python-input-{n}>", "exec"), namespace)
        assert desk.elsewhere(capture(namespace["main"])) == 2
    finally:
        for n in range(len(inputs)):
            linecache.cache.pop(f"<python-input-{n}>", None)


def test_a_notebook(desk: Desk) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    cells = ["import sys\nsys.path[:0] = " + repr([str(desk.installed), str(CLIENT)])]
    cells += ["import fan\nLIMIT = 2", "class Box:\n    n = LIMIT", "class Big(Box): ..."]
    cells += ["import math\n@fan.udf\ndef main():\n    return [Big.n, math.floor(0.5)]", SEND]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    run_notebook = textwrap.dedent("""
        import json, sys, nbformat, nbclient
        notebook = nbformat.reads(sys.stdin.read(), as_version=4)
        nbclient.NotebookClient(notebook, timeout=60).execute()
        print("".join(out["text"] for out in notebook.cells[-1].outputs))
        """)
    done = run([sys.executable, "-c", run_notebook], desk, input=nbformat.writes(notebook), timeout=120)
    assert done.returncode == 0, done.stderr + nbclient.__version__
    bundle = Bundle.from_bytes(done.stdout.strip().encode())
    assert bundle.module == "__main__"
    assert not bundle.needs  # it travels as text
    assert desk.elsewhere(bundle) == [2, 0]


def test_a_doctest() -> None:
    text = ">>> import math\n>>> def main(): return math.floor(1.5)\n>>> bundles.append(capture(main))\n"
    bundles: list[Bundle] = []
    test = doctest.DocTestParser().get_doctest(text, {"bundles": bundles, "capture": capture}, "doc", None, None)
    results = doctest.DocTestRunner().run(test)
    assert results.failed == 0
    assert load(bundles[0])()() == 1


def test_text_that_was_registered_with_linecache() -> None:
    text = "def main():\n    return 5\n"
    linecache.cache["<made up>"] = (len(text), None, text.splitlines(keepends=True), "<made up>")
    namespace: dict[str, Any] = {"__name__": "made_up"}
    exec(compile(text, "<made up>", "exec"), namespace)
    try:
        assert arrived(capture(namespace["main"]))() == 5
    finally:
        linecache.cache.pop("<made up>", None)


def test_a_tree_that_python_finds_wrong_while_other_threads_make_some_is_made_again(monkeypatch):
    real, left = ast.parse, [SystemError("AST constructor recursion depth mismatch (before=63, after=59)")] * 3

    def parse(*given, **named):
        if left:
            raise left.pop()
        return real(*given, **named)

    monkeypatch.setattr(ast, "parse", parse)
    assert ast.unparse(tree_of("x = [1]")) == "x = [1]"
    assert not left
