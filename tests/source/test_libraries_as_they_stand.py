"""Settings that calls have made in libraries, and what calls have put into their lists and dicts: a run has them."""

from __future__ import annotations

import copyreg
import csv
import decimal
import json
import locale
import logging
import math
import shutil
import socket
import subprocess
import sys
import textwrap
import warnings

import pytest

import fanfold
from fanfold.source.capture import capture
from fanfold.source.explain import explain
from fanfold.source.library_settings import have
from fanfold.source.load import unload
from tests.source.conftest import arrived

SCRIPT = """
    import json, warnings
    import numpy as np
    import pandas as pd
    import fanfold

    pd.set_option("display.precision", 3)
    np.set_printoptions(precision=3)

    def set_again():
        pd.set_option("display.precision", 4, "display.max_rows", 8)
        np.set_printoptions(precision=2)
        np.seterr(divide="raise")
        warnings.filterwarnings("error", message="boo.*")

    def warned():
        try:
            warnings.warn("boo hoo")
        except UserWarning:
            return True

    def main(n=0):
        return [pd.get_option("display.precision"), pd.get_option("display.max_rows"), str(np.array([1.23456])),
                np.geterr()["divide"], warned()]

    if __name__ == "__main__":
        set_again()
        runs = fanfold.submit(main, [1, 2], collect=False, cache=False, max_workers=1).results()
        with fanfold.Executor(max_workers=1) as executor:
            calls = [executor.submit(main).result()]
            pd.reset_option("all")
            np.seterr(divide="warn")
            calls.append(executor.submit(main).result())
            set_again()
            calls.append(executor.submit(main).result())
        print(json.dumps([main(), list(runs), calls]))
"""


def printed_by(tmp_path, text: str) -> list:
    (tmp_path / "script.py").write_text(textwrap.dedent(text))
    command = [sys.executable, "-W", "ignore", "script.py"]
    return json.loads(subprocess.check_output(command, cwd=tmp_path, text=True, timeout=120).splitlines()[-1])


def test_settings_that_calls_have_made_stand_in_runs_and_in_calls_of_an_executor(tmp_path) -> None:
    here, runs, calls = printed_by(tmp_path, SCRIPT)
    assert here == [4, 8, "[1.23]", "raise", True]
    assert runs == [here, here]
    assert calls == [here, [6, 60, "[1.23]", "warn", True], here]


OF_MORE_LIBRARIES = """
    import json
    import matplotlib.pyplot as plt
    import polars as pl
    import pyproj.network
    import sklearn
    import xarray as xr
    import fanfold

    plt.style.use("ggplot")
    pyproj.network.set_network_enabled(True)
    pl.Config.set_tbl_rows(3)

    def set_again():
        plt.style.use("default")
        plt.rcParams["lines.linewidth"] = 7
        pyproj.network.set_network_enabled(False)
        pl.Config.set_tbl_rows(7)
        sklearn.set_config(transform_output="pandas")
        xr.set_options(keep_attrs=False)

    def main(n=0):
        return [plt.rcParams["axes.facecolor"], plt.rcParams["lines.linewidth"], pyproj.network.is_network_enabled(),
                pl.Config.state()["POLARS_FMT_MAX_ROWS"], sklearn.get_config()["transform_output"],
                xr.get_options()["keep_attrs"]]

    if __name__ == "__main__":
        set_again()
        runs = fanfold.submit(main, [1], collect=False, cache=False, max_workers=1).results()
        with fanfold.Executor(max_workers=1) as executor:
            calls = [executor.submit(main).result()]
        print(json.dumps([main(), list(runs), calls]))
"""


@pytest.mark.long
def test_and_so_do_those_of_other_libraries(tmp_path) -> None:
    here, runs, calls = printed_by(tmp_path, OF_MORE_LIBRARIES)
    assert here == ["white", 7.0, False, "7", "pandas", False]
    assert runs == [here]
    assert calls == [here]


