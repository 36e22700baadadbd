"""Functions, classes and objects travel as what they are now: nothing is replaced by something similar."""

from __future__ import annotations

import builtins
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fanfold.errors import CaptureError
from fanfold.source.capture import Captured, capture
from fanfold.source.explain import explain
from fanfold.source.load import Bundle, left_behind, load, part_of, refill_of, unload
from tests.source.conftest import Desk, arrived

SAME = [
    ("def make():\n  n = 0\n  def main():\n    nonlocal n\n    n += 1\n    return n\n  return main\nmain = make()", 1),
    ("def pair():\n  n = [0]\n  def inc(): n.append(1)\n  def get(): return len(n)\n  return inc, get\n"
     "inc, get = pair()\ndef main():\n  inc()\n  return get()", 2),
    ("import functools\ndef plus(n):\n  def deco(fn):\n    @functools.wraps(fn)\n    def inner(): return fn() + n\n"
     "    return inner\n  return deco\nN = 1\n@plus(N)\ndef main(): return 0\nN = 5", 1),
    ("def deco(fn):\n  def inner(*a): return fn(*a) + 100\n  return inner\n@deco\ndef main(): return 1", 101),
    ("fs = [lambda: 1, lambda: 2, (lambda x=3: x)]\ndef main(): return [f() for f in fs]", [1, 2, 3]),
    ("a = b = []\nrows = []\nDATA = {'rows': rows}\ndef main():\n  a.append(1); rows.append(2)\n"
     "  return [b, DATA['rows']]", [[1], [2]]),
    ("import math\nclass Twice:\n  def __init__(self, f): self.f = f\n  def __call__(self, x): return 2 * self.f(x)\n"
     "sqrt = Twice(math.sqrt)\ndef main(): return sqrt(16.0)", 8.0),
    ("class A:\n  def go(self): return 1\ndef faster(self): return 2\nA.go = faster\nA.extra = faster\n"
     "def main(): return [A().go(), A().extra()]", [2, 2]),
    ("import abc, functools\n@functools.singledispatch\ndef show(x): return 'any'\ndef f(x): return 'float'\n"
     "show.register(float, f)\nclass Base(abc.ABC): ...\nclass Other: ...\nBase.register(Other)\n"
     "def main(): return [show(1.5), isinstance(Other(), Base)]", ["float", True]),
    ("def fact(n): return 1 if n < 2 else n * fact(n - 1)\nold = fact\ndef fact(n): return -1\n"
     "def main(): return old(3)", -3),
    ("FAST = True\nif FAST:\n  class Mode(str): __slots__ = ()\nelse:\n  class Mode(bytes): __slots__ = ()\n"
     "def main(): return issubclass(Mode, str)", True),
    ("import dataclasses\n@dataclasses.dataclass(order=True)\nclass P:\n  x: int = 1\n  y: list = dataclasses.field("
     "default_factory=lambda: [3], compare=False)\n  def twice(self): return 2 * self.x\nOLD = P(4)\n"
     "def main(): return [OLD.twice(), P().y, P(1) < P(2), repr(P(9))]", [8, [3], True, "P(x=9, y=[3])"]),
    ("import dataclasses\n@dataclasses.dataclass\nclass A:\n  x: int = 1\n  tags: list[str] = dataclasses.field("
     "default_factory=list)\n@dataclasses.dataclass\nclass B(A):\n  y: int = 2\n@dataclasses.dataclass\nclass C(B):\n"
     "  z: int = 3\ndef main(): return [dataclasses.asdict(C(5)), [f.name for f in dataclasses.fields(B)]]",
     [{"x": 5, "tags": [], "y": 2, "z": 3}, ["x", "tags", "y"]]),
    ("from __future__ import annotations\nfrom dataclasses import *\nfrom typing import ClassVar\n@dataclass\n"
     "class A:\n  x: int\n  c: InitVar[int] = 5\n  kind: ClassVar[str] = 'k'\n  _: KW_ONLY\n  y: int = 2\n"
     "  def __post_init__(self, c): self.x += c\n"
     "def main(): return [repr(A(1)), repr(A(1, 2, y=3)), [f.name for f in fields(A)], A.kind, A.c]",
     ["A(x=6, y=2)", "A(x=3, y=3)", ["x", "y"], "k", 5]),
    ("class Base: ...\nclass One(Base): ...\ndef main(): return [c.__name__ for c in Base.__subclasses__()]", ["One"]),
    ("class A:\n  def __init__(self): super().__init__(); self.n = 1\n  @property\n  def p(self): return self.n\n"
     "  @classmethod\n  def make(cls): return cls()\n  @staticmethod\n  def s(): return 5\n"
     "def main(): return [A.make().p, A.s()]", [1, 5]),
    ("import enum\nclass C(enum.Enum):\n  RED = 1\n  def low(self): return self.name.lower()\nX = C.RED\n"
     "def main(): return [X is C.RED, X.low()]", [True, "red"]),
    ("import argparse, collections, random, types\nargs = argparse.Namespace(n=3)\nns = types.SimpleNamespace(a=[1])\n"
     "dd = collections.defaultdict(list, a=[1])\nrng = random.Random(7)\n"
     "def main(): return [args.n, ns.a, dd['b'], rng.random() == random.Random(7).random()]", [3, [1], [], True]),
    ("loop = []\nloop.append(loop)\ndef main(): return loop[0] is loop", True),
    ("import functools\n@functools.lru_cache\ndef f(x): return [x]\nraw = f.__wrapped__\n"
     "def main(): return [raw(1) is raw(1), f(1) is f(1)]", [False, True]),
    ("from functools import partial\n\ndef f(a, b): return [a, b]\nmain = partial(f, 1, b=len('ab'))", [1, 2]),
    ("class K:\n  def __init__(self): self.n = 3\n  def m(self): return self.n\nmain = K().m", 3),
    ("class K:\n  def __call__(self): return 4\nmain = K()", 4),
    ("CODE = compile('K + 1', '<made>', 'eval')\nK = 2\ndef main(): return eval(CODE, {'K': K})", 3),
]  # fmt: skip


