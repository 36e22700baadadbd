"""Names that code asks for by text: those of its own module, of a query, a formula or SQL travel."""

from __future__ import annotations

import pytest

from fanfold.source.capture import capture
from tests.source.conftest import Desk

MODULE = """
import importlib, inspect, operator, sys
RATE, NAME, TABLE = 5, "helper", {"one": "helper"}
def helper(x): return x * RATE
def load_csv(): return "csv"
def load_json(): return "json"
class Step: pass
class First(Step): pass
step = First()
opened = (each for each in ())
"""

OF_THE_MODULE = [
    'getattr(sys.modules[__name__], "helper")(2)',
    'globals()["helper"](2)',
    'globals().get("helper")(2)',
    'vars(sys.modules[__name__])["helper"](2)',
    'sys.modules[__name__].__dict__["helper"](2)',
    "sys.modules[__name__].helper(2)",
    "importlib.import_module(__name__).helper(2)",
    "__import__(__name__).helper(2)",
    'operator.attrgetter("helper")(sys.modules[__name__])(2)',
    'main.__globals__["helper"](2)',
    "globals()[NAME](2)",
    'globals()[TABLE["one"]](2)',
    '[value for name, value in globals().items() if name == "helper"][0](2)',
    'eval("helper(2)")',
    "inspect.getmodule(main).helper(2)",
]


@pytest.mark.parametrize("expression", OF_THE_MODULE)
def test_a_name_that_is_looked_up_in_its_own_module_travels(desk: Desk, expression: str) -> None:
    assert desk.result(f"{MODULE}def main(): return {expression}\n") == 10


def test_what_is_put_together_or_gone_through_brings_all_that_can_travel(desk: Desk) -> None:
    assert desk.result(f"{MODULE}def main(): return [globals()[f'load_{{k}}']() for k in ('csv', 'json')]") == [
        *("csv", "json")
    ]
    kinds = "sorted(c.__name__ for _, c in inspect.getmembers(sys.modules[__name__], inspect.isclass))"
    assert desk.result(f"{MODULE}def main(): return {kinds}") == ["First", "Step"]
    steps = "[n for n, v in globals().items() if isinstance(v, Step)]"
    assert desk.result(f"{MODULE}def main(): return {steps}") == ["step"]
    assert desk.result(f"{MODULE}def main(): return 'helper' in globals(), 'other' in globals()") == (True, False)


def test_a_name_in_a_query_a_formula_or_sql_travels_and_counts(desk: Desk) -> None:
    text = """
    import re
    LIMIT, LOOKUP, TOP = 1, "table", 3
    def log(x): return x
    def main():
        frame.query("a > @LIMIT"); smf.ols("y ~ log(x)"); duckdb.sql("select * from LOOKUP where TOP > 1")
    """
    graph = capture(desk.module(text).main).graph
    assert [name in graph for name in ("LIMIT", "LOOKUP", '"log"', "TOP")] == [True, True, True, False]
    other = capture(desk.module(text.replace("LIMIT, LOOKUP, TOP = 1", "LIMIT, LOOKUP, TOP = 2")).main)
    assert other.code_hash != capture(desk.module(text).main).code_hash


def test_code_that_looks_nothing_up_brings_nothing_more(desk: Desk) -> None:
    text = (
        f"{MODULE}import logging\nlog = logging.getLogger(__name__)\ndef main(): '''helper'''; return log, 'helper'\n"
    )
    assert "helper" not in capture(desk.module(text).main).graph