#: What is imported, what a call sets, and what is asked for.
OF_PYTHON = {
    "decimal": ("import decimal", "decimal.getcontext().prec = 7", "str(decimal.Decimal(1) / 3)"),
    "decimal's traps": (
        "import decimal", "decimal.getcontext().traps[decimal.DivisionByZero] = False", "str(1 / decimal.Decimal(0))"),
    "csv": ("import csv", "csv.register_dialect('of_tests', delimiter='|')",
            "next(csv.reader(['a|b'], dialect='of_tests'))"),
    "csv's limit": ("import csv", "csv.field_size_limit(77)", "csv.field_size_limit()"),
    "socket": ("import socket", "socket.setdefaulttimeout(3.5)", "socket.getdefaulttimeout()"),
    "mimetypes": ("import mimetypes", "mimetypes.add_type('a/b', '.of_tests')", "mimetypes.guess_type('x.of_tests')"),
    "a logger": ("import logging", "logging.getLogger('of.tests').setLevel(40)",
                 "logging.getLogger('of.tests').isEnabledFor(30)"),
    "a logger in a variable": ("from logging import getLogger\nlog = getLogger('of.tests')", "log.setLevel(40)",
                               "log.isEnabledFor(30)"),
    "the root logger": ("import logging", "logging.getLogger().setLevel(10)", "logging.getLogger('a.b').level or "
                        "logging.getLogger('of.tests').getEffectiveLevel()"),
    "a level's name": ("import logging", "logging.addLevelName(5, 'TRACE')", "logging.getLevelName(5)"),
    "logging.disable": ("import logging", "logging.disable(50)", "logging.getLogger('of.tests').isEnabledFor(50)"),
    "the class of loggers": (
        "import logging\nclass Own(logging.Logger): kind = 'own'", "logging.setLoggerClass(Own)",
        "getattr(logging.getLogger('new.of.tests'), 'kind', None)"),
    "the maker of records": (
        "import logging\nmade = logging.getLogRecordFactory()\n"
        "def record(*args, **more): return made(*args, **more)",
        "logging.setLogRecordFactory(record)", "logging.getLogRecordFactory().__name__"),
    "an archive's format of one's own": (
        "import shutil\ndef pack(*_): pass", "shutil.register_archive_format('of_tests', pack, [], '')",
        "'of_tests' in dict(shutil.get_archive_formats())"),
    "locale": ("import locale", "locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
               "locale.setlocale(locale.LC_NUMERIC)"),
    "the interpreter": ("import sys, decimal", "sys.setrecursionlimit(1234)", "sys.getrecursionlimit()"),
}  # fmt: skip


@pytest.fixture
def as_before():
    """What puts back what a test sets in the standard library."""
    kept = {"decimal": decimal.getcontext().copy(), "recursion": sys.getrecursionlimit()}
    numbers, timeout, limit = locale.setlocale(locale.LC_NUMERIC), socket.getdefaulttimeout(), csv.field_size_limit()
    filters, root = list(warnings.filters), logging.getLogger().level
    yield
    decimal.setcontext(kept["decimal"])
    sys.setrecursionlimit(kept["recursion"])
    locale.setlocale(locale.LC_NUMERIC, numbers)
    socket.setdefaulttimeout(timeout)
    csv.field_size_limit(limit)
    logging.getLogger("of.tests").setLevel(0)
    logging.getLogger().setLevel(root)
    logging.disable(0)
    logging.setLoggerClass(logging.Logger)
    logging.setLogRecordFactory(logging.LogRecord)
    logging._levelToName.pop(5, None)
    logging._nameToLevel.pop("TRACE", None)
    logging.root.manager.loggerDict.pop("new.of.tests", None)
    shutil._ARCHIVE_FORMATS.pop("of_tests", None)  # type: ignore[attr-defined]
    warnings.filters[:] = filters  # type: ignore[index]
    if "of_tests" in csv.list_dialects():
        csv.unregister_dialect("of_tests")
    if types := sys.modules.get("mimetypes"):
        types.init()


@pytest.mark.parametrize("what", OF_PYTHON)
def test_what_a_call_has_set_in_the_standard_library_stands_in_the_run(desk, as_before, what: str) -> None:
    imported, statement, asked = OF_PYTHON[what]
    module = desk.module(f"{imported}\ndef do(): {statement}\ndef main(): return {asked}\n")
    before = capture(module.main)
    module.do()
    here, bundle = module.main(), capture(module.main)
    assert desk.elsewhere(bundle) == (list(here) if type(here) is tuple else here)
    assert bundle.code_hash != before.code_hash