@pytest.mark.parametrize(("text", "result"), SAME)
def test_a_run_has_the_object_that_is_there(desk: Desk, text: str, result: Any) -> None:
    module = desk.module(text)
    bundle = capture(module.main)
    assert capture(module.main).code_hash == bundle.code_hash
    assert desk.elsewhere(bundle) == result


PATCHED = "def price(x): return 1\ndef other(x): return 2\nclass K:\n    def m(self): return 1\nclass L(K): ...\n"


@pytest.mark.parametrize(
    "patch",
    [
        "lib.price = lib.other",
        "lib.price = lambda x: 5",
        "lib.K.m = lambda self: 7",
        "lib.K = lib.L",
        "lib.K.extra = lib.other",
        "json.dumps = lambda x: 'patched'",
        "fractions.Fraction.limit_denominator = lambda self: 8",
    ],
)
def test_what_was_replaced_in_a_module_is_what_it_is_now(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, patch: str
) -> None:
    import fractions
    import json

    monkeypatch.setattr(json, "dumps", json.dumps)
    monkeypatch.setattr(fractions.Fraction, "limit_denominator", fractions.Fraction.limit_denominator)
    desk.write("lib.py", PATCHED)
    sys.modules.pop("lib", None)
    module = desk.module(
        "import json, fractions, lib\nfrom fractions import Fraction\n" + patch + "\n"
        "def main(): return [lib.price(1), lib.K().m(), getattr(lib.K, 'extra', len)('a'), json.dumps(1) == 'patched',"
        " str(Fraction(1, 3).limit_denominator())]\n"
    )
    here = module.main()
    bundle = capture(module.main)
    monkeypatch.undo()
    assert desk.elsewhere(bundle) == here
    unload()


SETTINGS = """
from dataclasses import dataclass
import types
@dataclass
class Config:
    limit: int = 3
CONFIG = Config()
SPACE = types.SimpleNamespace(limit=3)
def limit(): return CONFIG.limit, SPACE.limit
"""


