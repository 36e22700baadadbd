"""Calls at the top of a file that change other code, what a run has for itself, and what was set again since."""

from __future__ import annotations

import decimal
import json
import os
import sys

import pytest

import fanfold
from fanfold.source.capture import capture
from fanfold.source.explain import explain
from fanfold.source.load import left_behind, load
from tests.source.conftest import arrived

PATCHER = """
    import json
    def apply(text="patched", *, more=""):
        json.patched_by_tests = text + more
    def inject_more(found): json.injected_by_tests = found
"""


@pytest.fixture
def unchanged():
    """What puts back what these files set."""
    kept = sys.stdout, decimal.getcontext().copy()

    def put_back() -> None:
        sys.stdout = kept[0]
        decimal.setcontext(kept[1])
        for name in ("patched_by_tests", "injected_by_tests"):
            vars(json).pop(name, None)

    yield put_back
    put_back()


def test_a_call_that_changes_other_code_is_made_again(desk, unchanged) -> None:
    desk.write("../site-packages/patcher_of_tests.py", PATCHER)
    module = desk.module("""
        import json, patcher_of_tests
        from patcher_of_tests import inject_more as more
        patcher_of_tests.apply("done", more="!")
        more([1, 2])
        def main(): return getattr(json, "patched_by_tests", None), getattr(json, "injected_by_tests", None)
    """)
    bundle = capture(module.main)
    assert "patcher_of_tests" not in bundle.imports  # it may do without
    assert [each.name for each in explain(module.main).things if each.lane == "setup"] == [
        "line 3: patcher_of_tests.apply('done', more='!')",
        "line 4: more([1, 2])",
    ]
    # Elsewhere its package is not installed, so the call is left out; a run that fails says so.
    assert desk.elsewhere(bundle) == [None, None]
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(module.main).result() == ("done!", [1, 2])
    unchanged()
    assert arrived(bundle)() == ("done!", [1, 2])


def test_where_its_package_is_not_installed_an_error_says_so(desk, unchanged, monkeypatch) -> None:
    desk.write("../site-packages/patcher_of_tests.py", PATCHER)
    module = desk.module("import patcher_of_tests\npatcher_of_tests.apply()\ndef main(): return 1\n")
    bundle = capture(module.main)
    assert not bundle.left_statements
    monkeypatch.setitem(sys.modules, "patcher_of_tests", None)
    load(bundle)()
    assert "line 2: patcher_of_tests.apply()" in left_behind(ValueError("no"), "no")


ACCESSOR = """
    import pandas
    @pandas.api.extensions.register_dataframe_accessor("of_tests")
    class Rows:
        def __init__(self, frame): self.frame = frame
        def count(self): return len(self.frame)
"""


@pytest.mark.parametrize(("asks", "travels"), [("frame.of_tests.count()", True), ("len(frame)", False)])
def test_an_import_that_gives_frames_an_attribute_travels_with_code_that_asks_for_it(desk, asks, travels) -> None:
    import pandas

    desk.write("../site-packages/accessor_of_tests.py", ACCESSOR)
    module = desk.module(f"import accessor_of_tests\ndef main(frame): return {asks}\n")
    try:
        assert ("accessor_of_tests" in capture(module.main).imports) is travels
        with fanfold.Executor(max_workers=1) as executor:
            assert executor.submit(module.main, pandas.DataFrame({"x": [1, 2]})).result() == 2
    finally:
        del pandas.DataFrame.of_tests


def test_what_a_run_has_for_itself_is_named_and_no_error_speaks_of_it(desk, unchanged) -> None:
    module = desk.module("""
        import multiprocessing, random, sys
        random.seed(3)
        sys.path.append("libs_of_tests")
        sys.stdout = sys.stdout
        def main(): return 1
    """)
    sys.path.remove("libs_of_tests")
    found = explain(module.main).left
    assert [each.name for each in found] == [
        "random.seed(3)", "sys.path.append('libs_of_tests')", "sys.stdout = sys.stdout"]  # fmt: skip
    assert not capture(module.main).left_statements


@pytest.mark.parametrize(
    ("statement", "since", "result"),
    [("decimal.getcontext().prec = 50", "decimal.getcontext().prec = 20", 20),
     ("decimal.getcontext().prec = 50", "pass", 50)],
)  # fmt: skip
def test_what_was_set_again_since_is_what_it_is_now(desk, unchanged, statement, since, result) -> None:
    module = desk.module(f"""
        import decimal
        {statement}
        def do(): {since}
        def main(): return decimal.getcontext().prec
    """)
    module.do()
    assert desk.elsewhere(capture(module.main)) == result


def test_an_item_that_was_set_again_is_what_it_is_now(desk, monkeypatch) -> None:
    monkeypatch.setattr("mimetypes.types_map", {})
    module = desk.module("""
        import mimetypes
        mimetypes.types_map[".of_tests"] = "a/b"
        def do(): mimetypes.types_map[".of_tests"] = "c/d"
        def main(): return mimetypes.types_map[".of_tests"]
    """)
    assert desk.elsewhere(capture(module.main)) == "a/b"
    module.do()
    assert desk.elsewhere(capture(module.main)) == "c/d"


@pytest.mark.parametrize("since", ["del os.environ['OF_TESTS']", "os.environ['OF_TESTS'] = 'a secret'"])
def test_a_variable_that_was_set_again_or_removed_stays_here_and_is_named(desk, monkeypatch, since) -> None:
    monkeypatch.setenv("OF_TESTS", "0")
    module = desk.module(f"""
        import os
        os.environ["OF_TESTS"] = "1"
        def do(): {since}
        def main(): return os.environ.get("OF_TESTS")
    """)
    module.do()
    bundle = capture(module.main)
    assert bundle.left_statements == ("line 2: os.environ['OF_TESTS'] = '1'",)
    assert "secret" not in bundle.graph
    assert list(fanfold.submit(module.main, [{}], collect=False).results()) == [os.environ.get("OF_TESTS")]


@pytest.mark.parametrize(
    "how", ["environ['FANFOLD_OF_TESTS'] = str(1)", "environ.setdefault('FANFOLD_OF_TESTS', str(1))"]
)
def test_what_a_file_tells_fanfold_itself_is_no_reason_for_an_error_of_the_udfs(desk, monkeypatch, how) -> None:
    monkeypatch.setenv("FANFOLD_OF_TESTS", "1")
    module = desk.module(f"""
        import os
        os.{how}
        def main(): raise ValueError("no")
    """)
    assert not capture(module.main).left_statements
    assert [each.name for each in fanfold.explain(module.main).left] == [f"os.{how}"]