def test_what_stands_as_a_library_begins_does_not_travel(desk) -> None:
    module = desk.module("import decimal, csv, logging, warnings\ndef main(): return decimal.getcontext().prec\n")
    assert "settings" not in json.loads(capture(module.main).graph)


def test_a_locale_that_a_machine_does_not_have_is_named(as_before, capsys) -> None:
    have("locale", {"LC_NUMERIC": "xx_NOWHERE"})
    assert "LC_NUMERIC is 'xx_NOWHERE' where this was submitted" in capsys.readouterr().err


REGISTRY = """
    READERS = {"csv": len}
    HOOKS = []
    LIMITS = {"rows": 10}
    NAMES = {"a"}
    class Model:
        kinds = {}
        def area(self): return 1
        def size(self): return self.area()
    class Shown:
        def __init__(self, made): self.made = made
        def __get__(self, held, owner): return self.made(held)
    class Frame: pass
    def register(hook):
        HOOKS.append(hook)
        return hook
    def run(value):
        for hook in HOOKS: value = hook(value)
        return value
"""


def test_what_a_call_has_put_into_a_library_s_containers_is_there(desk, monkeypatch) -> None:
    desk.write("../site-packages/registry_of_tests.py", REGISTRY)
    module = desk.module("""
        import registry_of_tests as lib
        @lib.register
        def first(value): return value + 1
        class Kind:
            def __init__(self, held=None): pass
        def set_up():
            lib.register(lambda value: value * 10)
            lib.READERS.update(own=first)
            lib.LIMITS.update(rows=20)
            lib.LIMITS.pop("none", None)
            lib.NAMES.add("b")
            lib.Model.kinds["k"] = Kind
            lib.Model.area = lambda self: 5
            lib.Frame.shown = lib.Shown(Kind)
        def main():
            return (lib.run(1), lib.READERS["own"](2), lib.READERS["csv"]("abc"), lib.LIMITS["rows"], sorted(lib.NAMES),
                    lib.Model.kinds["k"] is Kind, lib.Model().size(), len(lib.HOOKS))
        def has_shown(): return hasattr(lib.Frame, "shown")
        def shown(): return isinstance(lib.Frame().shown, Kind)
    """)
    module.set_up()
    here = module.main()
    assert here == (20, 3, 3, 20, ["a", "b"], True, 5, 2)
    for function, result in ((module.main, here), (module.shown, True)):
        bundle = capture(function)
        with monkeypatch.context() as anew:
            anew.delitem(sys.modules, "registry_of_tests")  # the run imports it as it is installed
            assert arrived(bundle)() == result
            unload()
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(module.main).result() == here
        module.lib.HOOKS.pop()
        assert executor.submit(module.lib.run, 1).result() == 2
        module.lib.HOOKS.clear()
        assert executor.submit(module.lib.run, 1).result() == 1
        assert executor.submit(module.has_shown).result() is True
        del module.lib.Frame.shown
        assert executor.submit(module.has_shown).result() is False


OPTIONS = """
    class Options:
        width = 1
        def __init__(self): self.depth, self.tags = 3, []
    class Table(dict): pass
    options, table = Options(), Table()
    LEVELS = [0, 1]
    _state = None
    def set_depth(value): options.depth = value
    def set_state(value):
        global _state
        _state = value
    def state(): return _state
    def asked(): return [options.depth, options.tags, Options.width, table.get("a"), list(LEVELS)]
"""

SET_WITHIN = """
    import options_of_tests as lib
    class Kept: value = 7
    def set_up():
        lib.options.depth = 9
        lib.options.tags.append("t")
        lib.Options.width += 1
        lib.table["a"] = 4
        del lib.LEVELS[0]
        lib.set_state(Kept())
    def main(): return [*lib.asked(), lib.state().value]
"""


def test_what_a_function_sets_on_a_library_s_objects_is_what_it_is_by_now(desk, monkeypatch) -> None:
    desk.write("../site-packages/options_of_tests.py", OPTIONS)
    module = desk.module(SET_WITHIN)
    module.set_up()
    here = module.main()
    assert here == [9, ["t"], 2, 4, [1], 7]
    bundle = capture(module.main)
    with monkeypatch.context() as anew:
        anew.delitem(sys.modules, "options_of_tests")
        assert arrived(bundle)() == here
        unload()
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(module.main).result() == here
        module.lib.options.depth = 3
        del module.lib.table["a"]
        assert executor.submit(module.main).result() == [3, ["t"], 2, None, [1], 7]