@pytest.mark.parametrize(
    "change", ["settings.CONFIG.limit = 9", "settings.CONFIG = settings.Config(9)", "settings.SPACE.limit = 9"]
)
def test_the_settings_of_a_module_are_what_they_are_now(desk: Desk, change: str) -> None:
    desk.write("settings.py", SETTINGS)
    desk.write("uses.py", "from settings import CONFIG\ndef seen(): return CONFIG.limit\n")
    for name in ("settings", "uses"):
        sys.modules.pop(name, None)
    module = desk.module(f"import settings\n{change}\nimport uses\ndef main(): return settings.limit(), uses.seen()\n")
    here = [list(module.main()[0]), module.main()[1]]
    assert desk.elsewhere(capture(module.main)) == here
    assert 9 in [*here[0], here[1]]


@pytest.mark.parametrize("setting", ['np.seterr(all="raise")', 'np.seterr(divide="raise")', "np.setbufsize(64)"])
def test_what_numpy_does_about_an_error_is_what_the_file_says(desk: Desk, setting: str) -> None:
    text = f"import numpy as np\n{setting}\ndef main():\n    return np.geterr(), np.getbufsize()\n"
    import numpy as np

    with np.errstate():
        buffer = np.getbufsize()
        module = desk.module(text)
        here, bundle = module.main(), capture(module.main)
        np.setbufsize(buffer)
    assert desk.elsewhere(bundle) == list(here)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("decimal.setcontext(decimal.Context(prec=5))", "str(1 / number)"),
        ("decimal.getcontext().prec = 6", "str(1 / number)"),
        ('locale.setlocale(locale.LC_ALL, "C.UTF-8")', '__import__("locale").setlocale(0)'),
        ('codecs.register_error("mine", lambda error: ("?", error.end))', '"\\xfc".encode("ascii", "mine").decode()'),
        ("sys.setswitchinterval(0.25)", "sys.getswitchinterval()"),
        ("threading.stack_size(1 << 20)", "threading.stack_size()"),
        ('mimetypes.add_type("x/mine", ".mine")', 'mimetypes.guess_type("a.mine")[0]'),
        ("os.umask(0o027)", "os.umask(0o022)"),
        ('os.environ.setdefault("SET_BY_A_FILE", "yes")', 'os.environ["SET_BY_A_FILE"]'),
    ],
)
def test_what_a_file_sets_for_the_whole_process_holds_there_too(tmp_path: Path, statement: str, said: str) -> None:
    (tmp_path / "script.py").write_text(
        "import codecs, decimal, locale, mimetypes, os, sys, threading\n"
        "import fanfold\n"
        f"{statement}\n"
        f"def main(number):\n    return {said}\n"
        "there = fanfold.submit(main, [decimal.Decimal(3)], collect=False).results()\n"
        "assert there == [main(decimal.Decimal(3))], there\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "copyreg.pickle(J, lambda j: (J, (j.a + 1000,)))",
        "copyreg.pickle(J, reduced)",
        "copyreg.dispatch_table[J] = reduced",
        "pickle(J, reduced)",
    ],
)
def test_what_a_file_has_told_copyreg_holds_there_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    import copyreg

    monkeypatch.setattr(copyreg, "dispatch_table", copyreg.dispatch_table.copy())
    text = f"""
import copy, copyreg
from copyreg import pickle
class J:
    def __init__(self, a):
        self.a = a
def reduced(j):
    return J, (j.a + 1000,)
{statement}
def main():
    return copy.copy(J(1)).a
"""
    assert desk.elsewhere(desk.capture(text)) == 1001


FAKE_DATE = """
import datetime, decimal
class FakeDate(datetime.date):
    @classmethod
    def today(cls):
        return cls(2020, 1, 1)
class Fixed(decimal.Decimal):
    def __add__(self, other):
        return "fixed"
datetime.date = FakeDate
decimal.Decimal = Fixed
def main():
    day = datetime.date.today().replace(day=2)
    return [day.isoformat(), isinstance(datetime.datetime.now(), datetime.date), decimal.Decimal(1) + 1]
"""


