"""Every call of the factory makes new modules: no run sees another's globals."""

from __future__ import annotations

import inspect
import linecache
import pickle
import subprocess
import sys
import timeit
import traceback
from pathlib import Path
from typing import Any

import pytest

from fanfold.errors import CaptureError
from fanfold.source.capture import capture
from fanfold.source.load import Bundle, load, unload
from tests.source.conftest import Desk, of_text


def test_globals_values_and_classes_start_anew(desk: Desk) -> None:
    desk.write("tool.py", "seen = []\n")
    bundle = desk.capture("""
        import tool
        COUNT = 0
        LIST = [1]
        class Box:
            things = []
        def main():
            global COUNT
            COUNT += 1
            LIST.append(COUNT)
            Box.things.append(1)
            tool.seen.append(1)
            import tool as again
            return COUNT, LIST, Box.things, again.seen
        """)
    fresh = load(bundle)
    first, second = fresh(), fresh()
    assert second() == (1, [1, 1], [1], [1])
    assert fresh()() == (1, [1, 1], [1], [1])
    assert first.__globals__ is not second.__globals__


def test_the_module_is_a_real_one(desk: Desk) -> None:
    bundle = desk.capture("""
        from __future__ import annotations
        import dataclasses, pickle, typing

        @dataclasses.dataclass
        class Point:
            x: int
            y: typing.ClassVar[int] = 2

        def main():
            again = pickle.loads(pickle.dumps(Point(1)))
            return [again == Point(1), Point.__module__, typing.get_type_hints(Point)["x"].__name__]
        """)
    fresh = load(bundle)
    assert fresh()() == fresh()() == [True, "work", "int"]
    assert sys.modules["work"].main.__module__ == "work"


def test_unload_gives_back_what_was_displaced(desk: Desk) -> None:
    desk.write("tool.py", "X = 1\n")
    module = desk.module("import tool\ndef unused(): ...\ndef main(): return tool.X\n")
    tool = sys.modules["tool"]
    linecache.getlines(str(module.__file__))
    fresh = load(capture(module.main))
    assert fresh()() == 1
    assert sys.modules["work"] is not module
    other = load(of_text("def f(): return 2\n", module="other", path="/o.py"))
    assert other()() == 2
    assert sys.modules["work"] is module  # another bundle takes the place of the one before
    assert fresh()() == 1
    assert "other" not in sys.modules
    unload()
    unload()
    assert sys.modules["work"] is module
    assert sys.modules["tool"] is tool
    assert "def unused" in inspect.getsource(module.unused)


def test_capture_reads_the_file_though_a_bundle_of_it_is_loaded(desk: Desk) -> None:
    module = desk.module("def one(): return 1\n\ndef two(): return 2\n")
    load(capture(module.one))()
    assert load(capture(module.two))()() == 2


def test_tracebacks_show_the_users_file_line_and_text(desk: Desk) -> None:
    desk.write("tool.py", "# first\n\ndef divide(a, b):\n    return a / b  # in a module\n")
    module = desk.module("""
        import tool
        UNUSED = 1

        def helper(x):
            return tool.divide(x, 0)  # why not

        def main(x):
            text = \"\"\"
              kept\x0c as it is
            \"\"\"
            return helper(x)
        """)
    bundle = capture(module.main)
    paths = [Path(str(module.__file__)), desk.root / "tool.py"]
    for path in paths:
        path.unlink()
    main = load(bundle)()
    with pytest.raises(ZeroDivisionError) as failed:
        main(1)
    frames = [(f.filename, f.lineno, f.line) for f in traceback.extract_tb(failed.value.__traceback__)[1:]]
    assert frames == [
        (str(paths[0]), 11, "return helper(x)"),
        (str(paths[0]), 5, "return tool.divide(x, 0)  # why not"),
        (str(paths[1]), 4, "return a / b  # in a module"),
    ]
    assert inspect.getsource(main).startswith("def main(x):\n")


def test_text_that_this_python_cannot_read() -> None:
    bundle = of_text("\ndef f(: ...\n")
    with pytest.raises(CaptureError, match=r"^/u.py:2: Python 3.\d+, which runs this, cannot read it"):
        load(bundle)


def test_a_blob_without_a_place_to_get_it_from(desk: Desk) -> None:
    module = desk.module("DATA = bytes(5000)\ndef main(): return len(DATA)\n")
    kept: dict[str, bytes] = {}
    bundle = capture(module.main, put_blob=kept.__setitem__)
    with pytest.raises(CaptureError, match="A global of 'main' is kept apart from its bundle"):
        load(bundle)
    asked: list[str] = []
    fresh = load(bundle, get_blob=lambda name: asked.append(name) or kept[name])
    assert fresh()() == fresh()() == 5000
    assert asked == [*kept]  # fetched once, however many runs


def test_main_has_no_file_unless_asked_so_that_spawned_processes_do_not_run_the_script_again() -> None:
    text = "def f(): return '__file__' in globals()\ndef g():\n    def h(): return __file__\n    return h()\n"
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": "/u.py"}
    linecache.cache["/u.py"] = (len(text), None, text.splitlines(keepends=True), "/u.py")
    try:
        exec(compile(text, "/u.py", "exec"), namespace)
        assert load(capture(namespace["f"]))()() is False
        assert load(capture(namespace["g"]))()() == "/u.py"
    finally:
        linecache.cache.pop("/u.py", None)
    assert sys.modules["__main__"].__dict__["__name__"] == "__main__"


def test_bytes_are_the_same_for_the_same_bundle_and_refused_from_a_newer_fanfold(desk: Desk) -> None:
    module = desk.module("A = b'x' * 5000\nB = 2\ndef main(): return A, B\n")
    bundle = capture(module.main)
    assert bundle.to_bytes() == capture(module.main).to_bytes()
    assert Bundle.from_bytes(bundle.to_bytes()).sha256 == bundle.sha256
    assert pickle.loads(pickle.dumps(bundle.sources)) == bundle.sources
    other_order = bundle._replace(blobs=dict(reversed(bundle.blobs.items())))
    assert other_order.sha256 == bundle.sha256
    newer = bundle.to_bytes().replace(b'"fanfold_bundle":2', b'"fanfold_bundle":3')
    with pytest.raises(CaptureError, match=r"A newer Fanfold .* in format 3"):
        Bundle.from_bytes(newer)
    for damaged in (b"", b"[]", b"{}", b"\xff", bundle.to_bytes()[:-1]):
        with pytest.raises(CaptureError, match="These bytes are not a captured function"):
            Bundle.from_bytes(damaged)


def test_a_worker_imports_nothing_costly() -> None:
    code = "import sys, fanfold.source.load, fanfold.source.load; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    costly = {"ast", "inspect", "symtable", "dataclasses", "pydantic", "numpy", "pandas", "logging", "fanfold.codec"}
    assert costly.isdisjoint(out.split())


def test_a_run_starts_in_far_less_than_it_takes_to_start_a_process() -> None:
    fresh = load(of_text("\n" * 200 + "def f(x): return x\n", module="__main__"))
    process = min(timeit.repeat(lambda: subprocess.run([sys.executable, "-SIc", ""], check=True), number=1, repeat=3))
    assert min(timeit.repeat(fresh, number=20, repeat=5)) / 20 < process / 100
