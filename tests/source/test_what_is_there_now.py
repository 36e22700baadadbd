"""What was captured as source evaluates to what the caller has now: defaults, attributes, constants and recipes."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any

import pytest

from fanfold.errors import CaptureError
from fanfold.source.capture import capture
from fanfold.source.load import load, unload
from tests.source.conftest import Desk, arrived, shipped


def agrees(desk: Desk, text: str, *args: Any) -> Any:
    """What `main` returns here; it must return the same where it arrives."""
    module = desk.module(text)
    here = module.main(*args)
    bundle = capture(module.main)
    assert desk.elsewhere(bundle, *args) == here
    fresh = load(bundle)
    assert [fresh()(*args), fresh()(*args)] == [here, here]
    unload()
    return here


NOW = [
    ("K = 1\ndef helper(x, k=K): return x * k\nK = 7\ndef main(x): return helper(x)", 10),
    ("K = 1\ndef main(x, *, k=K, j=3): return x * k * j\nK = 7", 30),
    ("K = 1\ndef main(\n  x, k=[K,\n    2], j=3): return [x, k, j]\nK = 7", [10, [1, 2], 3]),
    ("K = 1\ndef main(x, é=K, k='é', j=K): return [é, k, j]  # after\nK = 7", [1, "é", 1]),
    ("def main(x, k=1, j=2): return [k, j]\nmain.__defaults__ = (5, 6)", [5, 6]),
    ("import os\ndef main(x, k=os.getpid() > 0): return k", True),
    ("def main(x, seen=[]): return len(seen)\nmain.__defaults__[0].append(1)", 1),
    ("def helper(x): return helper.n\nhelper.n = 3\ndef main(x): return helper(x)", 3),
    ("K = 1\nclass A:\n  limit = K\n  twice = limit * 2\nK = 5\ndef main(x): return [A.limit, A.twice]", [1, 2]),
    ("class A:\n  factor = 1; other = 2\nA.factor = 5\ndef main(x): return [A.factor, A.other]", [5, 2]),
    ("class A:\n  limits = {}\nA.limits['a'] = 3\ndef main(x): return A.limits", {"a": 3}),
    ("class A: ...\nA.extra = [1]\ndef main(x): return A.extra", [1]),
    ("class A:\n  __secret = 1\n  def get(self): return self.__secret\n"
     "A._A__secret = 2\ndef main(x): return A().get()", 2),
    ("K = 1\nclass A:\n  def f(self, k=K): return k\n  @staticmethod\n  def g(k=K): return k\nK = 2\n"
     "def main(x): return [A().f(), A.g()]", [1, 1]),
    ("K = 1\nclass A:\n  class B:\n    k = K\nK = 2\ndef main(x): return A.B.k", 1),
    ("import dataclasses\nK = 1\n@dataclasses.dataclass\nclass A:\n  k: int = K\n"
     "  n: list = dataclasses.field(default_factory=list)\nK = 2\nA.k = 9\n"
     "def main(x): return [A().k, A.k, A().n]", [1, 9, []]),
    ("from enum import Enum\nK = 1\nclass A(Enum):\n  X = K\n  Y = 5\nK = 2\n"
     "def main(x): return [A.X.value, A.Y.value]", [1, 5]),
    ("from pydantic import BaseModel, Field\nK = 1\nclass A(BaseModel):\n  k: int = K\n"
     "  n: int = Field(3, gt=0)\nK = 2\ndef main(x): return A().model_dump()", {"k": 1, "n": 3}),
    ("from typing import NamedTuple\nK = 1\nclass A(NamedTuple):\n  k: int = K\nK = 2\ndef main(x): return A().k", 1),
    ("from functools import partial\nK = 2\ndef g(x, y, z=0): return [x, y, z]\nadd = partial(g, K, z=K)\nK = 9\n"
     "def main(x): return add(x)", [2, 10, 2]),
    ("import random\nR = random.Random(3)\nR.random()\ndef main(x): return R.getstate()[1][-1]", 2),
    ("import weakref\nclass A:\n  every = weakref.WeakSet()\n  def __init__(self): self.every.add(self)\n"
     "a = A()\ndef main(x): return [len(A.every), a in A.every]", [1, True]),
    ("from collections import OrderedDict\nK = OrderedDict(b=1, a=2)\nV, I = K.values(), K.items()\nK = K.keys()\n"
     "def main(x): return [list(K), list(V), len(I)]", [["b", "a"], [1, 2], 2]),
    ("class Err(Exception):\n  def __init__(self, code, *, hint):\n    super().__init__(f'{code}:{hint}')\n"
     "    self.code = code\ntry:\n  raise Err(4, hint='h') from KeyError('k')\nexcept Err as caught: e = caught\n"
     "def main(x): return [str(e), e.code, list(e.args), repr(e.__cause__)]", ["4:h", 4, ["4:h"], "KeyError('k')"]),
    ("import logging\nL = logging.getLogger('own.log')\nclass F(logging.Filter):\n"
     "  def filter(self, r): return 'no' not in r.msg\nL.addFilter(F())\n"
     "def main(x): return [len(L.filters), bool(L.filter(logging.makeLogRecord({'msg': 'no'})))]", [1, False]),
    ("from collections import namedtuple\nP = namedtuple('P', 'name args')\ndef main(x): return P(1, x).args", 10),
    ("class A:\n  n = 1\n  n += 1\n  names = []\n  names.append('a')\ndef main(x): return [A.n, A.names]", [2, ["a"]]),
    ("class A:\n  made = {}\n  def __init_subclass__(cls): A.made[cls.__name__] = cls\nclass B(A): ...\n"
     "def main(x): return [B.__name__, list(A.made)]", ["B", ["B"]]),
]  # fmt: skip


def test_what_a_call_made_is_what_it_made_here(desk: Desk) -> None:
    assert agrees(desk, "import os\ndef main(x, k=os.getpid()): return k", 10) == os.getpid()


@pytest.mark.parametrize(("text", "result"), NOW)
def test_a_run_sees_what_the_caller_does(desk: Desk, text: str, result: Any) -> None:
    assert agrees(desk, text, 10) == result


def test_functions_made_in_a_loop_keep_their_own_defaults(desk: Desk) -> None:
    module = desk.module(
        "import fan\nmade = []\nfor K in (1, 2):\n    @fan.udf\n    def main(x, k=K): return k\n    made.append(main)\n"
    )
    bundles = [capture(udf) for udf in module.made]
    assert [arrived(bundle)(0) for bundle in bundles] == [1, 2]
    assert len({bundle.code_hash for bundle in bundles}) == 2


def test_a_nested_function_keeps_the_default_it_was_given_around_it() -> None:
    def made(k: int) -> Any:
        def udf(x: int, n: int = k) -> int:
            return x * n

        return udf

    assert [arrived(capture(made(k)))(10) for k in (1, 2)] == [10, 20]


def test_the_lines_stay_where_they_were(desk: Desk) -> None:
    text = "K = 1\ndef main(x, k=[K,\n    # why\n    2]):\n    return x, k\nK = 2\n"
    assert shipped(desk.capture(text)) == "\ndef main(x, k=[K,\n    # why\n    2]):\n    return x, k\n"


def test_what_is_as_the_source_says_leaves_the_hash_alone(desk: Desk) -> None:
    text = "K = 1\nclass A:\n  limit = K\n  names = ['a', -1, (K,)]\ndef main(x, k=K, n=None, *, A=A): return A.limit\n"
    bundle = desk.capture(text)
    assert "K = 1" not in shipped(bundle)
    assert desk.capture(text + "K = 1\nA.limit = 1\n").code_hash == bundle.code_hash
    assert desk.capture(text + "A.limit = 2\n").code_hash != bundle.code_hash


HELD = [
    ("K = 1\ndef main(k=K): return type(k).__name__\nmain.__defaults__ = (object(),)", "object"),
    ("class A:\n  f = None\nA.f = object()\ndef main(): return type(A.f).__name__", "object"),
    ("from collections import namedtuple\nF = 'a b'\nP = namedtuple('P', F)\nF = 'a'\n"
     "def main(): return list(P(1, 2))", [1, 2]),
    ("import operator\nN = 0\nfirst = operator.itemgetter(N)\nN = 1\ndef main(): return first('ab')", "a"),
    ("from enum import Enum\nN = 'A'\nE = Enum('E', N)\nN = 'B'\ndef main(): return E.A.name", "A"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "result"), HELD)
def test_what_no_codec_knows_is_taken_apart(desk: Desk, text: str, result: Any) -> None:
    assert agrees(desk, text) == result


# Modules of the project

CONFIG = """
import os
LIMIT = 1
DOUBLE = LIMIT * 2
HOME = os.environ.get("HOME_OF_TESTS", "none")
FOLDER = HOME + "/data"
TABLE = {"a": 1}
_seen = {}
client = None
if HOME == "none":
    MODE = "slow"