def test_a_class_that_stands_in_the_place_of_its_own_base_is_there_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime
    import decimal

    with monkeypatch.context() as patches:
        patches.setattr(datetime, "date", datetime.date)
        patches.setattr(decimal, "Decimal", decimal.Decimal)
        module = desk.module(FAKE_DATE)
        here, bundle = module.main(), capture(module.main)
    assert desk.elsewhere(bundle) == here == ["2020-01-02", False, "fixed"]


def test_a_class_in_c_that_does_not_say_where_it_is_goes_by_the_package_that_holds_it(desk: Desk) -> None:
    module = desk.module(
        "from scipy.sparse.linalg import SuperLU\n"
        "def solver() -> SuperLU: ...\n"
        "def main(): return solver.__annotations__['return'].__name__\n"
    )
    assert module.SuperLU.__module__ == "builtins"
    assert desk.elsewhere(capture(module.main)) == "SuperLU"


def test_a_class_in_c_that_no_name_leads_to_any_more_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import array

    monkeypatch.setattr(array, "array", array.array)
    monkeypatch.setattr(array, "ArrayType", array.ArrayType)
    module = desk.module(
        "import array\nclass Mine(array.array): pass\narray.array = array.ArrayType = Mine\n"
        "def main(): return len(Mine('i'))\n"
    )
    with pytest.raises(CaptureError, match=r"a class in C that `array.array` no longer stands for") as caught:
        capture(module.main)
    assert "Mine" in str(caught.value)


SET_UP = """
import csv, decimal, os, socket, warnings
decimal.getcontext().prec = 50
socket.setdefaulttimeout(7)
csv.field_size_limit(12345)
warnings.filterwarnings("error", category=UserWarning)
os.environ["FROM_THE_TOP"] = "yes"
os.environ["TOKEN_OF_TESTS"] = str(1)
print("loading", end="")
def main():
    return [str(decimal.Decimal(1) / 3), csv.field_size_limit(), os.environ.get("FROM_THE_TOP"),
            os.environ.get("TOKEN_OF_TESTS"), warnings.filters[0][0], socket.getdefaulttimeout()]
"""


def test_statements_that_set_up_a_package_are_executed_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import csv
    import decimal
    import os
    import socket
    import warnings

    monkeypatch.setattr(os, "environ", os.environ.copy())
    limit = csv.field_size_limit()
    try:
        with decimal.localcontext(), warnings.catch_warnings():
            module = desk.module(SET_UP)
            bundle = capture(module.main)
            explained = explain(module.main)
    finally:
        csv.field_size_limit(limit)
        socket.setdefaulttimeout(None)
    assert desk.elsewhere(bundle) == ["0." + "3" * 50, 12345, "yes", None, "error", 7]
    assert [each.name for each in explained.left] == ["os.environ['TOKEN_OF_TESTS'] = str(1)"]
    assert bundle.left_statements[0].endswith("os.environ['TOKEN_OF_TESTS'] = str(1)")
    assert not any("loading" in source.text for source in bundle.sources)


def test_explain_says_what_travels_by_which_lane_and_what_stays(desk: Desk) -> None:
    desk.write("tool.py", "def f(): return 1\n")
    module = desk.module("""
        import decimal, tool
        TABLE = {"a": [1, 2]}
        class K:
            n = 3
        thing = K()
        def made(): return 7
        decimal.getcontext().rounding = made.__name__ and decimal.ROUND_HALF_EVEN
        def main(): return TABLE, thing.n, decimal.Decimal(1), tool.f()
        """)
    found = explain(module.main)
    lanes = {(each.lane, each.name) for each in found.things}
    assert {("source", "main"), ("source", "K"), ("value", "TABLE"), ("object", "thing"), ("name", "decimal"),
            ("module", "tool")} <= lanes  # fmt: skip
    assert [each.what for each in found.left] == ["it calls something to know the value"]
    assert found.code_hash == capture(module.main).code_hash
    assert "stays behind" in str(found)
    assert found.as_dict()["size_bytes"] == found.size > 0
    assert "<td>TABLE</td>" in found._repr_html_()