def test_a_variable_of_a_function_is_none_of_a_library_s(desk) -> None:
    desk.write("../site-packages/options_of_tests.py", OPTIONS)
    module = desk.module("""
        import options_of_tests as lib
        def other(lib): lib.options.depth = 9
        def main(): return lib.asked()
    """)
    assert "filled" not in json.loads(capture(module.main).graph)


def test_a_setter_s_call_within_a_function_that_the_file_calls_is_named(desk, capfd) -> None:
    module = desk.module("""
        import gc
        def inner(): gc.set_threshold(*gc.get_threshold())
        def set_up(): inner()
        def never(): gc.set_debug(0)
        set_up()
        def main(): return gc.get_debug()
    """)
    text = "gc.set_threshold(*gc.get_threshold()) within inner()"
    assert [(each.name, each.where[-2:]) for each in explain(module.main).left] == [(text, ":2")]
    for _ in range(2):
        assert list(fanfold.submit(module.main, [{}], collect=False, cache=False).results()) == [0]
    told = capfd.readouterr().err
    assert told.count(f"line 2: {text} is not called again in runs") == 1
    assert "set_debug" not in told


def test_what_a_library_s_own_object_is_told_within_a_function_is_named(desk) -> None:
    desk.write(
        "../site-packages/told_of_tests.py",
        "class Config:\n    def update(self, name, value): setattr(self, name, value)\nconfig = Config()\n",
    )
    module = desk.module("""
        import told_of_tests as lib
        def set_up(): lib.config.update("x64", True)
        set_up()
        def main(): return getattr(lib.config, "x64", False)
    """)
    assert [each.name for each in explain(module.main).left] == ["lib.config.update('x64', True) within set_up()"]


def test_what_an_executor_cannot_pickle_of_it_stays_behind_and_is_named_once(desk, caplog) -> None:
    desk.write("../site-packages/registry_of_tests.py", REGISTRY)
    module = desk.module("""
        import registry_of_tests as lib
        held = (each for each in ())
        def made(held):
            def area(self): return held
            return area
        def do(): lib.Model.area = made(held)
        def main(): return lib.run is not None
    """)
    module.do()
    module.lib.READERS["held"] = type("Open", (), {"__module__": "work", "state": module.held})()
    module.lib.READERS["held"].own = module.held
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(module.main).result() is True
        assert executor.submit(module.main).result() is True
    for name in ("READERS", "Model.area"):
        assert caplog.text.count(f"registry_of_tests.{name} stays behind") == 1


def test_what_is_as_before_is_so_in_an_executor_s_worker_too(desk, as_before) -> None:
    module = desk.module("import decimal\ndef main(): return decimal.getcontext().prec\n")
    with fanfold.Executor(max_workers=1) as executor:
        decimal.getcontext().prec = 7
        assert executor.submit(module.main).result() == 7
        decimal.setcontext(decimal.Context())
        assert executor.submit(module.main).result() == decimal.DefaultContext.prec


def test_what_cannot_travel_of_it_is_named(desk) -> None:
    desk.write("../site-packages/registry_of_tests.py", REGISTRY)
    module = desk.module("""
        import registry_of_tests as lib
        class Open:
            def __init__(self): self.file = open(__file__)
            def __call__(self, value): return value
        def do(): lib.register(Open())
        def main(): return lib.run(1)
    """)
    module.do()
    left = explain(module.main).left
    module.lib.HOOKS.pop().file.close()
    assert [each.name for each in left] == ["registry_of_tests.HOOKS"]


def test_how_a_class_is_pickled_that_its_module_no_longer_has_concerns_no_call(desk, monkeypatch) -> None:
    monkeypatch.setattr(copyreg, "dispatch_table", copyreg.dispatch_table.copy())
    gone = desk.module("""
        class Point:
            def __init__(self, x): self.x = x
            def others(self): return ALL
        ALL = [Point(1)]
        def reduced(made): return Point, (made.x,)
    """)
    copyreg.dispatch_table[gone.Point] = gone.reduced
    module = desk.module("""
        import math
        def main(): return math.pi
    """)
    with fanfold.Executor(max_workers=1) as executor:
        assert executor.submit(module.main).result() == math.pi