else:
    MODE = "fast"
try:
    import nowhere_at_all
    HAS = True
except ImportError:
    HAS = False

class Settings:
    factor = 1

def limited(x, most=LIMIT):
    _seen[x] = object()
    return [x * LIMIT, most, HOME, FOLDER, MODE]

def connect():
    global client
    client = object()
"""


@pytest.fixture
def config(desk: Desk) -> Any:
    desk.write("config.py", CONFIG)
    yield importlib.import_module("config")
    sys.modules.pop("config", None)


def test_constants_of_project_modules_are_what_they_are_now(desk: Desk, config: Any) -> None:
    text = """
        import config
        from config import DOUBLE, LIMIT, limited
        def main(x):
            return [limited(x), LIMIT, DOUBLE, config.LIMIT, config.TABLE, config.Settings.factor, config.HAS]
        """
    plain = desk.capture(text)
    given = json.loads(plain.graph)["given"]["config"]
    assert {"HOME·now": '"none"', "MODE": '"slow"'}.items() <= {**given, "MODE": '"slow"'}.items()
    agrees(desk, text, 3)
    config.LIMIT, config.TABLE["b"], config.Settings.factor = 7, 2, 9
    assert agrees(desk, text, 3) == [[21, 1, "none", "none/data", "slow"], 7, 2, 7, {"a": 1, "b": 2}, 9, False]
    assert desk.capture(text).code_hash != plain.code_hash


def test_what_a_module_read_from_its_environment_is_part_of_the_hash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from config import limited\ndef main(x): return limited(x)\n"
    hashes = set()
    for home in ("/a", "/b", "/a"):
        monkeypatch.setenv("HOME_OF_TESTS", home)
        desk.write("config.py", CONFIG)
        sys.modules.pop("config", None)
        module = desk.module(text)
        bundle = capture(module.main)
        monkeypatch.delenv("HOME_OF_TESTS")
        assert desk.elsewhere(bundle, 1)[2:] == [home, f"{home}/data", "fast"]
        hashes.add(bundle.code_hash)
    assert len(hashes) == 2


def test_what_a_module_keeps_while_it_works_and_cannot_travel_starts_anew(desk: Desk, config: Any) -> None:
    config.client = threading.Lock()
    text = "import config\ndef main(x): return config.limited(x), config.client\n"
    module = desk.module(text)
    module.main(1)
    assert arrived(capture(module.main))(1)[1] is None
    config.connect()
    assert type(arrived(capture(module.main))(1)[1]) is object


def test_what_was_set_on_a_module_and_cannot_travel_is_refused(desk: Desk, config: Any) -> None:
    config.Settings.factor = threading.Thread()
    with pytest.raises(CaptureError, match=r"config.py:\d+: 'Settings.factor' is <Thread"):
        desk.capture("import config\ndef main(): return config.Settings.factor\n")
    desk.capture("from config import limited\ndef main(): return limited(1)\n")


@pytest.mark.parametrize(
    ("tool", "used", "result"),
    [
        # Executed from the first line to the last, the module makes the difference itself.
        ("def f(): return 1\n_plain = f\ndef f(): return _plain() + 1\n", "tool._plain() + tool.f()", 3),
        ("add = sum\ndef sum(x): return 0\n", "tool.add([1, 2])", 3),
        ("from math import *\nroot = sqrt\n", "tool.root(4.0)", 2.0),
        ("join = ', '.join\n", "tool.join(['a', 'b'])", "a, b"),
        ("import json\nclass A:\n  made = json\n  json = 1\n", "tool.A.made.dumps(tool.A.json)", "1"),
        ("class A:\n  other = None\nclass B: pass\nA.other = B\n", "tool.A.other.__name__", "B"),
        ("class A:\n  one = None\n  def __new__(cls):\n    cls.one = cls.one or super().__new__(cls)\n"
         "    return cls.one\nA()\n", "tool.A.one is tool.A()", True),
        ("X = 1\nY = X\nX = X + 1\nfor Z in (1, 2): W = Z\n", "[tool.X, tool.Y, tool.Z, tool.W]", [2, 1, 2, 2]),
        ("MODE = 'slow'\nif True:\n  MODE = 'fast'\n", "tool.MODE", "fast"),
        ("N = 0\nN += 1\nALL = ['a']\nALL.append('b')\n", "[tool.N, tool.ALL]", [1, ["a", "b"]]),
        ("import enum\nclass T(tuple):\n  def __new__(cls, n): return super().__new__(cls, [n])\n"
         "class E(T, enum.Enum):\n  A = 5\n", "list(tool.E.A)", [5]),
        ("class A:\n  tag = None\n  def f(self): ...\nfrom decimal import Decimal as A\n", "str(tool.A('1'))", "1"),
    ],
)  # fmt: skip
def test_what_a_module_does_itself_it_does_again(desk: Desk, tool: str, used: str, result: Any) -> None:
    desk.write("tool.py", tool)
    sys.modules.pop("tool", None)
    assert agrees(desk, f"import tool\ndef main(): return {used}\n") == result


def test_a_method_of_a_library_that_cloudpickle_has_read_again(desk: Desk) -> None:
    import cloudpickle

    module = desk.module(
        "from sklearn.base import BaseEstimator, TransformerMixin\n"
        "class Own(TransformerMixin, BaseEstimator):\n"
        "  def transform(self, X): return [2 * x for x in X]\n"
        "def main(x): return Own().transform([x])"
    )
    cloudpickle.register_pickle_by_value(module)
    try:
        # As a result of loky's: the class stays, its methods become copies whose module is one as well.
        cloudpickle.loads(cloudpickle.dumps(module.Own))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    wrapped = module.Own.transform
    assert wrapped.__globals__ is not vars(sys.modules[wrapped.__globals__["__name__"]])
    assert desk.elsewhere(capture(module.main), 3) == [6]


def test_a_module_that_is_a_variable_of_its_own_with_the_names_that_it_makes_when_asked(desk: Desk) -> None:
    bundle = desk.capture("""
        import sys
        me, LIMIT = sys.modules[__name__], 4
        def __getattr__(name):
            if name == "RATE": return LIMIT * 2
            raise AttributeError(name)
        def double(x): return 2 * x
        def main(x): return [me.double(x), me.LIMIT, me.RATE, hasattr(me, "nothing")]
        """)
    assert arrived(bundle)(3) == [6, 4, 8, False]
    assert desk.elsewhere(bundle, 3) == [6, 4, 8, False]


TOOLS = "K = 1\ndef area(): return 50\ndef user(): return area()\nclass Box:\n    def m(self): return K\n"


def test_what_somebody_has_executed_in_a_module_is_there(desk: Desk) -> None:
    tools = desk.module(TOOLS, "tools")
    exec("def extra(): return K + 1\ndef area(): return 60\n", vars(tools))  # in the line where the file has one
    text = "import tools\nfrom tools import Box\ndef main(): return [tools.extra(), tools.user(), Box().m()]\n"
    assert desk.elsewhere(desk.capture(text)) == [2, 60, 1]


def test_a_function_that_autoreload_has_added(desk: Desk) -> None:
    """It has a copy of its module's names for its globals, and its own text for its file."""
    tools = desk.module(TOOLS, "tools")
    made: dict[str, Any] = {}
    exec("def extra(): return K + 1", dict(vars(tools)), made)
    tools.extra = made["extra"]
    text = "import tools\nfrom tools import Box\ndef main(): return [tools.extra(), tools.user(), Box().m()]\n"
    assert desk.elsewhere(desk.capture(text)) == [2, 50, 1]
    desk.write("tools.py", TOOLS + "def extra(): return K + 1\n")
    bundle = desk.capture(text)
    assert desk.elsewhere(bundle) == [2, 50, 1]
    tools.K = 5  # which the function does not see, here neither
    assert desk.module(text).main() == desk.elsewhere(desk.capture(text)) == [2, 50, 5]