def test_an_error_about_a_name_that_stood_in_a_string_says_so(desk: Desk) -> None:
    module = desk.module("""
        helper = (each for each in ())  # which cannot travel
        def main(name, of):
            if of is None:
                return globals()["helper"]
            return of[name]
    """)
    main = load(capture(module.main))()
    with pytest.raises(KeyError) as failed:
        main("helper", None)
    said = left_behind(failed.value, str(failed.value))
    assert "'helper' exists in the module of 'main' where it was submitted, and did not travel" in said
    other = NameError("name 'tile' is not defined")
    module.name = 1  # of no code that travels: what the message says besides is not it
    load(capture(module.main))
    assert left_behind(other, str(other)) == ""
    with pytest.raises(KeyError) as failed:
        main("helper", {})  # a table without such a key says nothing of the module
    assert left_behind(failed.value, str(failed.value)) == ""
    for unlike in (ValueError("helper"), ValueError("the file helper was not found"), KeyError("helper")):
        assert left_behind(unlike, str(unlike)) == ""
    for like in (
        ValueError("Table with name helper does not exist!"),
        NameError("local variable 'helper' is not defined"),
    ):
        assert "'helper' exists" in left_behind(like, str(like))


def test_a_new_name_beside_a_udf_leaves_its_bundle_and_so_its_workers_as_they_are(desk: Desk) -> None:
    module = desk.module('def main():\n    "Of job."\n    return 1\n')
    before = capture(module.main)
    module.job = 2  # as the next cell of a notebook makes one
    assert capture(module.main).to_bytes() == before.to_bytes()


def test_one_function_that_two_names_have_is_one_where_it_arrives(desk: Desk) -> None:
    module = desk.module("def f(): ...\ng = f\nT = {'f': f, 1: [f]}\ndef main(): return f is g is T['f'] is T[1][0]\n")
    assert arrived(capture(module.main))() is True


def test_what_arguments_refer_to_travels_with_the_udf(desk: Desk) -> None:
    module = desk.module(
        "K = 2\nclass Used: ...\nclass Other:\n    def m(self): return K\n"
        "add = lambda x: x + K\nless = lambda x: x - K\ndef main(thing): return Used, thing\n"
    )
    captured = Captured(module.main)
    code_hash = captured.bundle.code_hash
    assert isinstance(captured.reference(module.Used), int)
    trees = [captured.reference(thing) for thing in (module.add, module.less, module.Other, module.add)]
    assert trees[0] == trees[3]
    assert len({tree[1] for tree in trees}) == 3  # by which the cache tells them apart
    assert captured.bundle.code_hash == code_hash
    loaded = load(Bundle.from_bytes(captured.bundle.to_bytes()))
    assert loaded()(1)[0] is part_of(loaded, captured.reference(module.Used))
    assert [part_of(loaded, trees[0])(1), part_of(loaded, trees[1])(1), part_of(loaded, trees[2])().m()] == [3, -1, 2]


def test_a_function_whose_assertions_pytest_has_rewritten_needs_no_pytest_where_it_runs():
    def checked(x: int):
        assert x > 0, "positive"
        return x

    assert "_pytest" + "." not in capture(checked).to_bytes().decode()


