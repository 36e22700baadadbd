"""What is set at the top of a file within an `if`, a loop or a `try`, and of loggers that a call gives."""

from __future__ import annotations

import copyreg
import decimal
import logging
from typing import Any

import pytest

from fanfold.source.capture import capture
from fanfold.source.explain import explain


@pytest.fixture
def unchanged():
    """What these files set, as it was before."""
    table, level = dict(copyreg.dispatch_table), logging.getLogger("of.tests").level
    with decimal.localcontext():
        yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(table)
    for name in ("of.tests", "of.tests.too"):
        logger = logging.getLogger(name)
        logger.handlers, logger.filters = [], []
        logger.setLevel(level)


def test_a_loop_that_sets_something_up_is_executed_again(desk, unchanged) -> None:
    module = desk.module("""
        import copy, copyreg, decimal, logging
        class Low:
            def __init__(self, x): self.x = x
        class High(Low): ...
        def reduced(each): return type(each), (each.x + 100,)
        for kind in (Low, High):
            copyreg.pickle(kind, reduced)
        for name, value in {"prec": 11}.items():
            decimal.getcontext().prec = value
        for n, name in enumerate(["of.tests", "of.tests.too"]):
            logging.getLogger(name).setLevel(30)
        def main():
            levels = [logging.getLogger(name).level for name in ("of.tests", "of.tests.too")]
            return copy.copy(Low(1)).x, copy.copy(High(2)).x, decimal.getcontext().prec, levels
    """)
    assert desk.elsewhere(capture(module.main)) == [101, 102, 11, [30, 30]]
    assert not explain(module.main).left


@pytest.mark.parametrize(
    ("test", "precision"),
    [("sys.version_info >= (3, 8)", 11), ("WIDE", 12), ("not WIDE and hasattr(decimal, 'getcontext')", 11),
     ("sys.platform.startswith('none') or WIDE", 12)],
)  # fmt: skip
def test_of_an_if_goes_what_it_led_to(desk, unchanged, test: str, precision: int) -> None:
    module = desk.module(f"""
        import decimal, sys
        WIDE = False
        if {test}:
            decimal.getcontext().prec = 11
        else:
            if not WIDE:
                decimal.getcontext().prec = 12
        def main(): return decimal.getcontext().prec
    """)
    assert desk.elsewhere(capture(module.main)) == precision
    assert not explain(module.main).left


def test_a_try_of_settings_and_imports_is_executed_again(desk, unchanged) -> None:
    module = desk.module("""
        import decimal
        try:
            import no_such_module_anywhere
            decimal.getcontext().prec = 13
        except ImportError:
            decimal.getcontext().prec = 14
        def main(): return decimal.getcontext().prec
    """)
    assert desk.elsewhere(capture(module.main)) == 14


LEFT: dict[str, tuple[str, str]] = {
    "a test that calls something": (
        "if asked():\n    decimal.getcontext().prec = 11", "there is no telling which way its `if` went"),
    "a test of what is bound twice": (
        "WIDE = True\nif WIDE:\n    decimal.getcontext().prec = 11\nWIDE = False",
        "there is no telling which way its `if` went"),
    "a loop that does more": (
        "for n in (1, 2):\n    asked()\n    decimal.getcontext().prec = n",
        "its block does something else as well, which would be done again"),
    "a loop over what a call gives": (
        "for n in asked():\n    decimal.getcontext().prec = n",
        "its block does something else as well, which would be done again"),
    "a with": (
        "with open('/dev/null'):\n    decimal.getcontext().prec = 11",
        "its block does something else as well, which would be done again"),
    "a while": (
        "n = 2\nwhile n:\n    n -= 1\n    decimal.getcontext().prec = n + 1",
        "its block does something else as well, which would be done again"),
}  # fmt: skip


@pytest.mark.parametrize("how", LEFT)
def test_what_cannot_be_told_or_done_again_is_named_and_decimal_is_as_it_stands(desk, unchanged, how: str) -> None:
    text, why = LEFT[how]
    start = "import decimal\ndef asked(): return [3]\n"
    module = desk.module(f"{start}{text}\ndef main(): return decimal.getcontext().prec\n")
    bundle = capture(module.main)
    assert [each.what for each in explain(module.main).left] == [why]
    assert len(bundle.left_statements) == 1
    assert desk.elsewhere(bundle) == module.main() != decimal.DefaultContext.prec


@pytest.mark.parametrize(
    "text",
    ["if __name__ == '__main__':\n    decimal.getcontext().prec = 11",
     "with decimal.localcontext():\n    decimal.getcontext().prec = 11",
     "if decimal.__name__ == 'none':\n    print('nothing is set here')",
     "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    decimal.getcontext().prec = 11"],
)  # fmt: skip
def test_what_is_for_this_process_or_for_a_moment_is_not_spoken_of(desk, unchanged, text: str) -> None:
    module = desk.module(f"import decimal\n{text}\ndef main(): return decimal.getcontext().prec\n")
    assert not explain(module.main).left
    assert desk.elsewhere(capture(module.main)) == decimal.DefaultContext.prec


LOGGERS = """
import logging
class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.seen = []
    def emit(self, record): self.seen.append(self.format(record))
class Short(logging.Formatter):
    def format(self, record): return "short " + record.getMessage()
class Marked(logging.Filter):
    def filter(self, record):
        record.msg = "marked " + str(record.msg)
        return True
"""


def test_a_handler_a_formatter_and_a_filter_of_the_file_s_own_classes_go_along(desk, unchanged) -> None:
    module = desk.module(f"""{LOGGERS}
handler = Kept()
handler.setFormatter(Short())
logging.getLogger("of.tests").addHandler(handler)
logging.getLogger("of.tests").addFilter(Marked())
logging.getLogger("of.tests.too").addHandler(Kept())
logging.getLogger("of.tests.too").setLevel(logging.ERROR)
def main():
    logger, other = logging.getLogger("of.tests"), logging.getLogger("of.tests.too")
    logger.error("a")
    other.warning("left out")
    other.error("b")
    return handler.seen, logger.handlers[0] is handler, [each.seen for each in other.handlers]
""")
    bundle = capture(module.main)
    assert desk.elsewhere(bundle) == [["short marked a", "short b"], True, [["b"]]]
    assert not explain(module.main).left


def test_a_handler_that_a_function_has_given_to_a_logger_goes_with_the_logger(desk, unchanged) -> None:
    module = desk.module(f"""{LOGGERS}
logger = logging.getLogger("of.tests")
def set_up():
    logger.addHandler(Kept())
set_up()
def main():
    logger.error("a")
    return [each.seen for each in logger.handlers]
""")
    assert desk.elsewhere(capture(module.main)) == [["a"]]


def test_a_handler_of_an_own_class_that_cannot_travel_is_named(desk, unchanged) -> None:
    module: Any = desk.module(f"""{LOGGERS}
logger = logging.getLogger("of.tests")
kept = Kept()
kept.file = open("/dev/null")
def set_up(): logger.addHandler(kept)
set_up()
def main(): return len(logger.handlers)
""")
    try:
        found = explain(module.main)
        assert [(each.name, each.what) for each in found.left] == [
            ("of.tests.addHandler(Kept)", "what it holds belongs to this process")
        ]
        assert desk.elsewhere(capture(module.main)) == 0
    finally:
        module.kept.file.close()