def test_modules_that_calls_name_and_plugins_that_a_package_finds_travel(desk: Desk) -> None:
    desk.write("late.py", "V = 'late'\n")
    desk.write("plugins/data.txt", "data")
    for name in ("one", "two"):
        desk.write(f"plugins/{name}.py", f"from . import register\n@register\ndef {name}(): ...\n")
    desk.write(
        "plugins/__init__.py",
        """
        import importlib, pkgutil
        NAMES = []
        def register(f): NAMES.append(f.__name__)
        for found in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{found.name}")
        """,
    )
    bundle = desk.capture(
        """
        import importlib, pkgutil, plugins
        from importlib import resources
        def main():
            data = resources.files("plugins").joinpath("data.txt").read_text()
            named = [importlib.import_module("late").V, __import__("late").V]
            two = importlib.import_module(".two", "plugins").__name__
            return [plugins.NAMES, data, pkgutil.get_data("plugins", "data.txt").decode(), *named, two]
        """
    )
    assert desk.elsewhere(bundle) == [["one", "two"], "data", "data", "late", "late", "plugins.two"]


def test_what_calls_leave_in_a_default_is_not_there_for_the_next_one(desk: Desk) -> None:
    desk.write("lib.py", "def held(x, seen={}):\n    seen[x] = 1\n    return len(seen)\n")
    module = desk.module(
        "import lib\nALL = []\ndef shared(x, to=ALL):\n    to.append(x)\n    return len(ALL)\n"
        "def named(x, *, counts={'n': [0]}):\n    counts['n'].append(x)\n    return len(counts['n'])\n"
        "def kept(x, _cache={}):\n    _cache[x] = x\n    return len(_cache)\n"
        "class A:\n  def m(self, x, out=set()):\n    out.add(x)\n    return len(out)\n"
        "def main(x, seen=[]):\n  seen.append(x)\n"
        "  return [len(seen), named(x), lib.held(x), A().m(x), shared(x), kept(x)]\n"
    )
    loaded = load(capture(module.main))
    main, refill = loaded(), refill_of(loaded)
    assert refill is not None
    got = []
    for number in range(3):
        refill()
        got.append(main(number))
    # What something else holds as well, or is named as a cache, is there on purpose.
    assert got == [[1, 2, 1, 1, number, number] for number in (1, 2, 3)]


def test_a_worker_that_has_no_such_default_has_nothing_to_refill(desk: Desk) -> None:
    loaded = load(capture(desk.module("def main(x, y=1, z=()): return x\n").main))
    loaded()
    assert refill_of(loaded) is None


def test_marks_of_arrays_and_attributes_of_their_subclasses_travel(desk: Desk) -> None:
    result = desk.result(
        """
        import datetime
        import numpy as np
        fixed = np.arange(3)
        fixed.flags.writeable = False
        class Named(np.ndarray):
            pass
        class Day(datetime.date):
            pass
        named, day = np.arange(2).view(Named), Day(2020, 1, 2)
        named.unit, day.note = "m", "n"
        def main():
            return [fixed.flags.writeable, named.unit, named.sum(), day.note, day.year]
        """
    )
    assert result == [False, "m", 1, "n", 2020]


def test_what_a_module_and_python_itself_hold_by_now_travels(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "fan_extra", 41, raising=False)
    bundle = desk.capture(
        '''
        """What it is for."""
        import logging, sys
        class Marked(logging.Filter):
            def filter(self, record): return True
        log = logging.getLogger("desk.log")
        log.addFilter(Marked())
        printing = logging.StreamHandler(sys.stdout)
        printing.setFormatter(logging.Formatter("<%(message)s>"))
        log.addHandler(printing)
        def main():
            [handler], [marked] = log.handlers, log.filters
            return [__doc__, fan_extra + 1, handler.formatter._fmt, type(marked).__name__]
        '''
    )
    logger = logging.getLogger("desk.log")
    logger.handlers.clear()
    logger.filters.clear()
    assert desk.elsewhere(bundle) == ["What it is for.", 42, "<%(message)s>", "Marked"]


def test_a_code_that_a_program_made_is_no_edit_of_its_file(desk: Desk) -> None:
    module = desk.module("def main(): return 1000\n")
    code = module.main.__code__
    consts = tuple(2000 if each == 1000 else each for each in code.co_consts)  # 3.14 has no None before it
    module.main.__code__ = code.replace(co_consts=consts)
    os.utime(desk.root / "work.py", (1, 1))  # written before this process began
    assert arrived(capture(module.main))() == 2000
